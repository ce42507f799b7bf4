"""The frozen base in 4 bits under LoRA: QLoRA (Dettmers et al. 2023, arXiv:2305.14314), by bitsandbytes and PEFT."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from eterna.config import LoraSection, ModelSection
from eterna.errors import ModelError
from eterna.text import shown

OLDEST = (0, 50)
# Section 3 of the paper: 4 bits a weight, and 0.127 bits for its constants, quantized again in blocks of 256.
NF4_BYTES = (4 + 0.127) / 8


def check_quantization(section: ModelSection, lora: LoraSection | None, model: Any) -> None:
    """Refuse what cannot be held or trained in 4 bits; `model` has no storage yet. Raises ModelError."""
    if getattr(model.config, "quantization_config", None):
        raise ModelError(
            f"{section.name} is quantized already", fix="name the model it was made from, with model.quantization: nf4"
        )
    if section.quantization == "none":
        return
    _check_bitsandbytes()
    held = quantized_layers(model)
    for wanted in (lora and lora.modules_to_save) or []:
        if any(name == wanted or name.endswith(f".{wanted}") for name in held):
            raise ModelError(
                f"lora.modules_to_save names {shown(wanted)}, which model.quantization holds in 4 bits",
                fix="give it an adapter instead: lora.target_modules",
            )


def _check_bitsandbytes() -> None:
    fix = 'pip install "eterna[quantization]"'
    try:
        version = metadata.version("bitsandbytes")
    except metadata.PackageNotFoundError:
        raise ModelError("model.quantization: nf4 needs bitsandbytes, which is not installed", fix=fix) from None
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ModelError(f"model.quantization: nf4 needs bitsandbytes {oldest}, here is {version}", fix=fix)


def quantized_layers(model: Any) -> dict[str, int]:
    """Name and number of weights of the layers that transformers hands to bitsandbytes: all linear but the output."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    output = model.get_output_embeddings()
    return {
        name: module.weight.numel()
        for name, module in model.named_modules()
        if (type(module) is nn.Linear or isinstance(module, Conv1D)) and module is not output
    }


def dtype_of(precision: str) -> Any:
    """The torch type of fp32, bf16 or fp16."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def nf4_settings(precision: str) -> Any:
    """transformers' BitsAndBytesConfig: NF4 with constants quantized twice, multiplied in `precision`."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype_of(precision),
    )


def prepare_quantized(model: Any) -> Any:
    """Freeze the base; what is not in 4 bits is held in float32."""
    from peft import prepare_model_for_kbit_training

    for module in model.modules():
        # On some CPUs bitsandbytes packs the weights anew in the first evaluation, with coarser constants: from then
        # on it would be another base, and not the one that a resumed run begins with.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    # Activation checkpointing is Trainer's to switch on.
    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)


def held_as(model: Any) -> str:
    """How the weights are held: the type of the first one, or nf4 with the type that is multiplied in."""
    if getattr(model, "is_loaded_in_4bit", False):
        computed = model.config.quantization_config.bnb_4bit_compute_dtype
        return f"nf4,{str(computed).removeprefix('torch.')}"
    return str(next(model.parameters()).dtype).removeprefix("torch.")
