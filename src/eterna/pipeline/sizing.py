"""What the model is made of and how much memory training it takes, worked out on a model without storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eterna.config import RunConfig
from eterna.data import Encoded
from eterna.errors import ModelError
from eterna.models import (
    NF4_BYTES,
    Memory,
    StepBytes,
    add_lora,
    allocator_waste,
    check_quantization,
    estimate_activations,
    keeps_base,
    quantized_layers,
    trainable_share,
)
from eterna.models.generating import CACHE_BYTES, MOST_ROWS, cached_bytes
from eterna.models.loading import find_model, readable_failure
from eterna.models.memory import LATER
from eterna.models.weight_files import check_tensors
from eterna.pipeline.fits import resident_memory
from eterna.text import first_line

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class Batch:
    """The heaviest micro-batch that some examples can make."""

    rows: int
    length: int
    labelled: int
    """Tokens that carry loss, over all rows."""
    padded: bool
    """Whether its rows differ in length."""
    flat: tuple[int, ...]
    """Lengths of the examples of the heaviest micro-batch without padding."""
    flat_labelled: int
    """Tokens of that one that carry loss."""


@dataclass(frozen=True)
class Size:
    """Counts, and bytes on one device."""

    parameters: int
    """Of the model itself, without adapters."""
    trained: int
    weights: float
    """Bytes as they are held, adapters included."""
    state: float
    """Bytes of optimizer state for each trained weight."""
    memory: Memory
    other_activations: float
    """Kept by the forward pass if `activation_checkpointing` were the other way."""
    traced: bool
    """Whether the activations were found by tracing the model, not by a formula for a plain transformer."""
    layers: dict[str, int]
    """How many layers of each kind are trained, by the last part of their names."""
    notes: list[str]
    """What PEFT and the optimizer's package have to say."""


def heaviest_batch(examples: Sequence[Encoded], rows: int, on_cpu: bool) -> Batch:
    """The `rows` longest examples and the `rows` with the most loss; without padding, as many as fit."""
    rows = min(rows, len(examples))
    every = sorted((len(example.ids) for example in examples), reverse=True)
    labelled = sorted((example.trained for example in examples), reverse=True)
    flat = _full(every, rows, on_cpu)
    lengths = every[:rows]
    most = sum(labelled[: len(flat)])
    return Batch(rows, lengths[0], sum(labelled[:rows]), lengths[0] != lengths[-1], flat, most)


def _full(lengths: Sequence[int], rows: int, on_cpu: bool) -> tuple[int, ...]:
    """The longest of `lengths`, which are in descending order, as far as a micro-batch without padding holds them."""
    from eterna.training.micro_batches import token_budget

    room = token_budget(lengths, rows, on_cpu)
    chosen: list[int] = []
    for length in lengths:
        if length <= room:
            chosen.append(length)
            room -= length
    return tuple(chosen)


def fullest_batch(config: RunConfig, on_cpu: bool) -> Batch:
    """What could be at most, where no example is tokenized."""
    rows, length = config.training.per_device_train_batch_size, config.data.max_length
    flat = _full([length] * rows, rows, on_cpu)
    return Batch(rows, length, rows * (length - 1), True, flat, len(flat) * (length - 1))


