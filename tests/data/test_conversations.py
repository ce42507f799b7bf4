"""Named speakers, turns in a row, narrators, openings and weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eterna.config import Columns, DataSection, Source
from eterna.data import Encoded, Encoder, RawExample, prepare_data, read_source, read_sources
from eterna.data.copies import find_copies
from eterna.errors import DataError, Problem
from eterna.world import Message, arrange

TURNS = [
    {"speaker": "narrator", "text": "The lamp goes out."},
    {"speaker": "Abel", "text": "Do not move."},
    {"speaker": "player", "text": "Who is there?"},
    {"speaker": "player", "text": "Abel?"},
    {"speaker": "Ida", "text": "It is only me."},
    {"speaker": "Abel", "text": "Then light it again."},
]


def read(tmp_path: Path, *rows: Any, **source: Any) -> list[RawExample]:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return read_source(Source(path=str(path), **source), Columns(), None, "train").examples


def said(example: RawExample) -> list[tuple[str, str]]:
    return [(block.role, block.content) for block in arrange(example.messages)]


def test_each_speaker_who_answers_is_learnt_from_their_own_side(tmp_path: Path) -> None:
    abel, ida = read(tmp_path, {"id": "night", "turns": TURNS})
    assert (abel.id, abel.scene.voice, abel.group) == ("night@Abel", "Abel", "night")
    assert said(abel) == [
        ("user", "(The lamp goes out.)"),
        ("assistant", "Do not move."),
        ("user", "Who is there?\nAbel?\nIda: It is only me."),
        ("assistant", "Then light it again."),
    ]
    assert said(ida) == [
        ("user", "(The lamp goes out.)\nAbel: Do not move.\nWho is there?\nAbel?"),
        ("assistant", "It is only me."),
    ]


def test_two_turns_of_one_side_are_one_message(tmp_path: Path) -> None:
    rows = [{"role": role, "content": text} for role, text in [("user", "a"), ("user", "b"), ("assistant", "c")]]
    rows.append({"role": "assistant", "content": "d"})
    (example,) = read(tmp_path, {"messages": rows})
    assert said(example) == [("user", "a\nb"), ("assistant", "c\nd")]


def test_an_answer_may_open_the_conversation(tmp_path: Path, tiny_tokenizer: Any) -> None:
    (example,) = read(tmp_path, {"messages": [{"role": "assistant", "content": "Welcome."}]})
    found = Encoder(tiny_tokenizer).messages("x", example.messages)
    assert not isinstance(found, Problem)
    assert trained(tiny_tokenizer, found[0]) == {"Welcome.<|im_end|>": 1.0}
    assert "user\n…" in tiny_tokenizer.decode(found[0].ids)


def trained(tokenizer: Any, example: Encoded) -> dict[str, float]:
    """Text of each run of one weight above 0."""
    found: list[tuple[list[int], float]] = []
    before = 0.0
    for item, weight in zip(example.ids, example.weights, strict=True):
        if weight and weight != before:
            found.append(([], weight))
        if weight:
            found[-1][0].append(item)
        before = weight
    return {tokenizer.decode(ids): weight for ids, weight in found}


def test_weights_of_turns_and_of_the_example_are_multiplied(tmp_path: Path, tiny_tokenizer: Any) -> None:
    rows: list[Message] = [
        {"role": "user", "content": "Tell me."},
        {"role": "assistant", "content": "Not yet.", "weight": 0},
        {"role": "assistant", "content": "Now.", "weight": 2},
        {"role": "user", "content": "More."},
        {"role": "assistant", "content": "No more."},
    ]
    (example,) = read(tmp_path, {"messages": rows, "weight": 3})
    found = Encoder(tiny_tokenizer).messages("x", example.messages, weight=example.weight)
    assert not isinstance(found, Problem)
    assert trained(tiny_tokenizer, found[0]) == {"\nNow.<|im_end|>": 6.0, "No more.<|im_end|>": 3.0}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": [{"role": "user", "content": "a", "weight": "2"}]}, "message 1 has the weight '2'"),
        ({"messages": [{"role": "user", "content": "a", "weight": -1}]}, "message 1 has the weight -1"),
        ({"messages": [{"role": "user", "content": "a", "name": "a\nb"}]}, "message 1 has the name"),
        ({"turns": [{"speaker": "", "text": "a"}]}, "turn 1 has the speaker ''"),
        ({"turns": [{"speaker": "Abel"}]}, "turn 1 is"),
        ({"turns": [{"speaker": "player", "text": "a"}]}, "holds no answer"),
        ({"turns": [{"speaker": "Abel", "text": "a", "weight": 0}]}, "every answer has the weight 0"),
        ({"text": "a", "weight": 0}, "weight is 0"),
        ({"text": "a", "weight": True}, "weight is True"),
        (
            {
                "messages": [
                    {"role": "assistant", "content": "a", "name": "Abel"},
                    {"role": "user", "content": "b"},
                    {"role": "assistant", "content": "c"},
                ]
            },
            "message 3 does not say who answers",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_turn(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, row)
    assert message in str(caught.value)
    assert "data.jsonl:1" in str(caught.value)
    assert caught.value.problems[0].fix


def prepared(tmp_path: Path, tokenizer: Any, train_on: Any) -> Any:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps({"id": "night", "turns": TURNS}) + "\n", encoding="utf-8")
    section = DataSection(train=[Source(path=str(path))], max_length=256, train_on=train_on)
    return prepare_data(read_sources(section, None), section, tokenizer)


def test_only_the_named_speakers_are_trained_and_the_rest_is_counted(tmp_path: Path, tiny_tokenizer: Any) -> None:
    found = prepared(tmp_path, tiny_tokenizer, ["Ida"])
    assert [example.id.rpartition("#")[2] for example in found.train] == ["night@Ida"]
    assert found.reports[0].excluded == 1
    assert found.train[0].slices == ("voice: Ida",)


def test_a_speaker_who_answers_nowhere_is_refused_with_the_nearest(tmp_path: Path, tiny_tokenizer: Any) -> None:
    with pytest.raises(DataError, match="did you mean 'Abel'"):
        prepared(tmp_path, tiny_tokenizer, ["Abell"])


def test_two_sides_of_one_conversation_are_no_copies_of_each_other(tmp_path: Path) -> None:
    long = [{**turn, "text": f"{turn['text']} The stair turns and every landing has its own lamp."} for turn in TURNS]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps({"id": name, "turns": long}) + "\n" for name in "ab"), encoding="utf-8")
    section = DataSection(train=[Source(path=str(path))])
    found = find_copies(read_sources(section, None)).found
    pairs = {(copy.kind, copy.first.line, copy.second.line) for copy in found}
    assert ("duplicate", 1, 2) in pairs
    assert all(first != second for _, first, second in pairs)
