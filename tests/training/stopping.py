"""Of two processes only the second gets a signal. Run by torchrun: each one prints whether it stops."""

from __future__ import annotations

import signal
import sys
from types import SimpleNamespace

import torch
from transformers import TrainerControl, TrainerState

from eterna.training import Interrupt

if __name__ == "__main__":
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    interrupt, control = Interrupt(), TrainerControl()
    with interrupt:
        if rank == 1:
            signal.raise_signal(signal.SIGTERM)
        interrupt.on_step_end(SimpleNamespace(world_size=2, device="cpu"), TrainerState(), control)
    sys.stdout.write(f"process {rank} {control.should_training_stop} {control.should_save} {interrupt.exit_code}\n")
    torch.distributed.destroy_process_group()