def measure_size(
    config: RunConfig,
    shape: Any,
    arguments: Any,
    precision: str,
    batch: Batch,
    scored_tokens: int = 0,
    answered: tuple[int, int] = (0, 0),
) -> Size:
    """Build the model without storage, adapt it, try the optimizer, trace one step. Raises ModelError or ConfigError.

    scored_tokens: of the largest batch of the evaluation. answered: how many prompts the evaluation answers, and the
    tokens of the longest with its reply.
    """
    from eterna.training import probe_optimizer

    model = _empty_model(config, shape)
    check_quantization(config.model, config.lora, model)
    if config.model.init == "pretrained" and (folder := Path(find_model(config.model.name))).is_dir():
        check_tensors(folder, model)
    attention = model.config._attn_implementation
    parameters = trained = trainable_share(model)[1]
    held = _held_bytes(config, model, parameters, precision)
    notes: list[str] = []
    if config.lora:
        import torch

        with torch.device("meta"):
            model = add_lora(model.to(_held_type(config, precision)), config.lora, config.training.seed, notes=notes)
        trained, everything = trainable_share(model)
        if not trained:
            raise ModelError("the lora section trains nothing", fix="see lora.target_modules")
        held += 4.0 * max(everything - parameters, 0)
    state, said = probe_optimizer(arguments, model)
    layers = _trained_layers(model)
    path, plain_because = choose_path(config, model, arguments)
    on = config.training.activation_checkpointing
    ways = [  # what switches it on stays on the model, so that comes second
        _step_bytes(config, shape, model, precision, batch, attention, path, recompute, whole=recompute == on)
        for recompute in (False, True)
    ]
    (step, traced), (other, also) = reversed(ways) if on else ways
    vocabulary = getattr(shape.get_text_config(), "vocab_size", 0)
    scored = max(scored_tokens * vocabulary * 4.0, _cache_bytes(shape, *answered))
    memory = _memory(config, arguments, step, (parameters, trained, held, state), scored)
    notes += [*said, *([f"the plain path is taken, not the fast one: {plain_because}"] if plain_because else [])]
    return Size(parameters, trained, held, state, memory, other.kept, traced and also, layers, notes)


def choose_path(config: RunConfig, model: Any, arguments: Any) -> tuple[Any, str | None]:
    """The fast path where it is asked for and possible; why it is not possible."""
    from eterna.training import fast_path_of

    if config.training.fast_path == "off":
        return None, None
    found = fast_path_of(model, arguments, on_gpu=config.training.fast_path == "on")
    return (None, found) if isinstance(found, str) else (found, None)


def _memory(
    config: RunConfig,
    arguments: Any,
    step: StepBytes,
    counted: tuple[int, int, float, float],
    scored: float,
) -> Memory:
    parameters, trained, held, state = counted
    on_cpu = arguments.device.type == "cpu"
    again = config.data.holds_out and not (config.lora and keeps_base(config.lora))
    return Memory(
        program=resident_memory() + LATER if on_cpu else 0.0,
        weights=held,
        optimizer=trained * state,
        gradients=trained * 4.0,
        activations=step.kept,
        logits=step.logits,
        waste=allocator_waste(step) if on_cpu else 0.0,
        end=max(step.end, trained * 4.0),
        carried=config.training.gradient_accumulation_steps > 1,
        scored=scored + (parameters * 4.0 if again else 0.0),
    )


def _cache_bytes(shape: Any, rows: int, tokens: int) -> float:
    """Of keys and values while so many prompts are answered."""
    return min(CACHE_BYTES, float(min(rows, MOST_ROWS) * tokens * cached_bytes(shape, 4))) if rows else 0.0


def _step_bytes(
    config: RunConfig,
    shape: Any,
    model: Any,
    precision: str,
    batch: Batch,
    attention: str,
    path: Any,
    checkpointing: bool,
    whole: bool,
) -> tuple[StepBytes, bool]:
    """One micro-batch, traced; by the formula for a plain transformer where tracing does not go through.

    whole: the backward pass too; without it, what the forward pass keeps is all that counts.
    """
    import torch

    from eterna.models.tracing import trace, trace_step

    amp = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    try:
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": False})
        if path:
            return trace(model.train(), lambda ledger: _flat_step(path, model, ledger, batch, whole)), True
        loss = _loss_of(batch, config.training.label_smoothing_factor) if whole else None
        return trace_step(model.train(), batch.rows, batch.length, loss, batch.padded, amp), True
    except Exception:  # whatever a model's own code raises for tensors without values
        formula = estimate_activations(shape, batch.rows, batch.length, BYTES[precision], attention, checkpointing)
        return formula, False


