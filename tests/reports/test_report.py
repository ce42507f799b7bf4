"""The report page: what stands on it, what must never do, and what it says when something is missing."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from eterna.config import config_from_values
from eterna.errors import RunError
from eterna.reports import build_report, write_report
from eterna.runs import RunFolder, Score

CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'


class Page(HTMLParser):
    """Tags with their attributes, ids, and the text a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.hidden = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.hidden = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self.hidden = False

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, attribute: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(attribute)) is not None]


def score(metric: str, system: str, value: float | None, low: float = 0.0, high: float = 0.0, **more: Any) -> Score:
    given = {"n": 96, "direction": "lower", "signature": f"sig-{metric}-{system}", **more}
    ends = (None, None) if value is None else (low, high)
    return Score(metric, system, value, *ends, **given)


def perplexity(base: float, tuned: float, low: float, high: float) -> list[Score]:
    return [
        score("perplexity", "base", base, base - 3, base + 3),
        score("perplexity", "tuned", tuned, tuned - 1, tuned + 1),
        score("perplexity", "difference", tuned - base, low, high),
    ]


def sample(step: int, reply: str = "Shelf nine.", **more: Any) -> dict[str, Any]:
    messages = [
        {"role": "system", "content": "You keep the index."},
        {"role": "user", "content": "Good evening."},
        {"role": "assistant", "content": "Mind the step."},
        {"role": "user", "content": "Where is the green book?"},
    ]
    row = {"step": step, "probe": "p1", "title": "The keeper", "messages": messages, "reply": reply}
    return {**row, "reference": "Ask at landing nine.", "stopped": True, **more}


def eval_row(step: int, loss: float) -> dict[str, Any]:
    return {
        "step": step,
        "epoch": 1.0,
        "eval/loss": loss,
        "eval/perplexity": 10 * loss,
        "eval/bits_per_byte": 1.0,
    }


def train_row(step: int, loss: float) -> dict[str, Any]:
    figures = {"learning_rate": 1e-4 * step, "grad_norm": loss + 1, "tokens_per_second": 4000.0 + step * loss}
    return {
        "step": step,
        "epoch": 1.0,
        "train/loss": loss,
        **{f"train/{key}": v for key, v in figures.items()},
    }


@pytest.fixture
def empty(tmp_path: Path) -> RunFolder:
    (tmp_path / "nothing").mkdir()
    return RunFolder(tmp_path / "nothing")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A finished LoRA run with every record."""
    run = RunFolder(tmp_path / "runs" / "demo")
    values = {
        "name": "keeper-lora",
        "model": {"name": "some/model"},
        "data": {"train": [{"path": "a.jsonl"}]},
    }
    counts = {"examples": 1812, "tokens": 1000, "trained_tokens": 250, "dropped": 3, "cut": 41, "skipped": 7}
    source = {"part": "train", "name": "a.jsonl", "sha256": "0123456789abcdef" * 4, **counts}
    environment = {"python": "3.11.9", "memory_gib": None, "libraries": {"torch": "2.13.0", "mlflow": None}}
    run.start(config_from_values(values), environment, {"sources": [source], "template": "{{ messages }}"})
    for step, loss in ((10, 3.0), (20, 2.1), (30, 2.4), (40, 1.6), (50, 1.9)):
        run.add_metrics(train_row(step, loss))
    for step, loss in ((0, 3.4), (25, 2.0), (50, 2.2)):
        run.add_metrics(eval_row(step, loss))
    run.add_samples([sample(0, "As an AI, I cannot."), sample(25, "Shelf, maybe."), sample(50, "Shelf 317.")])
    run.write_scores(perplexity(31.2, 12.4, -20.0, -17.0))
    run.write_status("finished", 50)
    run.final.mkdir()
    (run.final / "adapter_config.json").write_text("{}", encoding="utf-8")
    return run


def points(html: str, chart: str, key: str) -> int:
    """Points of one curve in the page's SVG."""
    group = re.search(rf'<g id="{chart}-{re.escape(key)}">\s*<path d="([^"]*)"', html)
    assert group is not None
    return len(re.findall(r"[ML] ", group.group(1)))


