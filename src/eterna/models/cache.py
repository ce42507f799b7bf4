"""Keys and values of the tokens so far, for many rows at once."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

STEP = 64  # tokens of room added at a time


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A layer with room ahead: transformers' own copies all keys and values for each token that comes."""

    keys: Tensor
    values: Tensor
    room: tuple[Tensor, Tensor] | None = None
    """Keys and values (rows, heads, tokens with room, width of a head), of which the first are written."""

    def update(self, key_states: Tensor, value_states: Tensor, *rest: Any, **named: Any) -> tuple[Tensor, Tensor]:
        """Write keys and values (rows, heads, new tokens, width of a head); returns those of all tokens."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before = self.get_seq_length()
        after = before + key_states.shape[2]
        if self.room is None or after > self.room[0].shape[2]:
            self.room = self._larger(key_states, after), self._larger(value_states, after)
            if before:
                self.room[0][:, :, :before], self.room[1][:, :, :before] = self.keys, self.values
        self.room[0][:, :, before:after], self.room[1][:, :, before:after] = key_states, value_states
        self.keys, self.values = self.room[0][:, :, :after], self.room[1][:, :, :after]
        return self.keys, self.values

    def _larger(self, new: Tensor, tokens: int) -> Tensor:
        return new.new_empty((*new.shape[:2], -(-tokens // STEP) * STEP, new.shape[3]))

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep these rows, in this order."""
        if self.room is not None:
            length = self.get_seq_length()
            keys, values = (part.index_select(0, beam_idx) for part in self.room)
            self.room = keys, values
            self.keys, self.values = keys[:, :, :length], values[:, :, :length]


def inner_model(model: Any) -> Any:
    """transformers' model inside PEFT's."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def has_cache(model: Any) -> bool:
    """Whether the model's state is kept in a cache of keys and values; else each token means starting over."""
    bare = inner_model(model)
    plain = getattr(bare, "_supports_default_dynamic_cache", None)
    takes = "past_key_values" in inspect.signature(bare.forward).parameters
    return takes and (plain is None or bool(plain()))


def make_cache(model: Any) -> Any:
    """An empty cache for the model."""
    cache = DynamicCache(config=model.config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
