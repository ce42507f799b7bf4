"""`eterna eval`: base against tuned on the run's held-out data, and the page that shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eterna.config import LoadedConfig
from eterna.errors import RunError
from eterna.evaluation import ItemLoss, perplexity_scores, score_items
from eterna.models import load_finished, load_model
from eterna.pipeline.plan import Plan, make_plan
from eterna.pipeline.quiet import quiet_libraries
from eterna.reports import write_report
from eterna.runs import RunFolder, Score


def evaluate(path: Path) -> list[Score]:
    """Score base and final model of a run again, from its folder alone; rewrites scores.json and report.html."""
    quiet_libraries()
    run = RunFolder.open(path)
    config = run.config()
    if not config.data.eval:
        raise RunError(f"the run in {path} has no held-out data", fix="add `data: eval:` and train again")
    plan = make_plan(LoadedConfig(config, run.resolved, ""))
    model, _ = load_finished(run.final)
    batch = config.training.per_device_eval_batch_size
    tuned = score_items(model, plan.data.eval, plan.window, batch)
    scores = perplexity_scores(score_base(plan, model), tuned, signature(plan))
    run.write_scores(scores)
    write_report(run)
    return scores


def score_base(plan: Plan, tuned: Any) -> list[ItemLoss]:
    """NLL of every held-out item under the model that training began with."""
    config = plan.config
    batch = config.training.per_device_eval_batch_size
    if config.lora and not config.lora.modules_to_save and config.lora.bias == "none":
        with tuned.disable_adapter():
            return score_items(tuned, plan.data.eval, plan.window, batch)
    base = load_model(config.model, plan.precision.name, config.training.seed, train_all=config.lora is None)
    base.to(next(tuned.parameters()).device)
    return score_items(base, plan.data.eval, plan.window, batch)


def signature(plan: Plan) -> str:
    """Everything that decides the figure, in one line."""
    import transformers

    hashes = "+".join(report.sha256[:12] for report in plan.data.reports if report.part == "eval")
    window = plan.window
    on = "answers+stop" if plan.config.data.train_on == "answers" else "all"
    return (
        f"ppl|window:{window}|stride:{max(1, window // 2)}|scored:{on},text:all-but-first+eos"
        f"|data:{hashes}|ci:bootstrap1000,by-group,seed12345|transformers:{transformers.__version__}|v1"
    )
