"""`eterna data preview`, and rows skipped by `data.skip_bad` in check and train."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from ruamel.yaml import YAML
from tests.cli.conftest import Run

from eterna.cli.preview import Form
from eterna.config import Source
from eterna.config.writing import to_yaml
from eterna.data.formats import FORMATS
from eterna.errors import DataError
from eterna.pipeline.preview_data import preview_data
from eterna.runs import RunFolder

CSV = "id,pregunta,respuesta,fuente\n1,¿Quién eres?,Abel.,web\n2,Hola,Buenas.,web\n3,Nada,,web\n"


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    (tmp_path / "qa.csv").write_text(CSV, encoding="utf-8")
    return tmp_path / "qa.csv"


def test_a_file_with_other_column_names_ends_with_the_command_that_reads_it(eterna: Run, csv_file: Path) -> None:
    done = eterna("data", "preview", "qa.csv")
    assert done.returncode == 2
    assert "qa.csv:2: no format fits the columns 'id', 'pregunta', 'respuesta', 'fuente'" in done.stderr
    command = "eterna data preview qa.csv --columns.prompt pregunta --columns.completion respuesta"
    assert f"fix: {command}" in done.stderr
    again = eterna(*command.split()[1:])
    assert again.returncode == 0, again.stderr
    assert "format    prompt_completion, found in 2 of 3 rows" in again.stdout
    assert "column    pregunta -> prompt" in again.stdout
    assert "column    id\n" in again.stdout
    assert "ignored   fuente" in again.stdout
    assert "1 row of 3 rows cannot be used" in again.stdout
    assert "qa.csv:4: the column respuesta is missing" in again.stdout
    assert "user: ¿Quién eres?\nassistant: Abel.\n" in again.stdout
    assert list(csv_file.parent.iterdir()) == [csv_file]


def test_the_lines_for_the_run_file_read_the_same_examples(csv_file: Path) -> None:
    found = preview_data(str(csv_file), renamed={"prompt": "pregunta", "completion": "respuesta"})
    source = YAML(typ="safe").load(found.yaml)["data"]["train"][0]
    assert source == {"path": str(csv_file), "columns": {"prompt": "pregunta", "completion": "respuesta"}}
    assert Source(**source).columns


def test_json_names_every_part(eterna: Run, tmp_path: Path) -> None:
    row = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}], "likes": 3}
    (tmp_path / "a.json").write_text(json.dumps([row, row]), encoding="utf-8")
    done = eterna("data", "preview", "a.json", "--format", "sharegpt", "--count", "1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["formats"] == {"sharegpt": 2}
    assert (found["columns"], found["ignored"]) == ({"conversations": "messages"}, ["likes"])
    assert found["examples"] == [
        {"id": "a.json:1", "place": "a.json (element 1):1", "turns": [["user", "Hi"], ["assistant", "Hello."]]}
    ]
    assert "format: sharegpt" in found["yaml"]


def test_only_the_first_rows_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n' * 1500, encoding="utf-8")
    found = preview_data(str(tmp_path / "a.jsonl"))
    assert (found.rows, found.all_rows, len(found.examples)) == (1000, False, 3)


def test_a_text_file_and_a_file_without_rows(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Once.\n", encoding="utf-8")
    assert preview_data(str(tmp_path / "a.txt")).examples[0].turns == [("", "Once.")]
    (tmp_path / "a.csv").write_text("text\n", encoding="utf-8")
    with pytest.raises(DataError, match="holds no rows"):
        preview_data(str(tmp_path / "a.csv"))


def test_a_file_of_no_known_shape_names_the_shapes(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"lat": 1, "lon": 2}\n', encoding="utf-8")
    with pytest.raises(DataError, match="expected messages; prompt and completion; conversations; instruction"):
        preview_data(str(tmp_path / "a.jsonl"))


def test_hidden_signs_of_a_file_are_spelt_out(eterna: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a\\u001b[31mb\\u202ec"}\n', encoding="utf-8")
    assert "a[U+001B][31mb[U+202E]c" in eterna("data", "preview", "a.jsonl").stdout


def test_an_unknown_option_names_the_near_one(eterna: Run, csv_file: Path) -> None:
    done = eterna("data", "preview", "qa.csv", "--columns.promt", "pregunta")
    assert done.returncode == 2
    assert "did you mean 'columns.prompt'" in done.stderr


def test_the_formats_of_the_command_are_those_of_rows() -> None:
    assert [one.value for one in Form] == ["auto", *sorted(FORMATS, key=[one.value for one in Form].index)]
    assert set(get_args(Source.model_fields["format"].annotation)) - {one.value for one in Form} == {"book"}


def test_skipped_rows_are_shown_by_check_and_kept_by_training(
    eterna: Run, run_values: dict[str, Any], chat_file: Path, tmp_path: Path
) -> None:
    with chat_file.open("a", encoding="utf-8") as file:
        file.write('{"messages": []}\n{broken\n')
    run_values["data"] |= {"skip_bad": True, "eval": []}
    run_values["training"] |= {"max_steps": 1}
    (tmp_path / "run.yaml").write_text(to_yaml(run_values), encoding="utf-8")
    check = eterna("data", "check", "run.yaml")
    assert f"warning: {chat_file}: 2 rows skipped" in check.stdout, check.stderr
    plan = eterna("train", "run.yaml", "--dry-run")
    assert "2 skipped rows" in plan.stdout, plan.stderr
    run = RunFolder(tmp_path / "run")
    assert not run.path.exists()
    done = eterna("train", "run.yaml")
    assert done.returncode == 0, done.stderr
    assert [(row["line"], row["row"]) for row in run.skipped()] == [(13, '{"messages": []}'), (14, "{broken")]
    assert run.data()["sources"][0]["skipped"] == 2


def test_without_skipped_rows_there_is_no_such_file(tmp_path: Path) -> None:
    RunFolder(tmp_path).write_skipped([])
    assert list(tmp_path.iterdir()) == []
