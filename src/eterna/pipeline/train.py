"""`eterna train`: plan, train, evaluate, save, report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eterna.config import LoadedConfig
from eterna.errors import ModelError, RunError
from eterna.evaluation import Breach, ItemLoss, composite_of
from eterna.models import add_lora, find_base_commit, held_as, load_finished, load_model, save_finished
from eterna.pipeline.choosing import Choice
from eterna.pipeline.evaluate import keep
from eterna.pipeline.hub import upload
from eterna.pipeline.libraries import TRAINING, load_libraries
from eterna.pipeline.measuring import Measurer, base_of
from eterna.pipeline.outline import show_outline
from eterna.pipeline.plan import Plan, make_plan, show_plan
from eterna.pipeline.preflight import check_run_folder
from eterna.pipeline.records import flat, track_result, world_record
from eterna.pipeline.resuming import check_same_data, check_same_processes, find_checkpoint
from eterna.pipeline.room import room_problems
from eterna.pipeline.sizing import choose_path
from eterna.reports import write_card, write_report
from eterna.runs import RunFolder, Score, environment_record
from eterna.tracking import Trackers, open_trackers

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Trained:
    """What a training left behind."""

    run: RunFolder
    scores: list[Score]
    exit_code: int
    """0, or 130 / 143 when a signal stopped it with a checkpoint saved."""
    breaches: list[Breach] | None = None
    """Rules of the canon that replies of the tuned model break; None where nothing was looked at."""

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        return load_finished(self.run.final)

    @property
    def model(self) -> Any:
        """The tuned model, loaded from final/ when it is first asked for. Raises ModelError where it is unfinished."""
        return self._loaded[0]

    @property
    def tokenizer(self) -> Any:
        """The tuned model's tokenizer."""
        return self._loaded[1]


def train(loaded: LoadedConfig, console: Console, resume: bool = False, dry_run: bool = False) -> Trained | None:
    """Train as the config says. Returns None after a dry run. Raises UserError before anything is written."""
    load_libraries(*TRAINING)
    from accelerate import PartialState

    run = RunFolder(Path(loaded.config.training.output_dir))
    check_run_folder(run)
    if dry_run:
        show_outline(loaded, console)
        try:
            find_checkpoint(run, loaded, resume)
        except RunError as error:
            console.print(f"it would not start: {error}", highlight=False, markup=False, soft_wrap=True)
        console.print("dry run: nothing was loaded or written", highlight=False)
        return None
    checkpoint = find_checkpoint(run, loaded, resume)
    plan = make_plan(loaded)
    show_plan(plan, console)
    if problems := room_problems(plan):
        raise ModelError(problems)
    if run.is_used():
        check_same_data(run, plan)
        check_same_processes(checkpoint, plan.arguments.world_size)
    # No process may find the folder taken by the first one's own records.
    PartialState().wait_for_everyone()
    if plan.config.evaluation.best:
        choose_best(plan.arguments)
    model = load_model(
        plan.config.model, plan.precision.name, plan.config.training.seed, train_all=plan.config.lora is None
    )
    if plan.config.lora:
        model = add_lora(model, plan.config.lora, plan.config.training.seed, find_base_commit(plan.config.model))
    return _Training(plan, run, model, console).go(checkpoint)


def choose_best(arguments: Any) -> None:
    """Let transformers keep the checkpoint with the highest composite and load it at the end.

    Set after construction: its own check wants checkpoints and evaluations to fall together, but Eterna saves one at
    every evaluation that is better than all before.
    """
    arguments.metric_for_best_model, arguments.greater_is_better = "composite", True
    arguments.load_best_model_at_end = True
    arguments.restore_callback_states_from_checkpoint = True


