"""Find, check and load a causal language model through transformers' Auto classes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eterna.config import ModelSection
from eterna.errors import EternaError, ModelError, Place, UnavailableError
from eterna.files import usable_path
from eterna.hub import LOCAL, find_commit
from eterna.models.config_files import check_config
from eterna.models.quantizing import dtype_of, nf4_settings, prepare_quantized
from eterna.models.weight_files import OF_ANOTHER, check_weights
from eterna.seeding import seed_for
from eterna.text import first_line, name_hint, shown

PACKAGED = {"eterna:base": "base_model"}


@dataclass(frozen=True)
class Precision:
    """The arithmetic of the forward pass and why it was chosen."""

    name: str
    """fp32, bf16 or fp16."""
    reason: str


def choose_precision(
    wanted: str, use_cpu: bool = False, name: str = "training.precision", place: Place | None = None
) -> Precision:
    """Resolve `auto` by the hardware; refuse what cannot work.

    name, place: how and where the user wrote the setting. Raises ModelError naming both and the way out.
    """
    import torch

    cuda = torch.cuda.is_available() and not use_cpu
    if wanted == "auto":
        if not cuda:
            if multiplies_bf16():
                return Precision("bf16", "no GPU; the processor multiplies bfloat16, which is faster than fp32")
            return Precision("fp32", "no GPU, and a processor that does not multiply bfloat16")
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Precision("bf16", "the GPU has bfloat16")
        return Precision("fp16", "the GPU has no bfloat16")
    if wanted == "fp16" and not cuda:
        raise UnavailableError(
            f"{name} asks for fp16, but there is no GPU here",
            place,
            "training.precision: auto (or bf16, fp32) in its place",
        )
    if wanted == "bf16" and cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UnavailableError(
            f"{name} asks for bf16, but this GPU has no bfloat16", place, "training.precision: auto (or fp16, fp32)"
        )
    return Precision(wanted, "asked for")


def multiplies_bf16() -> bool:
    """Whether the processor has products of bfloat16 (AVX-512 BF16 or AMX); without, they cost more than float32's."""
    import torch

    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in every torch of our range
    if not known:
        older = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return bool(older and older())
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def find_model(name: str) -> str:
    """The absolute path of a folder, or a Hub id. Checks a folder's files without loading them.

    Absolute, because PEFT writes the base model's place into the adapter: it must be found from any folder.
    """
    if name.startswith("eterna:"):
        if name not in PACKAGED:
            raise ModelError(f"no model {shown(name)} comes with Eterna", fix=name_hint(name, PACKAGED))
        return str(Path(__file__).parents[1] / PACKAGED[name])
    folder = usable_path(name)
    if folder and not (name.startswith((".", "/", "~")) or folder.exists() or name.count("/") > 1):
        return name
    if folder is None or not folder.is_dir():
        raise ModelError(
            f"model.name is {shown(name)}, but there is no such folder",
            fix="a folder with config.json, a Hub id (owner/name), or eterna:base",
        )
    if not (folder / "config.json").is_file():
        fix = "name the folder that holds config.json"
        if (folder / "adapter_config.json").is_file():
            fix = "this is an adapter; name its base model, or a merged model"
        raise ModelError(f"{folder} holds no config.json", fix=fix)
    check_config(folder / "config.json")
    return str(folder.resolve())


def find_base_commit(section: ModelSection) -> str | None:
    """The commit of a Hub model, None for a folder. Raises ModelError when the Hub id leads nowhere."""
    source = find_model(section.name)
    if not Path(source).is_dir():
        return find_commit("model", source, section.revision).commit
    if section.revision:
        raise ModelError(f"{section.name} is a folder", fix="model.revision belongs to a Hub model; remove it")
    return None


def hub_options(section: ModelSection) -> dict[str, Any]:
    """Arguments of `from_pretrained` for a Hub model; none for a folder. Raises ModelError as `find_base_commit`."""
    if find_base_commit(section) is None:
        return {}
    online = find_commit("model", section.name, section.revision).online
    return {"revision": section.revision, "local_files_only": not online}


