"""`eterna` on CPU processes whose accelerate believes it may shard (FSDP2), as it would on GPUs.

    torchrun --nproc_per_node 2 -m tests.pipeline.sharded train run.yaml

accelerate leaves FSDP out on a CPU, though torch's `fully_shard` works there. Everything past that decision is the code
a GPU run goes through: preparing, clipping, evaluating, saving, loading.
"""

from __future__ import annotations

from typing import Any

from accelerate import state
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor

import eterna.pipeline.train as pipeline
import eterna.training.arguments as arguments
from eterna.cli.main import main

choose = state.AcceleratorState.__init__
save_finished = pipeline.save_finished


def choose_sharding(self: Any, *given: Any, fsdp_plugin: Any = None, **settings: Any) -> None:
    choose(self, *given, fsdp_plugin=fsdp_plugin, **settings)
    if fsdp_plugin is not None:
        self.fsdp_plugin = fsdp_plugin
        self.distributed_type = state.PartialState._shared_state["distributed_type"] = DistributedType.FSDP


def save_sharded(model: Any, *given: Any) -> None:
    """Fails where a weight is whole in this process, so that the tests cannot pass without sharding."""
    for name, parameter in model.named_parameters():
        assert isinstance(parameter, DTensor), name
        assert parameter.to_local().numel() < parameter.numel(), name
    save_finished(model, *given)


state.AcceleratorState.__init__ = choose_sharding
arguments.check_sharding = lambda *given: None
pipeline.save_finished = save_sharded

if __name__ == "__main__":
    main()
