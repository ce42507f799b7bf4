"""docs/benchmarks.md and its picture, from the JSON files in results/.

python benchmarks/write_docs.py [FOLDER]

FOLDER: where `benchmarks.md` and `images/training-speed.svg` go; docs/ if left out.
"""

from __future__ import annotations

import statistics
import sys
from html import escape
from pathlib import Path
from typing import Any

from machine import read_results

from training import FIRST_LOOK, SYSTEMS, WORKS, table

HERE = Path(__file__).parent
HEADINGS = {
    "chat-lora": "LoRA, chat",
    "chat-full": "Full fine-tuning, chat",
    "long-lora": "LoRA, prompts of 900 tokens and answers of 100",
    "135m-lora": "LoRA, 135 million parameters, chat",
}
INTRO = """# Benchmarks

Written by `python benchmarks/write_docs.py` from the files in `benchmarks/results`, never by hand.

## Speed of training

Command: `python benchmarks/training.py` (it installs TRL, LLaMA-Factory and LitGPT in environments of their own).
{machine}; the processor has {instructions}.

**How to read it.** Every system trains the same random-weight model on the same examples, 8 to an optimizer step, with
the same optimizer and, for LoRA, rank 8 on the query and value projections with a dropout of 0.1. Counted are real
tokens, never padding; the first five steps are left out. Every setting of every peer trains once on {first_look} chat
examples; those within a tenth of the fastest peer then take turns with Eterna on the whole work, and medians over the
rounds stand before the slowest and the fastest. Memory is the peak of the process less what its imports take.

**What it does not show.** One machine with two cores; nothing about GPUs, larger models, or how well a model turns out
(the loss is the same function for all; that it is computed exactly is a matter of tests, not of this page). The
settings of a peer are ours, the fastest that we know; its makers may know better ones. Speeds of one system differ by
up to 30 % from minute to minute on this machine: trust ratios of runs that took turns, not single figures.

![tokens per second of each system](images/training-speed.svg)

### Every setting of the peers, a first look

One run each on {first_look} chat examples, 12M parameters, tokens per second.

| setting | LoRA | full |
|---|---|---|
{looked}
"""
MEMORY = """
## Memory, foretold and measured

Command: `python benchmarks/memory.py`. {machine}. Above the bare imports ({imports:,.0f} MiB); {rows} rows of {length}
tokens, float32. A constant of the estimate was set on these very trainings, so the table shows a fit, not a forecast.

| shape and method | estimated | measured | ratio |
|---|---|---|---|
"""
EVALUATION = """
## Speed of evaluation

Command: `python benchmarks/evaluation.py RUN` on a finished run (here `{run}`, {parameters:,} parameters with their
adapters, float32). {machine}. Medians of {rounds} rounds in turns.

| | theirs | ours | ratio |
|---|---|---|---|
| {prompts} greedy replies of at most {longest_reply} tokens, beside a loop over transformers' `generate`, 8 at a \
time | \
{plain:.1f} s | {own:.1f} s | {replies:.2f} |
| NLL of {scored:,} tokens, beside lm-evaluation-harness 0.4.13, 8 at a time | {harness:.1f} s | {scoring:.1f} s | \
{perplexity:.2f} |

**How to read it.** {same_replies} of {prompts} replies are the same, token by token; the sums of NLL are {own_nll:.3f}
and {harness_nll:.3f} nats. Ours reads what prompts begin with together once, and each conversation once where the
harness reads it again for each of its answers.

**What it does not show.** Other worlds: with prompts that share nothing the replies gain less.
"""
START = """
## Start and checkpoints

Commands: `python benchmarks/start.py` and `python benchmarks/checkpoints.py`. {machine}; medians of {rounds} starts
with a warm file cache, in an environment with bitsandbytes (whose import alone takes about 1.3 s).

| | |
|---|---|
| `eterna --help` | {help:.2f} s |
| first optimizer step of `eterna demo`, without the {probes:.1f} s of the untrained model's replies | {first:.1f} s |
| a LoRA checkpoint of the 12M shape ({lora_size:.1f} MiB) | {lora:.3f} s: {lora_share:.2%} of training, one a minute |
| a full one ({full_size:.1f} MiB) | {full:.3f} s: {full_share:.2%} |

**What it does not show.** A cold start from disk, and a disk slower than this one.
"""


