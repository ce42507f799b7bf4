"""Whether an optimizer works here, found out on a small tensor before the model is loaded."""

from __future__ import annotations

import warnings
from typing import Any

from eterna.errors import ConfigError
from eterna.text import first_line

ADAM_BYTES = 8.0  # two float32 moments
MUON_BYTES = 4.0  # one
PROBE = (64, 128)  # past 4096 elements, from which on bitsandbytes keeps its moments in 8 bits


def probe_optimizer(arguments: Any, model: Any) -> tuple[float, list[str]]:
    """Take one step. Returns the bytes of state for each trained parameter, and what the optimizer's package says.

    model: the model without storage, which a few optimizers choose their parameters from; these are not stepped.
    Raises ConfigError naming the package or setting that is missing.
    """
    import torch
    from transformers import Trainer

    if arguments.muon:
        from eterna.training.muon import split_parameters

        inside, groups = split_parameters(model, ())
        matrices = sum(weight.numel() for weight in inside)
        rest = sum(weight.numel() for group in groups for weight in group["params"])
        return (MUON_BYTES * matrices + ADAM_BYTES * rest) / max(matrices + rest, 1), []
    try:
        kind, settings = Trainer.get_optimizer_cls_and_kwargs(arguments, model)
        if settings.keys() & {"params", "model", "optimizer_dict"}:
            return ADAM_BYTES, []
        weight = torch.nn.Parameter(torch.ones(PROBE, device=arguments.device))
        weight.grad = torch.ones_like(weight)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            optimizer = kind([weight], **settings)
            if callable(begin := getattr(optimizer, "train", None)):
                begin()  # as Trainer does for schedule-free optimizers, which refuse to step before it
            optimizer.step()
    except (ImportError, ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        raise ConfigError(
            f"training.optim: {arguments.optim.value} does not work here: {first_line(error)}",
            fix="install what it names, or use another, such as adamw_torch",
        ) from error
    state = [value for value in optimizer.state[weight].values() if torch.is_tensor(value)]
    notes = dict.fromkeys(str(warning.message) for warning in caught if warning.category is UserWarning)
    return sum(value.numel() * value.element_size() for value in state) / weight.numel(), list(notes)
