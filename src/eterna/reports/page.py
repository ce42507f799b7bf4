"""Puts the page together: reads the run's records, hands them to the template as plain values."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eterna.config import RunConfig, method_of
from eterna.errors import UserError
from eterna.files import read_text, write_whole
from eterna.reports.curves import draw_all
from eterna.reports.probes import MAX_PROBES, probes_of
from eterna.reports.signs import fixed, plain, visible
from eterna.reports.verdict import CONTROL, SYSTEMS, control_rows, score_rows, slice_rows, split_rows, verdict
from eterna.reports.weakest import weakest_replies
from eterna.runs import RunFolder
from eterna.text import plural

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
STATES = {
    "finished": "Training finished at step {step}.",
    "running": "Training had not ended when this page was written; the last step recorded is {step}.",
    "interrupted": "Training was interrupted at step {step}.",
    "failed": "Training failed at step {step}.",
}
ENVIRONMENT_LABELS = {"memory_gib": "memory, GiB", "eterna": "Eterna", "python": "Python"}


def write_report(run: RunFolder) -> Path:
    """Build the page and write it into the run folder."""
    write_whole(run.report, build_report(run))
    return run.report


def build_report(run: RunFolder) -> str:
    """The whole page as HTML. Missing records are said to be missing; damaged ones raise RunError."""
    from markupsafe import Markup

    config = _config(run)
    scores = run.scores()
    rows = score_rows(scores)
    main, health = split_rows(rows)
    best = run.best()
    probes = probes_of(run.samples(), best.get("kept"))
    planned = [{"step": step, "plan/learning_rate": rate} for step, rate in run.schedule()]
    charts = draw_all([*run.metrics(), *planned])
    path = _near(run.path)
    return (
        load_templates()
        .get_template("template.html.jinja")
        .render(
            style=Markup((HERE / "style.css").read_text(encoding="utf-8")),  # noqa: S704
            name=(name := config.name if config else run.path.resolve().name),
            plain_name=plain(name),
            facts=_facts(run, config),
            verdict=verdict(rows),
            systems=SYSTEMS,
            score_rows=main,
            health_rows=health,
            slice_rows=slice_rows(scores),
            control=run.control(),
            control_rows=control_rows(scores),
            control_systems=CONTROL,
            best=best,
            ratings=run.ratings(),
            breaches=run.canon(),
            canon_untested=run.canon_untested(),
            redrawn=run.redrawn(),
            weakest=weakest_replies(run.replies()),
            charts=[(chart, Markup(chart.svg or "")) for chart in charts],  # noqa: S704
            probes=probes[:MAX_PROBES],
            probes_left_out=len(probes) - MAX_PROBES,
            data=run.data(),
            resolved=read_text(run.resolved) if run.resolved.is_file() else None,
            environment=_environment_rows(run.environment()),
            has_model=run.final.is_dir(),
            commands=_commands(path, config),
            python=python_lines(path / "final", (run.final / "adapter_config.json").is_file()),
        )
    )


def load_templates(escape: bool = True) -> Environment:
    """The templates beside this file; whatever they write is escaped and has its hidden signs shown."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # `finalize` sees every value the template writes, so no text reaches the page with a hidden sign in it.
    templates = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=escape,  # noqa: S701 - False is for Markdown
        finalize=visible if escape else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(fixed=fixed, plural=plural, share=_share)
    return templates


def _config(run: RunFolder) -> RunConfig | None:
    """The config in force; None where it is missing or another version of Eterna wrote it."""
    try:
        return run.config() if run.is_used() else None
    except UserError:
        return None


def _facts(run: RunFolder, config: RunConfig | None) -> list[tuple[str, str]]:
    """The lines of the card under the title."""
    facts = []
    if config:
        facts.append(("Model", config.model.name))
        facts.append(("Method", method_of(config)))
    status = run.status()
    known = STATES.get(str(status.get("state")), "The run's state is recorded as “{state}”, step {step}.")
    state = known.format(state=status.get("state"), step=status.get("step")) if status else "No status was recorded."
    facts.append(("Status", f"{state} {status['message']}" if status.get("message") else state))
    return facts


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "–"


def _environment_rows(record: dict[str, Any]) -> list[tuple[str, str]]:
    """The environment record, one line per value; versions of libraries included."""
    rows: list[tuple[str, str]] = []
    for key, value in record.items():
        if isinstance(value, dict):
            rows += [(name, "not installed" if item is None else str(item)) for name, item in value.items()]
        elif key != "format":
            written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            rows.append((ENVIRONMENT_LABELS.get(key, key.replace("_", " ")), "unknown" if value is None else written))
    return rows


def _near(path: Path) -> Path:
    """The path from the current folder when it lies inside, else as an absolute path."""
    whole, here = path.resolve(), Path.cwd()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole


def _commands(path: Path, config: RunConfig | None) -> list[tuple[str, str]]:
    """(command, what it does) for the next steps."""
    run = shlex.quote(str(path))
    commands = [
        (f"eterna chat {run}", "talk with the tuned model"),
        (f"eterna eval {run}", "score base and tuned model again"),
        (f"eterna report {run}", "write this page again"),
    ]
    if config is None or "tensorboard" in config.training.report_to:
        logs = (config and config.tracking.tensorboard_dir) or str(path / "logs")
        commands.append((f"tensorboard --logdir {shlex.quote(logs)}", "look at the curves while they grow"))
    return commands


def python_lines(final: Path, adapter: bool) -> str:
    """Python that loads the finished model without Eterna."""
    folder = json.dumps(str(final), ensure_ascii=False)
    if adapter:
        opening = ["from peft import AutoPeftModelForCausalLM", "from transformers import AutoTokenizer"]
        name = "AutoPeftModelForCausalLM"
    else:
        opening = ["from transformers import AutoModelForCausalLM, AutoTokenizer"]
        name = "AutoModelForCausalLM"
    loading = [
        f"model = {name}.from_pretrained({folder})",
        f"tokenizer = AutoTokenizer.from_pretrained({folder})",
    ]
    return "\n".join([*opening, *loading])
