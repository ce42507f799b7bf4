"""Going on with a run: which checkpoint, and what must not have changed since."""

from __future__ import annotations

from pathlib import Path

from eterna.config import LoadedConfig, RunConfig
from eterna.config.field_tables import ANSWERS
from eterna.errors import Problem, RunError
from eterna.pipeline.plan import Plan
from eterna.runs import RunFolder
from eterna.text import shown

# Settings that may differ between a run and its resumption: they change no weight.
FREE_TO_CHANGE = {"name", "evaluation", "generation", "tracking"}
FREE_IN_TRAINING = {
    "output_dir",
    "logging_steps",
    "save_steps",
    "save_strategy",
    "save_total_limit",
    "eval_steps",
    "eval_strategy",
    "report_to",
    "per_device_eval_batch_size",
    "logging_strategy",
    "logging_first_step",
    "eval_delay",
    "load_best_model_at_end",
    "resume_from_checkpoint",
    "ignore_data_skip",
    "disable_tqdm",
    "run_name",
    "dataloader_num_workers",
    "dataloader_pin_memory",
    "dataloader_persistent_workers",
    "dataloader_prefetch_factor",
    "push_to_hub",
    "hub_model_id",
    "hub_strategy",
    "hub_token",
    *ANSWERS,
}


def find_checkpoint(run: RunFolder, loaded: LoadedConfig, resume: bool) -> Path | None:
    """The checkpoint to go on from, by --resume or `resume_from_checkpoint`; None at the start.

    Raises RunError when there is none, or the folder is taken.
    """
    asked = (loaded.config.training.model_extra or {}).get("resume_from_checkpoint")
    named = Path(asked) if isinstance(asked, str) else None
    resume = resume or asked is True
    if not run.is_used():
        if resume and not named:
            fix = "leave --resume (resume_from_checkpoint) out to start it"
            raise RunError(f"{run.path} holds no run to resume", fix=fix)
        if run.path.exists() and not run.path.is_dir():
            raise RunError(f"{run.path} is a file, not a folder", fix="choose another training.output_dir")
        return named_checkpoint(run, named) if named else None
    if not (resume or named):
        raise RunError(
            f"{run.path} already holds a run",
            fix="add --resume to go on with it, or choose another training.output_dir",
        )
    if run.status().get("state") == "finished":
        raise RunError(f"the run in {run.path} is finished", fix=f"look at it: eterna report {run.path}")
    differences = list(config_differences(run.config(), loaded.config))
    if differences:
        raise RunError(
            [
                Problem(line, fix="resume with the settings of the run, or choose another training.output_dir")
                for line in differences
            ]
        )
    if named:
        return named_checkpoint(run, named)
    checkpoints = run.checkpoints()
    return whole(checkpoints[-1]) if checkpoints else None


def named_checkpoint(run: RunFolder, path: Path) -> Path:
    """The checkpoint of `resume_from_checkpoint: PATH`: one of this run, or any that begins a run. Raises RunError."""
    if not (path / "trainer_state.json").is_file() or not path.resolve().name.rpartition("-")[2].isdecimal():
        raise RunError(
            f"training.resume_from_checkpoint: {path} is no checkpoint", fix="a folder such as checkpoint-500"
        )
    if run.is_used() and path.resolve().parent != run.path.resolve():
        raise RunError(
            f"training.resume_from_checkpoint: {path} belongs to another run than {run.path}",
            fix="name a checkpoint of this run, or choose another training.output_dir",
        )
    return whole(path)


def whole(checkpoint: Path) -> Path:
    """The checkpoint, if it holds all that going on needs. Raises RunError for one of the model alone."""
    if not any(checkpoint.glob("rng_state*")):
        raise RunError(
            f"{checkpoint} holds the model only (save_only_model), so its training cannot go on",
            fix="start a run from it: `model: name:` that folder, in another training.output_dir",
        )
    return checkpoint


def config_differences(old: RunConfig, new: RunConfig) -> list[str]:
    """Settings that would change the weights of a resumed run, one line each."""
    lines = []
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    for section in sorted(before.keys() - FREE_TO_CHANGE):
        left, right = before[section], after[section]
        if section == "training":
            left = {key: value for key, value in left.items() if key not in FREE_IN_TRAINING}
            right = {key: value for key, value in right.items() if key not in FREE_IN_TRAINING}
        if isinstance(left, dict) and isinstance(right, dict):
            lines += [
                f"{section}.{key} was {shown(left.get(key))} and is now {shown(right.get(key))}"
                for key in sorted(left.keys() | right.keys())
                if left.get(key) != right.get(key)
            ]
        elif left != right:
            lines.append(f"{section} was {shown(left)} and is now {shown(right)}")
    return lines


def check_same_data(run: RunFolder, plan: Plan) -> None:
    """Refuse to resume on data that changed since the run began."""
    before = {(item["part"], item["name"]): item["sha256"] for item in run.data().get("sources", [])}
    now = {(report.part, report.name): report.sha256 for report in plan.data.reports}
    changed = [name for (part, name), sha in now.items() if before.get((part, name)) != sha]
    if changed:
        raise RunError(
            Problem(
                f"{name} has changed since the run began",
                fix="restore it, or start a new run in another training.output_dir",
            )
            for name in changed
        )


def check_same_processes(checkpoint: Path | None, processes: int) -> None:
    """Refuse to resume with another number of processes: the batch and the dropout would be others."""
    # transformers leaves one file of random state per process.
    before = len(list(checkpoint.glob("rng_state*.pth"))) if checkpoint else 0
    if before and before != processes:
        raise RunError(
            f"the number of processes was {before} and is now {processes}",
            fix="resume with as many processes as the run began with",
        )
