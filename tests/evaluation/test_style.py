"""Style: which words are left out as names, and which replies the pooled figure counts."""

from __future__ import annotations

import pytest

from eterna.data import Item, RawExample
from eterna.evaluation import Background
from eterna.evaluation.style import pooled_style_scores, score_style, style_spaces, without_names
from eterna.world import Scene


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("we met Abel here", "we met _ here"),
        ("я видел старый дом и Ивана", "я видел старый дом и _"),
        ("ο παλιός κήπος του Νίκου", "ο παλιός κήπος του _"),
        ("cały świat żyje w Łodzi", "cały świat żyje w _"),
        ("dijo que Ángel vendrá, según Úrsula", "dijo que _ vendrá, según _"),
        ("他 看见 了 我们", "他 看见 了 我们"),
    ],
)
def test_names_are_left_out_and_other_words_of_any_script_stay(text: str, left: str) -> None:
    assert without_names(text) == left


def item(name: str, voice: str) -> Item:
    return Item(name, name, name, Scene(voice=voice, language="en"), (), (), "")


@pytest.fixture(scope="module")
def background() -> Background:
    """Two voices with enough training text to be known by."""
    said = {"stair": "the stair turns and turns again. ", "lamp": "no lamp burns where nobody walks. "}
    return Background({(voice, "en"): [line * 30] for voice, line in said.items()})


def test_items_of_an_unknown_voice_are_in_no_pool(background: Background) -> None:
    items = [item("a", "stair"), item("b", "lamp"), item("c", "stranger"), item("d", "stranger")]
    replies = ["the stair turns", "no lamp burns", "who am I", "who are you"]
    scores = pooled_style_scores(replies, replies, items, background, "s")
    assert {score.n for score in scores} == {2}
    assert scores[0].value == 1.0


def test_a_single_reply_in_the_pools_has_no_interval(background: Background) -> None:
    items = [item("a", "stair"), item("b", "stranger"), item("c", "stranger")]
    replies = ["the stair turns", "who am I", "who are you"]
    assert {(score.low, score.high) for score in pooled_style_scores(replies, replies, items, background, "s")} == {
        (None, None)
    }


def test_each_reply_is_nearer_to_its_own_voice(background: Background) -> None:
    assert set(style_spaces(background)) == {"en"}
    values = score_style(["the stair turns again"] * 2, [item("a", "stair"), item("b", "lamp")], background)
    assert values == {"": [1.0, 0.0]}


def attributed(background: Background, replies: list[str]) -> list[float | None]:
    """The figure of both systems and their difference, for a reply of the stair and one of the lamp."""
    items = [item("a", "stair"), item("b", "lamp")]
    scores = pooled_style_scores(["the stair turns"] * 2, replies, items, background, "s")
    return [score.value for score in scores if score.part == "attributed"]


def test_people_are_attributed_by_all_their_replies(background: Background) -> None:
    assert attributed(background, ["the stair turns again", "no lamp burns here"]) == [0.5, 1.0, 0.5]
    assert attributed(background, ["nobody walks where no lamp burns", "the stair turns"]) == [0.5, 0.0, -0.5]


def test_books_are_no_rivals_of_people() -> None:
    said = {"stair": "the stair turns and turns again. ", "lamp": "no lamp burns where nobody walks. "}
    voices = {(voice, "en"): [line * 30] for voice, line in (said | {"index": said["stair"] + said["lamp"]}).items()}
    as_people = attributed(Background(voices), ["the stair turns; no lamp burns", "no lamp burns; the stair turns"])
    with_book = Background(voices, things=frozenset({"index"}))
    assert attributed(with_book, ["the stair turns; no lamp burns", "no lamp burns where nobody walks"])[1] == 1.0
    assert as_people[1] == 0.0
    alone = Background(voices, things=frozenset({"index", "lamp"}))
    assert attributed(alone, ["the stair turns", "no lamp burns"]) == []


def test_a_voice_that_is_the_open_book_or_the_place_is_no_person() -> None:
    scenes = [Scene("abel", book="index"), Scene("index", book="index"), Scene("patio", place="patio")]
    examples = [RawExample(f"e{number}", None, text="words", scene=scene) for number, scene in enumerate(scenes)]
    background = Background.of(examples, {})
    assert [background.is_person(name) for name in ("abel", "index", "patio")] == [True, False, False]
