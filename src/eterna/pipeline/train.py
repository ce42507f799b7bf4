"""`eterna train`: plan, train, evaluate, save, report."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eterna.config import LoadedConfig
from eterna.evaluation import ItemLoss, answer_probes, perplexity_scores, score_items, summarize
from eterna.models import add_lora, load_finished, load_model, save_finished
from eterna.pipeline.evaluate import score_base, signature
from eterna.pipeline.hub import upload
from eterna.pipeline.plan import Plan, make_plan, show_plan
from eterna.pipeline.quiet import quiet_libraries
from eterna.pipeline.resuming import check_same_data, find_checkpoint
from eterna.reports import write_report
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
    from accelerate import PartialState
    from rich.console import Console

    quiet_libraries()
    if int(os.environ.get("RANK", "0")) > 0:
        console = Console(quiet=True)
    run = RunFolder(Path(loaded.config.training.output_dir))
    checkpoint = find_checkpoint(run, loaded, resume)
    plan = make_plan(loaded)
    show_plan(plan, console)
    if dry_run:
        console.print("dry run: nothing was loaded or written", highlight=False)
        return None
    if run.is_used():
        check_same_data(run, plan)
    # No process may find the folder taken by the first one's own records.
    PartialState().wait_for_everyone()
    model = load_model(
        plan.config.model, plan.precision.name, plan.config.training.seed, train_all=plan.config.lora is None
    )
    if plan.config.lora:
        model = add_lora(model, plan.config.lora, plan.config.training.seed)
    return _Training(plan, run, model, console).go(checkpoint)


class _Training:
    """One run from the first step to the report."""

    def __init__(self, plan: Plan, run: RunFolder, model: Any, console: Console) -> None:
        self.plan = plan
        self.config = plan.config
        self.run = run
        self.model = model
        self.console = console
        self.is_main = plan.arguments.process_index == 0
        self.base: list[ItemLoss] = []
        self.latest: list[ItemLoss] = []
        self.latest_step = -1

    def go(self, checkpoint: Path | None) -> Trained:
        from eterna.training import EternaTrainer, Interrupt, Progress, Recorder

        config, arguments = self.config, self.plan.arguments
        trackers = self._open(checkpoint)
        recorder = Recorder(self.run, trackers)
        asked = config.training.model_extra or {}
        progress = Progress(self.console, recorder, live=not asked.get("disable_tqdm"))
        interrupt = Interrupt()
        trainer = EternaTrainer(
            self.model,
            arguments,
            self.plan.tokenizer,
            self.plan.data.train,
            self.plan.data.weights,
            self._evaluate if config.data.eval else None,
            callbacks=[recorder, progress, interrupt],
        )
        self.trackers = trackers
        recorder.meter = lambda: (trainer.training_clock(), trainer.tokens_seen)
        state = "failed"
        try:
            with interrupt:
                if checkpoint is None and config.data.eval:
                    figures = {f"eval/{name}": value for name, value in self._evaluate(trainer.model, 0).items()}
                    if self.is_main:
                        recorder.write(0, 0.0, figures)
                self._train(trainer, checkpoint)
            scores = [] if interrupt.received else self._finish(trainer)
            state = "interrupted" if interrupt.received else "finished"
        finally:
            progress.close()
            if self.is_main:
                self.run.write_status(state, trainer.state.global_step)
                if state == "finished":
                    trackers.log_file(write_report(self.run))
            trackers.close(state)
        if interrupt.received and self.is_main:
            self.say(f"stopped at step {trainer.state.global_step}, checkpoint saved; go on with --resume")
        return Trained(self.run, scores, interrupt.exit_code)

    def say(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _open(self, checkpoint: Path | None) -> Trackers:
        config = self.config
        if not self.is_main:
            return Trackers(self.say)
        if not self.run.is_used():
            self.run.start(
                self.plan.loaded,
                environment_record(),
                self.plan.data.record(self.plan.tokenizer.chat_template),
            )
        self.run.drop_after(int(checkpoint.name.rpartition("-")[2]) if checkpoint else -1)
        self.run.write_status("running", 0)
        folder = Path(config.tracking.tensorboard_dir or self.run.path / "logs")
        name = (config.training.model_extra or {}).get("run_name") or config.name
        trackers = open_trackers(config.training.report_to, folder, name, config.tracking, self.say)
        trackers.log_parameters(flat(self.plan.loaded.resolved()))
        reports = enumerate(self.plan.data.reports)
        trackers.log_parameters({f"data.{number}.sha256": report.sha256 for number, report in reports})
        for name in ("resolved.yaml", "data.json", "environment.json"):
            trackers.log_file(self.run.path / name)
        return trackers

    def _train(self, trainer: Any, checkpoint: Path | None) -> None:
        import transformers

        if checkpoint:
            self.say(f"resuming from {checkpoint}")
            rows = [row for row in self.run.metrics() if "train/tokens" in row]
            trainer.tokens_seen = int(rows[-1]["train/tokens"]) if rows else 0
        # The random state at the first step must not depend on what was done before it.
        transformers.set_seed(self.config.training.seed)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    def _evaluate(self, model: Any, step: int) -> dict[str, float]:
        """Figures on data.eval; probe replies go to the run folder and the trackers."""
        config = self.config
        self.latest = score_items(
            model, self.plan.data.eval, config.data.max_length, config.training.per_device_eval_batch_size
        )
        self.latest_step = step
        if step == 0:
            self.base = self.latest
        if self.is_main:
            rows = answer_probes(model, self.plan.tokenizer, self.plan.data.probes, config.generation, step)
            self.run.add_samples(rows)
            for row in rows:
                self.trackers.log_text(step, f"{row['probe']}", row["reply"])
        pooled = summarize(self.latest)
        figures = {"loss": pooled.loss, "perplexity": pooled.perplexity}
        return figures | ({"bits_per_byte": pooled.bits_per_byte} if pooled.bits_per_byte is not None else {})

    def _finish(self, trainer: Any) -> list[Score]:
        """Save final/, score base against tuned."""
        from eterna.data import Encoder

        config, step = self.config, trainer.state.global_step
        best = trainer.best_step_loaded()
        if best not in (None, self.latest_step):
            self.say(f"checkpoint-{best} is the best and becomes the final model")
            window, batch = config.data.max_length, config.training.per_device_eval_batch_size
            self.latest = score_items(trainer.model, self.plan.data.eval, window, batch)
        elif config.data.eval and self.latest_step != step:
            trainer.evaluate()
        if not self.is_main:
            return []
        model = trainer.accelerator.unwrap_model(trainer.model)
        stop = Encoder(self.plan.tokenizer).stop_tokens(model.generation_config)
        save_finished(model, self.plan.tokenizer, self.run.final, stop, config.generation.max_new_tokens)
        if self.plan.arguments.push_to_hub:
            self.say(f"uploaded to {upload(self.run.final, trainer)}")
        if not config.data.eval:
            return []
        base = self.base or score_base(config, self.plan.data.eval, model)
        scores = perplexity_scores(base, self.latest, signature(config, self.plan.data.reports, model))
        self.run.write_scores(scores)
        return scores


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            found |= flat(value, f"{name}.")
        else:
            found[name] = value
    return found