def in_new_process(script: str, run: RunFolder) -> bytes:
    """Output of a script that has `sys`, `build_report` and `run`, in a fresh Python."""
    opening = "import pathlib, sys; from eterna.reports import build_report; from eterna.runs import RunFolder;"
    command = f"{opening} run = RunFolder(pathlib.Path(sys.argv[1])); {script}"
    return subprocess.run([sys.executable, "-c", command, run.path], capture_output=True, check=True).stdout


def test_the_parts_stand_in_order(run: RunFolder) -> None:
    html = build_report(run)
    heads = [attrs["id"] for tag, attrs in Page(html).tags if tag == "h2"]
    assert heads == ["scores", "curves", "probes", "data", "config", "environment", "next"]
    assert html.index("keeper-lora") < html.index("less surprised") < html.index('id="scores"')


def test_a_score_stands_with_interval_count_and_signature(run: RunFolder) -> None:
    text = Page(build_report(run)).text
    assert "31.20 28.20 to 34.20 n = 96" in text
    assert "−18.80 −20.00 to −17.00 n = 96 better" in text
    assert "sig-perplexity-tuned" in text


def test_a_probe_stands_with_context_reference_and_replies(run: RunFolder) -> None:
    text = Page(build_report(run)).text
    for words in (
        "You keep the index.",
        "2 earlier turns",
        "Where is the green book?",
        "Ask at landing nine.",
    ):
        assert words in text
    assert text.index("As an AI, I cannot.") < text.index("Shelf 317.") < text.index("Shelf, maybe.")


def test_a_reply_that_was_cut_off_is_marked(run: RunFolder) -> None:
    assert "Did not stop by itself" not in build_report(run)
    run.add_samples([sample(60, "Shelf and shelf and", stopped=False)])
    assert build_report(run).count("Did not stop by itself") == 1


def test_a_run_without_a_base_reply_says_so(empty: RunFolder) -> None:
    empty.add_samples([sample(50)])
    assert "No reply of the base model was recorded." in build_report(empty)


def test_the_data_table_gives_counts_share_and_short_hash(run: RunFolder) -> None:
    html = build_report(run)
    assert "a.jsonl training 1,812 1,000 25 % 3 41 7 0123456789ab" in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    assert "0123456789abc" not in html


def test_settings_and_environment_are_shown(run: RunFolder) -> None:
    text = Page(build_report(run)).text
    assert "learning_rate: 5.0e-05" in text or "learning_rate: 5e-05" in text
    assert "2.13.0" in text
    assert "not installed" in text


def test_commands_use_the_path_from_here(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.path.parent.parent)
    text = Page(build_report(run)).text
    for command in ("eterna chat", "eterna eval", "eterna report"):
        assert f"{command} runs/demo " in text
    assert "tensorboard --logdir runs/demo/logs" in text


def test_commands_quote_a_path_with_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "my runs"
    folder.mkdir()
    assert f"eterna chat '{folder}'" in Page(build_report(RunFolder(folder))).text


def test_an_adapter_is_loaded_with_peft_and_a_full_model_without(run: RunFolder) -> None:
    assert "from peft import AutoPeftModelForCausalLM" in build_report(run)
    (run.final / "adapter_config.json").unlink()
    html = build_report(run)
    assert "AutoPeftModelForCausalLM" not in html
    assert "AutoModelForCausalLM.from_pretrained" in html


def test_the_python_lines_are_python(run: RunFolder) -> None:
    listing = Page(build_report(run)).text.rsplit("without Eterna:", 1)[1]
    assert listing.count("from_pretrained(") == 2
    compile(re.sub(r" (?=from transformers|model =|tokenizer =)", "\n", listing.strip()), "page", "exec")


