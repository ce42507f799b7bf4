"""The heavy libraries: loaded quickly, and without their own chatter."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import warnings

TRAINING = ("accelerate", "transformers.trainer", "peft")


def load_libraries(*names: str) -> None:
    """Import modules that take seconds; transformers always.

    Python's garbage collector waits meanwhile: what an import makes stays, and looking through all of it again and
    again takes a quarter of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        quiet_libraries()
        for name in names:
            importlib.import_module(name)
    finally:
        if collecting:
            gc.enable()


def quiet_libraries() -> None:
    """Eterna says what matters; the libraries' own chatter is for whoever asks for it."""
    os.environ.setdefault("DATASETS_VERBOSITY", "error")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")  # both are read when datasets is imported

    import huggingface_hub
    import transformers

    if "TRANSFORMERS_VERBOSITY" not in os.environ:
        transformers.logging.set_verbosity_error()
        huggingface_hub.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    # Warnings of one library about another's names are nothing a user can act on.
    for library in ("transformers", "peft", "accelerate"):
        warnings.filterwarnings("ignore", category=FutureWarning, module=library)
    # PEFT says this again each time such an adapter is loaded; the plan has said it once.
    warnings.filterwarnings("ignore", message="Model has `tie_word_embeddings=True` and a tied layer")
    # What bitsandbytes has to say about an optimizer stands in the plan; else it only misses faster kernels.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=UserWarning, module="bitsandbytes")
