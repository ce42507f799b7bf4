"""Rows of every format become the same conversations; what cannot be learnt from is named with a fix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eterna.config import Columns, Source
from eterna.data import RawExample, read_rows, read_source
from eterna.data.formats import FORMATS, convert_row, detect_format
from eterna.errors import DataError, Place, Problem

HI = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."})
SYSTEM = {"role": "system", "content": "You are Abel."}
HERE = Place("data.jsonl", 1)


def read(
    tmp_path: Path, *rows: Any, columns: Columns | None = None, own: Any = None, **source: Any
) -> list[RawExample]:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return read_source(Source(path=str(path), columns=own, **source), columns or Columns(), None, "train").examples


SHAREGPT = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]
SAME = {
    "messages": {"messages": list(HI)},
    "pair": {"prompt": "Hi", "completion": "Hello."},
    "sharegpt": {"conversations": SHAREGPT},
    "sharegpt, one conversation": {"conversation": SHAREGPT},
    "sharegpt under messages": {"messages": SHAREGPT},
    "sharegpt, role and content": {"conversations": list(HI)},
    "sharegpt with what scrapers add": {"conversations": [{**turn, "markdown": None} for turn in SHAREGPT]},
    "sharegpt without tools": {"conversations": SHAREGPT, "tools": "[]"},
    "alpaca": {"instruction": "Hi", "input": "", "output": "Hello."},
    "alpaca with its rendered text": {"instruction": "Hi", "input": "", "output": "Hello.", "text": "### Instruction"},
}


@pytest.mark.parametrize("case", SAME)
def test_every_format_gives_the_same_conversation(tmp_path: Path, case: str) -> None:
    assert read(tmp_path, SAME[case])[0].messages == HI


def test_formats_may_differ_from_row_to_row(tmp_path: Path) -> None:
    assert [one.messages for one in read(tmp_path, *SAME.values())] == [HI] * len(SAME)


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": [{"from": "system", "value": SYSTEM["content"]}, *SHAREGPT]},
        {"conversations": SHAREGPT, "system": SYSTEM["content"]},
        {"instruction": "Hi", "output": "Hello.", "system": SYSTEM["content"]},
    ],
)
def test_a_system_text_comes_first_wherever_it_stood(tmp_path: Path, row: dict[str, Any]) -> None:
    assert read(tmp_path, row)[0].messages == (SYSTEM, *HI)


def test_a_conversation_keeps_its_own_system_text(tmp_path: Path) -> None:
    turns = [{"from": "system", "value": SYSTEM["content"]}, *SHAREGPT]
    assert read(tmp_path, {"conversations": turns, "system": "Other."})[0].messages == (SYSTEM, *HI)


def test_alpaca_joins_instruction_and_input_and_puts_the_history_before(tmp_path: Path) -> None:
    row = {"instruction": "Say", "input": "it", "output": "It.", "history": [["Hi", "Hello."]]}
    found = read(tmp_path, row)[0].messages
    assert found == (*HI, {"role": "user", "content": "Say\nit"}, {"role": "assistant", "content": "It."})


def test_columns_of_the_source_go_before_those_of_the_data(tmp_path: Path) -> None:
    row = {"question": "Hi", "reply": "Hello.", "prompt": "wrong", "completion": "wrong"}
    own = {"prompt": "question", "completion": "reply"}
    assert read(tmp_path, row, columns=Columns(prompt="x"), own=own)[0].messages == HI


def test_columns_rename_sharegpt_and_alpaca_too(tmp_path: Path) -> None:
    columns = Columns(messages="talk", prompt="task", completion="result")
    assert read(tmp_path, {"talk": SHAREGPT}, {"task": "Hi", "input": "", "result": "Hello."}, columns=columns)
    alpaca = read(tmp_path, {"task": "Hi", "input": "there", "result": "x"}, columns=columns, format="alpaca")
    assert alpaca[0].messages[0]["content"] == "Hi\nthere"


def test_what_is_no_part_of_the_conversation_is_kept() -> None:
    rest = {"id": "a", "group": "g", "voice": "abel", "language": "en", "weight": 2, "place": "p", "book": "b"}
    for row in SAME.values():
        found = convert_row({**row, **rest}, HERE, "auto", Columns())
        assert isinstance(found, dict)
        assert {name: found[name] for name in rest} == rest
        assert set(found) - set(rest) - {"tools"} in ({"messages"}, {"prompt", "completion"})


def test_weights_and_names_of_turns_are_kept() -> None:
    turns = [SHAREGPT[0], {**SHAREGPT[1], "weight": 0.5, "name": "Abel"}]
    found = convert_row({"conversations": turns}, HERE, "auto", Columns())
    assert found == {"messages": [HI[0], {**HI[1], "weight": 0.5, "name": "Abel"}]}


def test_a_format_that_is_asked_for_goes_before_what_the_columns_say(tmp_path: Path) -> None:
    row = {"messages": list(HI), "text": "Plain."}
    assert read(tmp_path, row)[0].messages == HI
    assert read(tmp_path, row, format="text")[0].text == "Plain."


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "a tool's turn": (
        {"conversations": [*SHAREGPT, {"from": "observation", "value": "{}"}, SHAREGPT[1]]},
        "turn 3 of conversations is a tool's: from is 'observation'",
        "without tools",
    ),
    "a call beside the text": (
        {"conversation": [HI[0], {**HI[1], "tool_calls": [{"id": "1"}]}]},
        "turn 2 of conversation is a tool's",
        "without tools",
    ),
    "described tools": (
        {"conversations": SHAREGPT, "tools": '[{"name": "f"}]'},
        "the column tools is",
        "without tools",
    ),
    "unknown speaker": (
        {"conversations": [{"from": "humna", "value": "Hi"}, SHAREGPT[1]]},
        "turn 1 of conversations is from 'humna'",
        "did you mean 'human'",
    ),
    "no value": ({"conversations": [{"from": "human"}]}, "turn 1 of conversations is {", "the keys from and value"),
    "empty value": (
        {"conversations": [{"from": "human", "value": " "}]},
        "turn 1 of conversations has the value ' '",
        "expected text",
    ),
    "turns as texts": ({"conversations": ["Hi", "Hello."]}, "turn 1 of conversations is 'Hi'", "from and value"),
    "no turns": ({"conversations": []}, "conversations is []", "human"),
    "no answer of the model": ({"conversations": SHAREGPT[:1]}, "holds no answer", "nothing to learn"),
    "empty output": ({"instruction": "Hi", "output": ""}, "output is ''", "expected text"),
    "input of numbers": ({"instruction": "Hi", "input": 3, "output": "x"}, "input is 3", "expected text"),
    "history of texts": (
        {"instruction": "Hi", "output": "x", "history": ["Hi", "Hello."]},
        "history 1 is 'Hi'",
        '[["question", "answer"], ...]',
    ),
    "question and answer": (
        {"id": 1, "Question": "Hi", "Answer": "Hello."},
        "the columns are 'id', 'Question', 'Answer'",
        "map other names under data.columns: {prompt: Question, completion: Answer}",
    ),
    "half a pair": ({"prompt": "Hi", "note": "x"}, "the column completion is missing", "known names"),
    "half an alpaca": ({"output": "Hi", "id": 1}, "the column instruction is missing", "known names"),
    "misspelt": ({"pormpt": "Hi", "completions": "x"}, "columns are", "{prompt: pormpt, completion: completions}"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_row_that_cannot_be_used_is_named_with_a_fix(tmp_path: Path, case: str) -> None:
    row, message, fix = BAD[case]
    with pytest.raises(DataError) as caught:
        read(tmp_path, {"text": "fine"}, row)
    problem = caught.value.problems[0]
    assert message in problem.message
    assert fix in str(problem.fix)
    assert problem.place == Place(str(tmp_path / "data.jsonl"), 2)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("messages", "the column messages is missing"),
        ("sharegpt", "the column conversations is missing"),
        ("alpaca", "the column instruction is missing"),
        ("prompt_completion", "the column prompt is missing"),
        ("text", "the column text is missing"),
    ],
)
def test_a_format_that_is_asked_for_names_the_column_it_lacks(tmp_path: Path, form: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, {"foo": "x"}, format=form)


@pytest.mark.parametrize(
    ("row", "proposed"),
    [
        ({"pregunta": "a", "respuesta": "b"}, "{prompt: pregunta, completion: respuesta}"),
        ({"input": "a", "output": "b"}, "{prompt: input, completion: output}"),
        ({"context": "a", "response": "b"}, "{prompt: context, completion: response}"),
        ({"dialogue": [{"role": "user", "content": "a"}]}, "{messages: dialogue}"),
        ({"content": "a", "source": "web"}, "{text: content}"),
        ({"my question": "a", "question": "b", "answer": "c"}, "{prompt: question, completion: answer}"),
    ],
)
def test_a_mapping_is_proposed_for_names_that_people_use(row: dict[str, Any], proposed: str) -> None:
    found = convert_row(row, HERE, "auto", Columns())
    assert isinstance(found, Problem)
    assert str(found.fix).endswith(proposed)


@pytest.mark.parametrize("row", [{"foo": 1}, {"dialogue": ["a", "b"]}, {"latitude": 1.0, "longitude": 2.0}, {}])
def test_nothing_is_proposed_where_no_name_is_near(row: dict[str, Any]) -> None:
    assert convert_row(row, HERE, "auto", Columns()) == row


def test_columns_without_a_value_do_not_decide_the_format() -> None:
    assert detect_format({"messages": None, "text": "x"}, Columns()) == "text"
    assert detect_format({"messages": None, "note": "x"}, Columns()) == "messages"


def test_a_format_that_is_not_one_of_rows_is_refused() -> None:
    found = convert_row({"text": "x"}, HERE, "book", Columns())
    assert found == Problem("the format book is not one of rows", HERE, f"one of: {', '.join(FORMATS)}")


def test_rows_from_python_have_the_same_formats() -> None:
    found = read_rows([SAME["sharegpt"], SAME["alpaca"]], "train", "rows", Columns())
    assert [one.messages for one in found.content.examples] == [HI, HI]
    with pytest.raises(DataError, match=r"rows\[0\]: turn 1 of conversations"):
        read_rows([{"conversations": ["Hi"]}], "train", "rows", Columns())


def test_the_run_file_knows_every_format() -> None:
    allowed = set(get_args(Source.model_fields["format"].annotation))
    assert set(FORMATS) <= allowed
    assert allowed - set(FORMATS) == {"auto", "book"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["from", "value", "role", "content"]), inner)
    ),
    max_leaves=8,
)
NAMES = [
    "messages",
    "prompt",
    "completion",
    "text",
    "conversations",
    "instruction",
    "input",
    "output",
    "history",
    "system",
]


@given(
    st.dictionaries(st.sampled_from([*NAMES, "tools", "question", "answer", "id"]), VALUES),
    st.sampled_from(["auto", *FORMATS]),
)
def test_any_row_ends_as_a_row_of_one_shape_or_as_a_problem(row: dict[str, Any], form: str) -> None:
    found = convert_row(row, HERE, form, Columns())
    if isinstance(found, Problem):
        assert found.place == HERE
    elif form == "auto" and detect_format(row, Columns()) is None:
        assert found == row
    else:
        shapes = ({"messages"}, {"prompt", "completion"}, {"turns"}, {"text"})
        assert set(found) & {"messages", "prompt", "completion", "turns", "text"} in shapes