class _Training:
    """One run from the first step to the report."""

    def __init__(self, plan: Plan, run: RunFolder, model: Any, console: Console) -> None:
        self.plan = plan
        self.config = plan.config
        self.run = run
        self.model = model
        self.console = console
        self.is_main = plan.arguments.process_index == 0
        self.measurer = Measurer(plan.config, plan.world, plan.yardsticks, plan.read, plan.data, plan.tokenizer)
        self.choice = Choice(run, plan.config.evaluation.best)
        self.base: list[ItemLoss] | None = None
        self.latest: list[ItemLoss] | None = None
        self.latest_step = -1
        self.breaches: list[Breach] | None = None
        self.trackers = Trackers(self.say)
        self.fast = choose_path(plan.config, model, plan.arguments)[0]

    def go(self, checkpoint: Path | None) -> Trained:
        from eterna.training import Interrupt

        interrupt, state, step = Interrupt(), "failed", step_of(checkpoint)
        if self.is_main:
            self._begin(checkpoint)
        try:
            self._open_trackers(checkpoint)
            trainer = self._build(checkpoint, interrupt)
            try:
                with interrupt:
                    self._train(trainer, checkpoint)
                scores = [] if interrupt.received else self._finish(trainer)
                state = "interrupted" if interrupt.received else "finished"
            finally:
                step = trainer.state.global_step
                self.progress.close()
        finally:
            if self.is_main:
                self.run.write_status(state, step)
                if state == "finished":
                    write_card(self.run)
                    write_report(self.run)
                    track_result(self.plan, self.run, self.trackers, scores, step)
            self.trackers.close(state)
        if interrupt.received and self.is_main:
            self.say(f"stopped at step {step}, {self._saved(step)}")
        if state == "finished" and self.is_main and self.plan.arguments.push_to_hub:
            self.say(f"uploaded to {upload(self.run.final, trainer)}")
        return Trained(self.run, scores, interrupt.exit_code, self.breaches)

    def _build(self, checkpoint: Path | None, interrupt: Any) -> Any:
        """The trainer with its callbacks."""
        from eterna.training import EternaTrainer, Progress, Recorder

        config, arguments = self.config, self.plan.arguments
        # Inside Trainer, where the model already is on its device, or shared out over several.
        arguments.eval_on_start = checkpoint is None and config.data.holds_out
        recorder = Recorder(self.run, self.trackers)
        asked = config.training.model_extra or {}
        self.progress = Progress(self.console, recorder, live=not asked.get("disable_tqdm"))
        trainer = EternaTrainer(
            self.model,
            arguments,
            self.plan.tokenizer,
            self.plan.data.train,
            self.plan.data.weights,
            self._evaluate if config.data.holds_out else None,
            callbacks=[recorder, self.progress, interrupt, *self._early_stopping()],
            fast=self.fast,
        )
        recorder.meter = lambda: (trainer.training_clock(), trainer.tokens_seen)
        return trainer

    def _saved(self, step: int) -> str:
        """What an interrupted run can go on from: a signal after the last step comes too late for a checkpoint."""
        checkpoints = self.run.checkpoints()
        if not checkpoints:
            return "no checkpoint was saved yet; --resume begins it again"
        newest = step_of(checkpoints[-1])
        saved = "checkpoint saved" if newest == step else f"the newest checkpoint is of step {newest}"
        return f"{saved}; go on with --resume"

    def say(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _early_stopping(self) -> list[Any]:
        from transformers import EarlyStoppingCallback

        settings = self.config.evaluation
        patience, threshold = settings.early_stopping_patience, settings.early_stopping_threshold
        return [EarlyStoppingCallback(patience, threshold)] if patience else []

    def _begin(self, checkpoint: Path | None) -> None:
        """The run folder's first records, or those of the run that goes on."""
        arithmetic = str(self.fast or "plain path")
        if self.run.is_used():
            self.run.write_config(self.plan.loaded)
            before = self.run.environment().get("arithmetic", arithmetic)
            if before != arithmetic:
                self.say(f"the run began on the {before} and goes on on the {arithmetic}: its last bits will differ")
        else:
            self.run.start(
                self.plan.loaded,
                environment_record() | {"arithmetic": arithmetic},
                self.plan.data.record(self.plan.tokenizer.chat_template) | world_record(self.plan.world),
            )
            self.run.write_skipped(row for source in self.plan.read for row in source.skipped_rows())
        self.run.drop_after(step_of(checkpoint) if checkpoint else -1)
        self.run.write_status("running", step_of(checkpoint))

    def _open_trackers(self, checkpoint: Path | None) -> None:
        """In the main process alone: the others log nothing."""
        from eterna.training import thin_schedule

        if not self.is_main:
            return
        config = self.config
        folder = Path(config.tracking.tensorboard_dir or self.run.path / "logs")
        name = (config.training.model_extra or {}).get("run_name") or config.name
        trackers = self.trackers = open_trackers(config.training.report_to, folder, name, config.tracking, self.say)
        if checkpoint is None and self.plan.rates:
            points = thin_schedule(self.plan.rates)
            self.run.write_schedule(points)
            trackers.log_curve("plan/learning_rate", points)
        hashes = {f"data.{number}.sha256": report.sha256 for number, report in enumerate(self.plan.data.reports)}
        trackers.log_parameters(flat(self.plan.loaded.resolved()) | hashes)
        for name in ("resolved.yaml", "data.json", "environment.json"):
            trackers.log_file(self.run.path / name)

    def _train(self, trainer: Any, checkpoint: Path | None) -> None:
        import transformers

        from eterna.training import tokens_at

        if checkpoint:
            self.say(f"resuming from {checkpoint}")
            rows = self.run.metrics()
            trainer.tokens_seen = tokens_at(checkpoint, rows)
            first = next((row for row in rows if row["step"] == 0), {})
            self.measurer.first = {name[5:]: value for name, value in first.items() if name.startswith("eval/")}
            self.choice.go_on_from(step_of(checkpoint))
        # The random state at the first step must not depend on what was done before it.
        # Each process draws its own dropout.
        transformers.set_seed(self.config.training.seed + self.plan.arguments.process_index)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    def _evaluate(self, model: Any, step: int) -> dict[str, float]:
        """Figures on data.eval; probe replies go to the run folder and the trackers."""
        from accelerate.utils import broadcast_object_list

        figures, rows, self.latest = self.measurer.during(model, step)
        self.latest_step = step
        if step == 0:
            self.base = self.latest
        if self.config.evaluation.best:
            found = composite_of(figures, self.measurer.first, self.config.evaluation.best)
            figures["composite"] = found.value
            if self.is_main:
                self.choice.add(step, found)
        if self.is_main:
            self.run.add_samples(rows)
            for row in rows:
                self.trackers.log_text(step, f"{row['probe']}", row["reply"])
        if self.plan.arguments.world_size > 1:
            # Every process must come to the same decision about the best checkpoint.
            figures = broadcast_object_list([figures])[0]
        return figures

    def _finish(self, trainer: Any) -> list[Score]:
        """Save final/, score base against tuned: in all processes, written by the main one."""
        from eterna.data import Encoder

        config, step = self.config, trainer.state.global_step
        best = trainer.best_step_loaded()
        if best not in (None, self.latest_step):
            self.latest = None
        elif config.data.holds_out and self.latest_step != step:
            trainer.evaluate()
        if config.evaluation.best and self.is_main:
            self.say(self.choice.decide(best, step))
        elif best is not None:
            self.say(f"checkpoint-{best} is the best and becomes the final model")
        model = trainer.bare_model()
        if trainer.accelerator.mixed_precision != "no":
            self.latest = self.base = None  # measured in the arithmetic of training, which the base alone would lack
        stop = Encoder(self.plan.tokenizer).stop_tokens(model.generation_config)
        save_finished(model, self.plan.tokenizer, self.run.final, stop, config.generation.max_new_tokens, self.is_main)
        if not config.data.holds_out:
            return []
        tuned = self.measurer.measure(model, self.latest, tempt=True)
        with base_of(config, model, self.plan.precision.name) as base:
            compared = self.measurer.compare(self.measurer.measure(base, self.base), tuned, held_as(model))
        if self.is_main:
            keep(self.run, compared)
        self.breaches = compared.breaches
        return compared.scores


def step_of(checkpoint: Path | None) -> int:
    """The optimizer step in a checkpoint's name; 0 without one."""
    return int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
