"""Training on transformers' Trainer: exact loss, pure order, progress, records."""

from eterna.training.arguments import build_arguments
from eterna.training.interrupt import Interrupt
from eterna.training.loss import weighted_loss_sum
from eterna.training.micro_batches import fast_path_of
from eterna.training.optimizer import probe_optimizer
from eterna.training.progress import Progress
from eterna.training.recording import Recorder, tokens_at
from eterna.training.schedule import describe_schedule, plan_schedule, thin_schedule
from eterna.training.trainer import EternaTrainer

__all__ = [
    "EternaTrainer",
    "Interrupt",
    "Progress",
    "Recorder",
    "build_arguments",
    "describe_schedule",
    "fast_path_of",
    "plan_schedule",
    "probe_optimizer",
    "thin_schedule",
    "tokens_at",
    "weighted_loss_sum",
]