def test_hostile_text_is_escaped_everywhere(run: RunFolder) -> None:
    messages = [{"role": role, "content": HOSTILE} for role in ("system", HOSTILE, "assistant", "user")]
    run.add_samples(
        [
            sample(step, HOSTILE, probe=HOSTILE, title=HOSTILE, reference=HOSTILE, messages=messages)
            for step in (0, 25, 50)
        ]
    )
    run.write_scores([score(HOSTILE, "base", None, reason=HOSTILE, signature=HOSTILE)])
    run.write_status(HOSTILE, 50, HOSTILE)
    (run.path / "environment.json").write_text('{"format": 1, "x<script>": "<script>"}', encoding="utf-8")
    (run.path / "resolved.yaml").write_text(f"name: '{HOSTILE}'\n</pre><script>", encoding="utf-8")
    page = Page(build_report(run))
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert page.text.count(HOSTILE) >= 12


def test_hostile_folder_names_are_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "<img src=x onerror=alert(1)>\u202e"
    folder.mkdir()
    html = build_report(RunFolder(folder))
    assert "<img" not in html
    assert "\u202e" not in html


def test_hidden_signs_are_shown_as_tags(empty: RunFolder) -> None:
    empty.add_samples([sample(0, "a\u202eb\u200bc\x1bd\r")])
    html = build_report(empty)
    for sign, name in (("\u202e", "U+202E"), ("\u200b", "U+200B"), ("\x1b", "U+001B"), ("\r", "U+000D")):
        assert sign not in html
        assert f'<span class="sign">{name}</span>' in html


def test_joined_emoji_and_line_breaks_stay_as_they_are(empty: RunFolder) -> None:
    empty.add_samples([sample(0, "👩\u200d🚀\n\tdone")])
    assert "👩\u200d🚀\n\tdone" in build_report(empty)