def evaluation_section(found: dict[str, Any]) -> str:
    """Of the page."""
    median = {name: statistics.median(found[f"{name}_seconds"]) for name in ("plain", "own", "harness", "own_scoring")}
    ratios = {"replies": median["plain"] / median["own"], "perplexity": median["harness"] / median["own_scoring"]}
    scoring = median.pop("own_scoring")
    return EVALUATION.format(**found, **median, **ratios, scoring=scoring, rounds=len(found["own_seconds"]))


def start_section(start: dict[str, Any], checkpoints: dict[str, Any]) -> str:
    """Of the page."""
    values = {
        "help": statistics.median(start["help_seconds"]),
        "first": statistics.median(start["first_step_seconds"]),
        "probes": statistics.median(start["probe_seconds"]),
    }
    for method, one in checkpoints["methods"].items():
        values[method], values[f"{method}_share"] = statistics.median(one["seconds"]), one["share"]
        values[f"{method}_size"] = one["bytes"] / 2**20
    return START.format(machine=start["machine"], rounds=start["rounds"], **values)


def looked_rows(looked: dict[str, dict[str, float]]) -> str:
    """A table row for each setting; empty where it was not tried."""
    rows = []
    for system in SYSTEMS:
        speeds = [looked[method].get(system) for method in ("lora", "full")]
        if any(speeds):
            rows.append(f"| {SYSTEMS[system]} | " + " | ".join(f"{one:,.0f}" if one else "" for one in speeds) + " |")
    return "\n".join(rows)


def page(results: dict[str, dict[str, Any]]) -> str:
    """The Markdown page."""
    training, memory = results["training"], results["memory"]
    parts = [
        INTRO.format(
            machine=training["machine"],
            instructions=", ".join(training["instructions"]),
            first_look=FIRST_LOOK,
            looked=looked_rows(training["first_look"]),
        )
    ]
    for work, rows in training["tables"].items():
        shape = WORKS[work][0]
        count = next(run["examples"] for run in training["runs"] if run["work"] == work)
        rounds = rows[0]["rounds"]
        said = f"{shape} parameters, {count:,} examples, {rounds} rounds."
        parts.append(f"\n### {HEADINGS[work]}\n\n{said}\n\n{table(rows)}\n")
    mebi = 2**20
    parts.append(MEMORY.format(**{**memory, "imports": memory["imports"] / mebi}))
    for name, cell in memory["cells"].items():
        sizes = f"{cell['estimated'] / mebi:,.0f} MiB | {cell['measured'] / mebi:,.0f} MiB"
        parts.append(f"| {name} | {sizes} | {cell['ratio']:.2f} |\n")
    parts += [evaluation_section(results["evaluation"]), start_section(results["start"], results["checkpoints"])]
    return "".join(parts)


def picture(tables: dict[str, list[dict[str, Any]]]) -> str:
    """Bars of tokens per second, a group for each table, with a line from the slowest to the fastest round."""
    most = max(row["fastest"] for rows in tables.values() for row in rows)
    lines, top = [], 10
    for work, rows in tables.items():
        lines.append(f'<text x="10" y="{top + 14}" font-weight="bold">{escape(HEADINGS[work])}</text>')
        top += 24
        for row in rows:
            scale = 330 / most
            colour = "#2f6f4f" if row["system"].startswith("eterna") else "#9a9a9a"
            middle, speed = top + 9, row["tokens_per_second"]
            ends = row["slowest"] * scale + 330, row["fastest"] * scale + 330
            lines += [
                f'<text x="320" y="{top + 13}" text-anchor="end">{escape(SYSTEMS[row["system"]])}</text>',
                f'<rect x="330" y="{top}" width="{speed * scale:.1f}" height="18" fill="{colour}"/>',
                f'<line x1="{ends[0]:.1f}" y1="{middle}" x2="{ends[1]:.1f}" y2="{middle}" stroke="black"/>',
                f'<text x="{ends[1] + 6:.1f}" y="{top + 13}">{speed:,.0f}</text>',
            ]
            top += 24
        top += 12
    size = f'width="740" height="{top}" font-family="sans-serif" font-size="13"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *lines, "</svg>", ""])


def main() -> None:
    """Both files."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "docs"
    names = ("training", "memory", "evaluation", "start", "checkpoints")
    results = {name: read_results(name) for name in names}
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.md").write_text(page(results), encoding="utf-8")
    (folder / "images" / "training-speed.svg").write_text(picture(results["training"]["tables"]), encoding="utf-8")


if __name__ == "__main__":
    main()