@contextmanager
def readable_failure(name: str) -> Iterator[None]:
    """Turn what transformers raises for a wrong name, file or network into one short ModelError."""
    try:
        yield
    except EternaError:
        raise
    except Exception as error:  # a damaged or foreign file raises anything, down to plain Exception
        reason, fix = _why(error)
        raise ModelError(f"cannot load {shown(name)}: {reason}", fix=fix) from error


def _why(error: Exception) -> tuple[str, str]:
    """What went wrong and what to do, where the first line of the error does not say it."""
    from huggingface_hub.errors import StrictDataclassError

    if isinstance(error, StrictDataclassError) and error.__cause__:
        return f"config.json: {first_line(error.__cause__)}", "correct config.json, or copy it anew"
    if isinstance(error, RuntimeError) and "ignore_mismatched_sizes" in str(error):
        return "the weights have other shapes than config.json says", "copy config.json and weights of the same model"
    if "untagged enum" in str(error):
        fix = "install a newer tokenizers, or copy the file anew"
        return f"tokenizer.json is damaged, or of a newer kind: {first_line(error)}", fix
    if isinstance(error, KeyError):
        return f"{first_line(error)} is not known to this transformers", "correct config.json, or install a newer one"
    if "Unrecognized configuration class" in str(error):
        return first_line(error), "name a causal language model, one that writes text"
    return first_line(error), f"check the name; {LOCAL}"


def load_model(section: ModelSection, precision: str, seed: int, train_all: bool) -> Any:
    """The model, on the CPU, ready to be trained or adapted.

    Weights that are trained are float32; a frozen base under LoRA may be held in bfloat16 or float16 (dtype: auto
    takes the forward pass's type then), or in 4 bits. `init: random` draws new weights from `seed`.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    source, found = find_model(section.name), hub_options(section)
    dtype = _dtype(section.dtype, precision, train_all)
    options: dict[str, Any] = {"dtype": dtype}
    if section.quantization == "nf4":
        options["quantization_config"] = nf4_settings(precision)
    if section.attention != "auto":
        options["attn_implementation"] = section.attention
    with readable_failure(section.name):
        if section.init == "random":
            shape = AutoConfig.from_pretrained(source, **found)
            with torch.random.fork_rng():
                torch.manual_seed(seed_for(seed, "weights"))
                model = AutoModelForCausalLM.from_config(shape, **options)
        else:
            if Path(source).is_dir():
                check_weights(Path(source))
            model, loaded = AutoModelForCausalLM.from_pretrained(source, **found, **options, output_loading_info=True)
            if missing := sorted(loaded["missing_keys"]):
                raise ModelError(
                    f"the weights of {shown(section.name)} hold no {missing[0]}, so it would be random",
                    fix=OF_ANOTHER,
                )
    if dtype is not torch.float32 and not torch.cuda.is_available():
        _keep_norms_exact(model)
    return prepare_quantized(model) if section.quantization == "nf4" else model


def _keep_norms_exact(model: Any) -> None:
    """LayerNorms in float32: on a CPU one of half precision refuses the float32 that flows between the layers."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.float()


def _dtype(wanted: str, precision: str, train_all: bool) -> Any:
    import torch

    if wanted != "auto":
        return getattr(torch, wanted)
    return torch.float32 if train_all else dtype_of(precision)


def load_finished(final: Path) -> tuple[Any, Any]:
    """Model and tokenizer of a run's final/ folder (or a checkpoint), for inference; LoRA stays an adapter."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not (final / "config.json").is_file() and not (final / "adapter_config.json").is_file():
        raise ModelError(f"{final} holds no model", fix="finish the training first: eterna train ... --resume")
    with readable_failure(str(final)):
        tokenizer = AutoTokenizer.from_pretrained(final)
        if (final / "adapter_config.json").is_file():
            from peft import AutoPeftModelForCausalLM

            model = AutoPeftModelForCausalLM.from_pretrained(final, dtype=torch.float32)
        else:
            model = AutoModelForCausalLM.from_pretrained(final, dtype=torch.float32)
    if torch.cuda.is_available():
        model.to("cuda")
    return model.eval(), tokenizer
