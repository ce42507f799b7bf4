"""`eterna eval`: base against tuned on the run's held-out data, the canon, and the page that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eterna.data import gather_again, prepare_data
from eterna.errors import CanonError, RunError
from eterna.evaluation import Breach
from eterna.models import held_as, load_finished
from eterna.pipeline.control import origin_of
from eterna.pipeline.inputs import prompt_room, read_world, read_yardsticks
from eterna.pipeline.libraries import load_libraries
from eterna.pipeline.measuring import Compared, Measurer, base_of
from eterna.reports import write_card, write_report
from eterna.runs import RunFolder, Score
from eterna.text import plural, shown


@dataclass
class Evaluated:
    """What an evaluation found."""

    run: RunFolder
    scores: list[Score]
    breaches: list[Breach] | None
    """Rules of the canon that replies of the tuned model break; None where nothing was looked at."""


def evaluate(path: Path) -> Evaluated:
    """Score base and final model of a run again; rewrites scores.json, canon.json, replies.jsonl and report.html.

    Runs on any machine: both models are held in float32.
    """
    load_libraries("peft")
    run = RunFolder.open(path)
    config = run.config()
    if not config.data.holds_out:
        raise RunError(f"the run in {path} has no held-out data", fix="add `data: eval:` and train again")
    world = read_world(config)
    yardsticks = read_yardsticks(config.evaluation, world)
    read = gather_again(config.data, config.training.seed, world)
    model, tokenizer = load_finished(run.final)
    data = prepare_data(read, config.data, tokenizer, config.evaluation.samples, prompt_room(config))
    measurer = Measurer(config, world, yardsticks, read, data, tokenizer)
    tuned = measurer.measure(model, tempt=True)
    with base_of(config, model) as base:
        compared = measurer.compare(measurer.measure(base), tuned, held_as(model))
    keep(run, compared)
    write_card(run)
    write_report(run)
    return Evaluated(run, compared.scores, compared.breaches)


def check_canon(breaches: Sequence[Breach] | None) -> None:
    """Raises CanonError naming every broken rule with the words that break it, where there is one."""
    if breaches:
        lines = [
            f"{one.rule} ({one.kind}), {one.item}: {shown(one.matched)} in {shown(one.reply, 160)}" for one in breaches
        ]
        raise CanonError(f"the canon is broken in {plural(len(breaches), 'place')}\n  " + "\n  ".join(lines))


def keep(run: RunFolder, compared: Compared) -> None:
    """Write what was found into the run folder."""
    run.write_scores(compared.scores, compared.control)
    run.write_replies(compared.rows)
    run.write_measured([origin_of(run), *compared.measured])
    run.write_ratings(compared.agreements)
    found = compared.breaches
    run.write_canon(
        None if found is None else [breach.as_row() for breach in found], compared.canon_untested, compared.redrawn
    )