def test_nothing_is_fetched_from_outside(run: RunFolder) -> None:
    html = build_report(run)
    page = Page(html)
    assert CSP in page.all("content")
    linked = [value for name in ("src", "href", "xlink:href", "srcset", "data", "action") for value in page.all(name)]
    assert linked
    assert all(value.startswith("#") for value in linked)
    assert not {"script", "link", "iframe", "object", "form", "base"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?://|@import|url\((?!#)", html)


def test_every_id_is_unique_and_every_reference_meets_one(run: RunFolder) -> None:
    html = build_report(run)
    ids = Page(html).all("id")
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', html))
    assert {a or b for a, b in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', html)} <= set(ids)


def test_an_empty_run_says_what_is_missing(empty: RunFolder) -> None:
    text = Page(build_report(empty)).text
    for words in (
        "This run has not been scored yet",
        "No status was recorded.",
        "Neither training nor held-out loss was logged.",
        "No probe replies were recorded.",
        "No data sources were recorded.",
        "The resolved settings are missing",
        "No environment was recorded.",
        "There is no finished model yet",
    ):
        assert words in text


def test_a_damaged_record_is_an_error_not_a_gap(run: RunFolder) -> None:
    (run.path / "scores.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match="not valid JSON"):
        build_report(run)


def test_a_score_without_value_shows_its_reason_and_no_zero(empty: RunFolder) -> None:
    reason = "the held-out data is empty"
    empty.write_scores([score("perplexity", system, None, reason=reason, n=0) for system in ("base", "tuned")])
    text = Page(build_report(empty)).text
    assert text.count(f"could not be scored: {reason}") == 3
    assert "n = 0" not in text


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (
            perplexity(31.2, 12.4, -20.0, -17.0),
            "less surprised by the held-out text: perplexity 31.2 → 12.4 (−60 %).",
        ),
        (perplexity(12.4, 31.2, 17.0, 20.0), "training made it worse here: perplexity 12.4 → 31.2 (+152 %)."),
        (
            perplexity(12.4, 12.3, -0.5, 0.25),
            "No difference between the base model and the tuned model was shown",
        ),
    ],
    ids=["better", "worse", "not shown"],
)
def test_the_verdict_follows_the_interval_of_the_difference(empty: RunFolder, scores: list[Score], words: str) -> None:
    empty.write_scores(scores)
    assert words in Page(build_report(empty)).text


def test_the_verdict_knows_when_higher_is_better(empty: RunFolder) -> None:
    ends = {"base": (0.5, 0.4, 0.6), "tuned": (0.8, 0.7, 0.9), "difference": (0.3, 0.2, 0.4)}
    empty.write_scores([score("voice_match", system, *end, direction="higher") for system, end in ends.items()])
    assert "does better on the held-out data: voice match 0.500 → 0.800 (+60 %)." in Page(build_report(empty)).text


def test_the_verdict_claims_nothing_without_an_interval(empty: RunFolder) -> None:
    empty.write_scores(perplexity(31.2, 12.4, 0, 0)[:2])
    assert "without an interval this may be chance" in Page(build_report(empty)).text


def test_close_values_are_written_far_enough_to_differ(empty: RunFolder) -> None:
    empty.write_scores(perplexity(12.4012, 12.4031, 0.001, 0.003))
    assert "12.401 → 12.403" in Page(build_report(empty)).text


def test_the_same_run_gives_the_same_bytes(run: RunFolder) -> None:
    first = write_report(run).read_bytes()
    assert write_report(RunFolder(run.path)).read_bytes() == first
    assert run.report.read_bytes() == build_report(run).encode()


def test_another_process_gives_the_same_bytes(run: RunFolder) -> None:
    script = "page = build_report(run); sys.stdout.buffer.write(page.encode())"
    assert in_new_process(script, run) == build_report(run).encode()


def test_each_curve_has_its_points(run: RunFolder) -> None:
    html = build_report(run)
    assert points(html, "loss", "train/loss") == 5
    assert points(html, "loss", "eval/loss") == 3
    assert points(html, "perplexity", "eval/perplexity") == 3
    for chart, key in (
        ("learning-rate", "learning_rate"),
        ("gradient-norm", "grad_norm"),
        ("speed", "tokens_per_second"),
    ):
        assert points(html, chart, f"train/{key}") == 5


def test_the_best_evaluation_is_marked(run: RunFolder) -> None:
    html = build_report(run)
    assert "best: 2.00 at step 25" in html
    assert 'id="loss-best"' in html


def test_one_point_and_rows_without_figures_still_draw(empty: RunFolder) -> None:
    empty.add_metrics(eval_row(0, 2.0))
    empty.add_metrics({"step": 5, "eval/loss": None})
    html = build_report(empty)
    assert points(html, "loss", "eval/loss") == 1
    assert "No training step was logged." in html


def test_curves_take_their_colours_from_the_page(run: RunFolder) -> None:
    drawings = "".join(re.findall(r"<svg.*?</svg>", build_report(run), re.DOTALL))
    assert "currentColor" in drawings
    assert not re.search(r"(fill|stroke): #", drawings)


def test_importing_reports_loads_no_heavy_library(run: RunFolder) -> None:
    script = "assert not {'jinja2', 'matplotlib', 'markupsafe', 'numpy', 'torch'} & set(sys.modules)"
    in_new_process(script, run)


def test_drawing_never_loads_pyplot(run: RunFolder) -> None:
    in_new_process("build_report(run); assert 'matplotlib.pyplot' not in sys.modules", run)


def test_drawing_leaves_the_users_settings_alone(run: RunFolder) -> None:
    script = (
        "from matplotlib import rcParams; rcParams['lines.linewidth'] = 7; build_report(run);"
        "assert (rcParams['lines.linewidth'], rcParams['svg.hashsalt']) == (7, None)"
    )
    in_new_process(script, run)
