"""Which models take the fast path, and how their modules are lent its functions while a step is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from eterna.fast.layers import gpt2_layer, llama_layer, norm_of
from eterna.fast.loss import each_loss, labelled_loss
from eterna.fast.rows import KINDS, add_norm, kernels_for, select
from eterna.fast.segments import Segments

LLAMA_LIKE = {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "GemmaForCausalLM"}
KNOWN = {*LLAMA_LIKE, "GPT2LMHeadModel"}


def inner_model(model: Any) -> Any:
    """transformers' model inside PEFT's."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def why_not(model: Any) -> str | None:
    """Why a model, PEFT's or plain, has to take the plain path; None where it takes the fast one."""
    model = inner_model(model)
    name, config = type(model).__name__, model.config
    if name not in KNOWN or not type(model).__module__.startswith("transformers."):
        return f"{name} is none of the architectures it knows ({', '.join(sorted(KNOWN))})"
    if name == "GPT2LMHeadModel":
        odd = [key for key in ("scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "add_cross_attention")
               if getattr(config, key, False)]  # fmt: skip
        if not config.scale_attn_weights or odd or KINDS.get(config.activation_function) != 1:
            return "this GPT-2 has an attention or an activation that it does not know"
        norms = [norm for block in model.transformer.h for norm in (block.ln_1, block.ln_2)]
        return None if all(type(norm) is nn.LayerNorm for norm in norms) else ADAPTED_NORM
    if config.hidden_act not in KINDS:
        return f"it does not know the activation {config.hidden_act}"
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("partial_rotary_factor", getattr(config, "partial_rotary_factor", None) or 1.0) != 1.0:
        return "it does not know how to rotate a part of each head"
    if getattr(config, "use_bidirectional_attention", None):
        return "its tokens attend to what follows them"
    norms = [norm for layer in model.model.layers for norm in (layer.input_layernorm, layer.post_attention_layernorm)]
    return None if all(type(norm).__name__.endswith("RMSNorm") for norm in [*norms, model.model.norm]) else ADAPTED_NORM


ADAPTED_NORM = "its norms are wrapped (lora.modules_to_save)"


class FastPath:
    """Computes the loss of sequences laid one after another, by a model's own modules."""

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        """model: PEFT's or plain, of a known architecture. dtype: of activations and matrix products."""
        self.model = inner_model(model)
        self.dtype = dtype

    def __str__(self) -> str:
        kernels = kernels_for(next(self.model.parameters()), self.dtype)
        return f"fast path by {'torch' if kernels is None else 'compiled kernels'}"

    @contextmanager
    def lent(self) -> Iterator[None]:
        """While this lasts, forward and backward of the model are the fast ones.

        The model is then called with input_ids and position_ids (1, T), segments, and keep, targets and weights (N,):
        the positions whose next token is learnt, that token, its loss weight; smoothing. It answers with `loss`, the
        weighted sum; with `each`, under no_grad, with the loss of each position (N,), without weights and smoothing.
        """
        before = {}
        for module, forward in self._replacements().items():
            before[module] = module.__dict__.get("forward")
            module.__dict__["forward"] = forward
        try:
            yield
        finally:
            for module, forward in before.items():
                del module.__dict__["forward"]
                if forward is not None:
                    module.__dict__["forward"] = forward

    def _replacements(self) -> dict[nn.Module, Callable[..., Any]]:
        model = self.model
        if type(model).__name__ == "GPT2LMHeadModel":
            body = model.transformer
            tables, layers = [body.wte, body.wpe], body.h
        else:
            body = model.model
            tables, layers = [body.embed_tokens], body.layers
        found: dict[nn.Module, Callable[..., Any]] = {table: _in_float(table.forward) for table in tables}
        found |= {layer: self._layer(layer, last=layer is layers[-1]) for layer in layers}
        if body is not getattr(model, "transformer", None):
            found[body.norm] = self._final_norm(body.norm)
        found[model] = self._whole(body)
        return found

    def _layer(self, layer: Any, last: bool) -> Callable[..., Any]:
        gpt2 = hasattr(layer, "attn")
        activation = "" if gpt2 else self.model.config.hidden_act

        def compute(hidden_states: Any, *_: Any, segments: Segments, keep: Tensor, **rest: Any) -> Any:
            if gpt2:
                return gpt2_layer(layer, hidden_states[0], segments, self.dtype)[None]
            h, delta = _stream(hidden_states)
            cos, sin = (table[0].contiguous() for table in rest["position_embeddings"])
            chosen = keep if last else None
            h, delta = llama_layer(layer, h, delta, (cos, sin), segments, self.dtype, activation, chosen)
            return (h + delta)[None] if _recomputed(layer) else (h, delta)

        def forward(hidden_states: Any, *positional: Any, **named: Any) -> Any:
            if _recomputed(layer):
                return layer._gradient_checkpointing_func(partial(compute, **named), hidden_states, *positional)
            return compute(hidden_states, *positional, **named)

        # Earlier versions of transformers recompute around a layer's forward, later ones inside it.
        return forward if type(layer).__call__ is nn.Module.__call__ else compute

    def _final_norm(self, norm: nn.Module) -> Callable[[Any], Tensor]:
        def forward(hidden_states: Any) -> Tensor:
            return add_norm(*_stream(hidden_states), *norm_of(norm), self.dtype)[1][None]

        return forward

    def _whole(self, body: Any) -> Callable[..., Any]:
        def forward(
            input_ids: Tensor, position_ids: Tensor, segments: Segments, keep: Tensor, targets: Tensor,
            weights: Tensor, smoothing: float = 0.0, each: bool = False, **_: Any,
        ) -> Any:  # fmt: skip
            from transformers.modeling_outputs import CausalLMOutputWithPast

            with torch.autocast(input_ids.device.type, enabled=False):
                # A mask of four dimensions is handed on as it is; the layers here do not look at it.
                mask = input_ids.new_zeros((1, 1, 1, 1))
                outputs = body(
                    input_ids=input_ids, attention_mask=mask, position_ids=position_ids, use_cache=False,
                    segments=segments, keep=keep,
                )  # fmt: skip
                hidden = outputs.last_hidden_state[0].to(self.dtype)
                if hidden.shape[0] != keep.shape[0]:
                    hidden = select(hidden, keep)
                head = self.model.get_output_embeddings()
                if each:
                    return CausalLMOutputWithPast(loss=each_loss(hidden, head, targets))
                loss = labelled_loss(hidden, head, targets, weights, smoothing)
            return CausalLMOutputWithPast(loss=loss)

        return forward


def _stream(hidden_states: Any) -> tuple[Tensor, Tensor | None]:
    """What a layer is given: one tensor (1, T, H), or the residual stream and what is to be added to it."""
    return (hidden_states[0], None) if isinstance(hidden_states, Tensor) else hidden_states


def _recomputed(layer: Any) -> bool:
    return bool(getattr(layer, "gradient_checkpointing", False) and layer.training)


def _in_float(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda ids: forward(ids).float()