def _flat_step(path: Any, model: Any, ledger: Any, batch: Batch, whole: bool = True) -> StepBytes:
    """One micro-batch on the fast path; its forward pass alone where not `whole`."""
    from eterna.fast import part_of_lengths
    from eterna.fast.loss import CHUNK_BYTES

    part = part_of_lengths(batch.flat, batch.flat_labelled)
    with path.lent():
        loss = model(**part).loss
        kept, small = ledger.live, ledger.small
        if not whole:
            return StepBytes(kept, 0.0, CHUNK_BYTES, 0.0, small)
        loss.backward()
    return StepBytes(kept, ledger.peak - kept, CHUNK_BYTES, ledger.live, small, ledger.scratch)


def _loss_of(batch: Batch, smoothing: float) -> Any:
    """As `training.loss.weighted_loss_sum`, but with the number of labelled tokens known beforehand."""
    import torch
    from torch.nn import functional

    def loss(logits: Any) -> Any:
        where = torch.zeros(max(batch.labelled, 1), dtype=torch.long)  # (N,)
        picked = logits[:, :-1][where, where].float()  # (N, V)
        losses = functional.cross_entropy(picked, where, reduction="none", label_smoothing=smoothing)  # (N,)
        return (losses * where.float()).sum()

    return loss


def _trained_layers(model: Any) -> dict[str, int]:
    """`{"q_proj": 30}`: modules with trained weights of their own, by their names; adapters count for their layer."""
    found: dict[str, set[str]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            path = name.split(".")[:-1]
            while path and (path[-1] == "default" or path[-1].startswith("lora_")):
                path.pop()
            if path:
                found.setdefault(path[-1], set()).add(".".join(path))
    return {name: len(places) for name, places in found.items()}


def _held_type(config: RunConfig, precision: str) -> Any:
    import torch

    if config.model.quantization == "none" and config.model.dtype != "auto":
        return getattr(torch, config.model.dtype)
    return {4: torch.float32, 2: torch.float16 if precision == "fp16" else torch.bfloat16}[BYTES[precision]]


def _empty_model(config: RunConfig, shape: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    attention = config.model.attention
    options = {} if attention == "auto" else {"attn_implementation": attention}
    with torch.device("meta"), readable_failure(config.model.name):
        try:
            return AutoModelForCausalLM.from_config(shape, **options)
        except ImportError as error:
            message = f"model.attention: {attention} does not work here: {first_line(error)}"
            raise ModelError(message, fix="model.attention: auto") from error


def _held_bytes(config: RunConfig, model: Any, parameters: int, precision: str) -> float:
    """Bytes of the weights as `load_model` holds them."""
    if config.model.quantization == "nf4":
        packed = sum(quantized_layers(model).values())
        return packed * NF4_BYTES + (parameters - packed) * 4.0
    if config.model.dtype != "auto":
        return float(parameters * BYTES[config.model.dtype])
    return float(parameters * (BYTES[precision] if config.lora else 4))


def describe_memory(size: Size, checkpointing: bool) -> str:
    """One line: the peak and what it is made of, in MiB."""
    memory, mebi = size.memory, 2**20
    parts = [
        ("the program", memory.program),
        ("weights", memory.weights),
        ("gradients", memory.gradients if memory.carried else 0.0),
        ("optimizer", memory.optimizer),
        ("activations", memory.activations),
        ("logits", memory.logits),
        ("lost by the allocator", memory.waste),
    ]
    made = ", ".join(f"{value / mebi:,.0f} {name}" for name, value in parts if value >= mebi / 2)
    rough = "" if size.traced else ", by a formula for plain transformers"
    other = f"{size.other_activations / mebi:,.0f} MiB of activations {'without' if checkpointing else 'with'}"
    return f"about {memory.peak / mebi:,.0f} MiB at the peak: {made}{rough}; {other} activation_checkpointing"


def describe_trained(size: Size, config: RunConfig) -> str:
    """One line: which layers are trained, how many of each."""
    if not config.lora:
        return f"every weight of the model ({size.trained:,})"
    names = ", ".join(f"{name} x {count}" for name, count in size.layers.items())
    return f"adapters on {names}" if len(names) < 200 else f"adapters on {sum(size.layers.values())} layers"
