"""`eterna eval`: base against tuned on the run's held-out data, and the page that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eterna.config import RunConfig
from eterna.data import Encoded, SourceReport, prepare_data, read_sources
from eterna.errors import RunError
from eterna.evaluation import ItemLoss, default_stride, perplexity_scores, score_items
from eterna.models import held_as, keeps_base, load_finished, load_model
from eterna.pipeline.quiet import quiet_libraries
from eterna.reports import write_report
from eterna.runs import RunFolder, Score
from eterna.world import find_world, load_world


def evaluate(path: Path) -> list[Score]:
    """Score base and final model of a run again, from its folder alone; rewrites scores.json and report.html.

    Runs on any machine: both models are held in float32.
    """
    quiet_libraries()
    run = RunFolder.open(path)
    config = run.config()
    if not config.data.eval:
        raise RunError(f"the run in {path} has no held-out data", fix="add `data: eval:` and train again")
    world = load_world(find_world(config.world)) if config.world else None
    read = read_sources(config.data, world, parts=("eval",))
    model, tokenizer = load_finished(run.final)
    data = prepare_data(read, config.data, tokenizer)
    tuned = score_items(model, data.eval, config.data.max_length, config.training.per_device_eval_batch_size)
    base = score_base(config, data.eval, model)
    scores = perplexity_scores(base, tuned, signature(config, data.reports, model))
    run.write_scores(scores)
    write_report(run)
    return scores


def score_base(config: RunConfig, items: Sequence[Encoded], tuned: Any) -> list[ItemLoss]:
    """NLL of every held-out item under the model that training began with, beside the tuned one in memory."""
    window, batch = config.data.max_length, config.training.per_device_eval_batch_size
    if config.lora and keeps_base(config.lora):
        with tuned.disable_adapter():
            return score_items(tuned, items, window, batch)
    section = config.model.model_copy(update={"quantization": "nf4" if held_as(tuned) == "nf4" else "none"})
    base = load_model(section, "fp32", config.training.seed, train_all=True)
    base.to(next(tuned.parameters()).device)
    return score_items(base, items, window, batch)


def signature(config: RunConfig, reports: Sequence[SourceReport], model: Any) -> str:
    """Everything that decides the figure, in one line."""
    import transformers

    hashes = "+".join(report.sha256[:12] for report in reports if report.part == "eval")
    window = config.data.max_length
    scored = "answers+stop" if config.data.train_on == "answers" else "all"
    return (
        f"ppl|window:{window}|stride:{default_stride(window)}|scored:{scored},text:all-but-first+eos|held:{held_as(model)}"
        f"|data:{hashes}|ci:bootstrap1000,by-group,seed12345|transformers:{transformers.__version__}|v1"
    )
