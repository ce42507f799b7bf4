"""Muon for the matrices inside the layers, AdamW for embeddings, output head, biases and norms: one optimizer.

Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024. Its updates are scaled to the size
of AdamW's (Liu et al., Muon is Scalable for LLM Training, 2025), so that one learning rate and one weight decay serve
both. Both steps are torch's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch


class MuonWithAdamW(torch.optim.Optimizer):  # type: ignore[misc]
    """One optimizer of two: `matrices` by Muon, the other groups by AdamW.

    lr, weight_decay: of all groups; a group of `rest` may have its own weight_decay. adam: further settings of AdamW.
    """

    def __init__(
        self,
        matrices: Sequence[torch.nn.Parameter],
        rest: Iterable[dict[str, Any]],
        lr: float,
        weight_decay: float,
        **adam: Any,
    ) -> None:
        muon = torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        # AdamW refuses to begin without a parameter, and a LoRA run has nothing but matrices.
        groups = [group for group in rest if group["params"]]
        settings = {"lr": lr, "weight_decay": weight_decay, "fused": True, **adam}
        others = [torch.optim.AdamW(groups, **settings)] if groups else []
        self._each = [muon, *others]
        super().__init__([group for one in self._each for group in one.param_groups], {})

    def step(self, closure: Callable[[], float] | None = None) -> None:
        """Both steps, on the groups and the state of this optimizer: schedules and checkpoints know only these."""
        first = 0
        for one in self._each:
            last = first + len(one.param_groups)
            one.param_groups, one.state = self.param_groups[first:last], self.state
            one.step()
            first = last


def split_parameters(model: Any, decayed: Iterable[str]) -> tuple[list[Any], list[dict[str, Any]]]:
    """(matrices inside the layers, groups of all other trained parameters) of a model.

    decayed: names of the parameters that weight decay applies to.
    """
    tables = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    tables += [head] if (head := model.get_output_embeddings()) is not None else []
    outside = {id(weight) for module in tables for weight in module.parameters()}
    names = set(decayed)
    matrices: list[Any] = []
    with_decay: list[Any] = []
    without: list[Any] = []
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            continue
        inside = weight.ndim == 2 and id(weight) not in outside and "lora_embedding" not in name
        (matrices if inside else with_decay if name in names else without).append(weight)
    return matrices, [{"params": with_decay}, {"params": without, "weight_decay": 0.0}]


def build_muon(model: Any, arguments: Any, decayed: Iterable[str]) -> MuonWithAdamW:
    """The optimizer of a model's trained parameters, by the settings of TrainingArguments."""
    matrices, rest = split_parameters(model, decayed)
    adam = {"betas": (arguments.adam_beta1, arguments.adam_beta2), "eps": arguments.adam_epsilon}
    return MuonWithAdamW(matrices, rest, arguments.learning_rate, arguments.weight_decay, **adam)
