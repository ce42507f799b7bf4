"""Copies are found, however they were typed or changed; texts that nobody copied are left alone."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eterna.data import RawExample
from eterna.data.compared import WordArrays, compared_words, exact_key
from eterna.data.copies import Copies, find_copies
from eterna.data.prepare import ReadSource
from eterna.data.sources import SourceContent
from eterna.data.twins import near_pairs
from eterna.world import Context, Message, build_messages, find_world, load_world


def text(name: str, words: str) -> RawExample:
    return RawExample(name, None, text=words)


def chat(name: str, *turns: str, system: str = "") -> RawExample:
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    for place, turn in enumerate(turns):
        messages.append({"role": "assistant" if place % 2 else "user", "content": turn})
    return RawExample(name, None, messages=tuple(messages))


def source(part: str, examples: Sequence[RawExample]) -> ReadSource:
    return ReadSource(part, f"{part}.jsonl", 1.0, SourceContent(list(examples), ""))


def search(train: Sequence[RawExample], held_out: Sequence[RawExample] = (), on_disk_above: int = 100_000) -> Copies:
    return find_copies([source("train", train), source("eval", held_out)], on_disk_above)


@pytest.mark.parametrize(
    "twin",
    [
        "la la\u0301grima cayo\u0301 en el cafe\u0301",
        "«La lágrima cayó…  en\n\nel CAFÉ».",
        "La\u200b lá\u00adgrima \u202ecayó\u202c en el café",
        "Ｌａ lágrima cayó en el café",
    ],
)
def test_the_same_text_typed_another_way_is_an_exact_copy(twin: str) -> None:
    assert exact_key(text("a", "La lágrima cayó en el café.")) == exact_key(text("b", twin))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("está aquí", "esta aquí"),
        ("I love it 😀", "I love it 😡"),
        ("2 + 2", "2 × 2"),
        ("?!", "..."),
        ("", "?"),
        ("a b", "ab"),
    ],
)
def test_what_differs_in_more_than_typing_is_no_exact_copy(left: str, right: str) -> None:
    assert exact_key(text("a", left)) != exact_key(text("b", right))


def test_an_exact_copy_has_the_same_turns_and_the_same_system_text() -> None:
    keys = {
        exact_key(one)
        for one in (
            chat("a", "Who?", "Abel."),
            chat("b", "Who? Abel.", "Who?"),
            chat("c", "Who?", "Abel.", system="You are Abel."),
            text("d", "Who? Abel."),
        )
    }
    assert len(keys) == 4


def test_half_a_surrogate_pair_is_compared_like_any_sign() -> None:
    assert [one.kind for one in search([text("a", "x \ud800"), text("b", "x \ud800")]).found] == ["duplicate"]


def test_ideographs_are_words_of_their_own() -> None:
    assert compared_words("图书馆 open") == ["图", "书", "馆", "open"]


def test_the_system_text_makes_no_copies() -> None:
    persona = (
        "You are Abel, lamplighter of the library, and you speak in short and patient sentences to whoever asks. " * 3
    )
    train = [chat("a", "Who keeps the map room?", "Ines keeps it, and counts the seas each morning.", system=persona)]
    held = [chat("b", "Does the stair end?", "No, it turns, and every turn is another landing.", system=persona)]
    assert search(train, held).found == []


SENTENCE = re.compile(r"(?<=[.!?…])\s+")


def exactly(said: str, draw: random.Random) -> str:
    """The same words with other signs."""
    signs = draw.choice([" ", "  ", "\n", ", "])
    return signs.join(word.upper() if draw.random() < 0.3 else word for word in said.split())


def reworded(said: str, draw: random.Random) -> str:
    """Every tenth word replaced, at random places, by words of the other library."""
    words = said.split()
    for place in draw.sample(range(len(words)), max(1, round(len(words) / 10))):
        words[place] = draw.choice(["granite", "orchard", "seventeen", "viento", "under", "harbour", "nunca", "silver"])
    return " ".join(words)


def reordered(said: str, draw: random.Random) -> str:
    """One sentence moved elsewhere; where there is only one, its last third moved to the front."""
    parts = SENTENCE.split(said)
    if len(parts) < 2:
        words = said.split()
        return " ".join(words[-(len(words) // 3) :] + words[: -(len(words) // 3)])
    taken = parts.pop(draw.randrange(len(parts) - 1))
    return " ".join([*parts, taken])


def planted(texts: list[str]) -> tuple[list[RawExample], list[RawExample]]:
    """Half of 50 exact, 25 reworded and 25 reordered copies go beside their originals in train, half are held out."""
    draw = random.Random(11)
    train = [text(f"t{number}", said) for number, said in enumerate(texts)]
    held_out: list[RawExample] = []
    chosen = iter(draw.sample(texts, 100))
    for kind, change, count in (("exact", exactly, 50), ("near", reworded, 25), ("near", reordered, 25)):
        for number in range(count):
            side = held_out if number % 2 else train
            side.append(text(f"{kind}-{change.__name__}-{number}", change(next(chosen), draw)))
    return train, held_out


def check_planted(texts: list[str]) -> None:
    found = search(*planted(texts)).found
    kinds = {str(copy.second): copy.kind for copy in found}
    exact = {name for name, kind in kinds.items() if name.startswith("exact") and kind in ("duplicate", "leak")}
    near = {name for name, kind in kinds.items() if name.startswith("near") and kind.startswith("near")}
    assert len(exact) == 50
    assert len(near) >= 47
    assert len(set(kinds) - exact - near) <= 0.01 * len(texts)


def test_copies_planted_in_the_shipped_world_are_found() -> None:
    world = load_world(find_world("eterna:biblioteca"))
    said = [build_messages(world, Context(), example.turns) for example in world.examples]
    check_planted([" ".join(message["content"] for message in messages) for messages in said])


def conversations(shared: Path) -> Iterator[str]:
    with (shared / "corpora/synthetic_persona_chat/test_filtered.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield re.sub(r"User [12]: ", "", row["Best Generated Conversation"])


def passages(shared: Path, folder: str, length: int, count: int) -> Iterator[str]:
    files = sorted((shared / "corpora" / folder).glob("*.txt"))
    for path in files:
        words = path.read_text(encoding="utf-8").split()
        starts = range(0, len(words) - length, max(length, len(words) // (count // len(files) + 1)))
        yield from (" ".join(words[start : start + length]) for start in starts)


def test_copies_planted_among_thousands_of_real_texts_are_found_without_false_alarms(shared: Path) -> None:
    texts = [
        *conversations(shared),
        *passages(shared, "english_novels", 60, 1500),
        *passages(shared, "spanish_novels", 60, 1000),
    ]
    texts = [said for said in dict.fromkeys(texts) if len(said.split()) >= 20]
    assert len(texts) > 3000
    check_planted(texts)


words = st.lists(
    st.sampled_from(["luna", "mar", "pan", "sal", "tren", "voz", "red", "sol", "paz", "luz", "rey", "ala"]),
    min_size=10,
    max_size=40,
)


@settings(max_examples=50)
@given(st.lists(words, min_size=2, max_size=6))
def test_finding_is_symmetric(texts: list[list[str]]) -> None:
    forward = [text(str(number), " ".join(said)) for number, said in enumerate(texts)]
    backward = forward[::-1]
    last = len(texts) - 1
    pairs = {(one.first, one.second) for one in near_pairs(WordArrays(forward), range(len(texts)), len(texts))}
    mirrored = {
        (last - one.second, last - one.first) for one in near_pairs(WordArrays(backward), range(len(texts)), len(texts))
    }
    assert pairs == mirrored


def test_sketches_on_disk_find_what_sketches_in_memory_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made: list[Path] = []
    real = numpy.memmap

    def watched(path: Path, **how: object) -> object:
        made.append(path)
        return real(path, **how)

    world = load_world(find_world("eterna:biblioteca"))
    train, held_out = planted([" ".join(turn.text for turn in example.turns) for example in world.examples])
    in_memory = search(train, held_out)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("numpy.memmap", watched)
    assert search(train, held_out, on_disk_above=10) == in_memory
    assert [path.is_relative_to(tmp_path) for path in made] == [True]
    assert list(tmp_path.iterdir()) == []


def test_arrays_past_the_limit_are_made_again() -> None:
    examples = [text("a", "uno dos tres"), text("b", "cuatro cinco")]
    short, whole = WordArrays(examples, kept_words=27), WordArrays(examples)
    assert [short[number].tolist() for number in (0, 1, 0)] == [whole[number].tolist() for number in (0, 1, 0)]
    assert list(short.kept) == [1]


def test_a_crowd_in_one_form_of_words_is_no_crowd_of_copies() -> None:
    sums = [
        text(f"{a}+{b}", f"What is {a} plus {b}? The answer is that {a} plus {b} makes {a + b}, my friend.")
        for a in range(2, 22)
        for b in range(40, 60)
    ]
    assert search(sums).found == []


def test_every_member_of_a_crowd_of_near_copies_is_found() -> None:
    said = "the lamplighter counts each of the hundred and forty lamps in the court before he sleeps and again at dawn with"
    crowd = [text(str(number), f"{said} word{number}") for number in range(100)]
    assert len(search(crowd).out["near duplicate"]) == 99


def test_short_lines_are_only_compared_exactly() -> None:
    lines = [
        text("a", "¡Ay de mí triste!"),
        text("b", "¡Ay de mí también!"),
        text("c", "ay de mi"),
        text("d", "¡Ay de mí, triste!"),
    ]
    assert [(str(one.first), str(one.second)) for one in search(lines).found] == [("a", "d")]


def test_a_set_phrase_of_many_held_out_examples_is_no_leak() -> None:
    phrase = "hello traveller and welcome to the library please leave your lamp beside the door"
    held_out = [
        text(f"h{number}", f"{phrase} " + " ".join(f"w{number}x{place}" for place in range(9))) for number in range(30)
    ]
    train = [text("t", f"{phrase} " + " ".join(f"other{place}" for place in range(30)))]
    assert search(train, held_out).found == []
    assert [one.kind for one in search(train, held_out[:3]).found] == ["shared run"] * 3


def test_neither_batches_nor_a_small_table_of_words_change_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    world = load_world(find_world("eterna:biblioteca"))
    said = [" ".join(turn.text for turn in example.turns) for example in world.examples]
    train = [text(f"t{number}", " ".join(said[number : number + 4])) for number in range(0, len(said), 4)]
    held_out = [text(f"h{number}", one) for number, one in enumerate(said[:20])]
    whole = search(train, held_out)
    assert {one.kind for one in whole.found} == {"shared run"}
    monkeypatch.setattr("eterna.data.shared_runs.BATCH_WORDS", 1)
    monkeypatch.setattr("eterna.data.compared.KNOWN_WORDS", 3)
    assert search(train, held_out) == whole
