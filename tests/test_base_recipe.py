"""The text that the base model is trained on: conversations found in novels, and books that stay out."""

from __future__ import annotations

import json
import math
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from recipes.base.asked import asked_for, question, surroundings, word_weights
from recipes.base.dialogue import pieces_of, speaker_of, speech_of, talks
from recipes.base.five_grams import FiveGrams
from recipes.base.measure import beginning, measure
from recipes.base.texts import author_and_title, in_turns, prepare, turns_of

from eterna.errors import UserError

TALK = [
    "The lamp was low when the two of them sat down at last.",
    "'I can't find the stairs,' said Alice. 'Where are they?'",
    "'Where they were,' answered Tom, looking at the dark behind the shelves. 'You moved.'",
    "Neither of them laughed.",
    "'And now?' said Alice.",
    "'Now we wait.'",
]
CHARLA = [
    "—¿Quién vive? —preguntó Sancho.",
    "—Nadie —respondió Teresa levantando el candil con mucho cuidado—. Sube.",
    "—Subo —dijo Sancho—, pero despacio.",
    "—Como quieras.",
]


def said(paragraph: str, language: str) -> list[tuple[str, bool]]:
    return [(piece.text, piece.spoken) for piece in pieces_of(paragraph, language)]


def test_quotes_part_what_is_said_from_what_is_told() -> None:
    assert said(TALK[1], "en") == [
        ("I can't find the stairs,", True),
        ("said Alice.", False),
        ("Where are they?", True),
    ]
    assert said("“Come in,” he said.", "en") == [("Come in,", True), ("he said.", False)]
    assert said("He said 'come in'.", "en") == []


def test_a_quote_that_ends_in_the_wrong_place_is_no_speech() -> None:
    assert said("'The wolves o' night,' said Alice, 'are here.'", "en") == []


def test_dashes_part_what_is_said_from_what_is_told() -> None:
    assert said(CHARLA[2], "es") == [("Subo,", True), ("dijo Sancho", False), ("pero despacio.", True)]
    assert said("Nadie habló.", "es") == []


@pytest.mark.parametrize(
    ("paragraph", "language", "name"),
    [
        (TALK[1], "en", "Alice"),
        ("'Yes,' Mr. Pickwick replied.", "en", "Mr. Pickwick"),
        ("'Yes,' she said.", "en", ""),
        ("'Yes,' said Then.", "en", ""),
        (CHARLA[0], "es", "Sancho"),
        ("—Sí —dijo don Quijote.", "es", "don Quijote"),
        ("—Sí —dijo él.", "es", ""),
    ],
)
def test_the_novel_names_who_speaks(paragraph: str, language: str, name: str) -> None:
    assert speaker_of(pieces_of(paragraph, language), language) == name


def test_what_is_told_stands_in_brackets_unless_it_only_names() -> None:
    assert speech_of(pieces_of(TALK[1], "en"), "en") == "I can't find the stairs. Where are they?"
    spoken = speech_of(pieces_of(TALK[2], "en"), "en")
    assert spoken == "Where they were. (Answered Tom, looking at the dark behind the shelves.) You moved."


def test_two_people_take_turns() -> None:
    (talk,) = talks(TALK, "en")
    assert talk.names == ("Alice", "Tom")
    assert (talk.before, talk.asides) == (TALK[0], {2: "Neither of them laughed."})
    assert talk.speeches[2:] == ["And now?", "Now we wait."]
    (charla,) = talks(CHARLA, "es")
    assert charla.names == ("Sancho", "Teresa")
    assert charla.speeches[1] == "Nadie. (Respondió Teresa levantando el candil con mucho cuidado.) Sube."


@pytest.mark.parametrize(
    "paragraphs",
    [
        TALK[1:3],  # too short
        [*TALK[1:5], "'Now we wait,' said Alice."],  # both sides are Alice as often as not
        [line.replace("said Alice", "she said").replace("answered Tom", "he said") for line in TALK],  # nobody is named
    ],
)
def test_talk_that_nobody_can_be_sure_of_is_left_out(paragraphs: list[str]) -> None:
    assert list(talks(paragraphs, "en")) == []


def test_author_and_title_come_from_the_file_name() -> None:
    assert author_and_title("Kipling_Kim_1901") == ("Kipling", "Kim")
    assert author_and_title("SPA1004_Foz_VidaDePedroSaputo") == ("Foz", "Vida De Pedro Saputo")
    assert author_and_title("alice_in_wonderland") == ("", "Alice In Wonderland")


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """One book in each folder, and a play; the authors that are kept out are there too."""
    prose = "\n\n".join(f"Paragraph {number} tells of the shelves and of the dust on them." for number in range(8))
    text = "CHAPTER I.\n\n" + "\n\n".join(TALK) + "\n\n" + prose + "\n"
    names = [
        "english_novels/Kipling_Kim_1901", "english_novels/Haggard_She_1887", "english_public_domain/poe_vol2",
        "english_public_domain/alice_in_wonderland", "spanish_novels/SPA3001_PerezGaldos_FortunataYJacinta",
        "spanish_novels/SPA1004_Foz_Vida", "quijote_es/don_quijote", "novelas_es_eltec/sab",
    ]  # fmt: skip
    for name in names:
        file = tmp_path / f"{name}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    play = tmp_path / "calderon_dialogues_es" / "dialogue_turns.jsonl"
    play.parent.mkdir()
    turns = [("Rosaura", "Hipogrifo violento"), ("Clarín", "Di dos"), ("Rosaura", "x " * 2000)]
    rows = [{"play": "La vida", "act": 1, "scene": 1, "speaker": who, "text": what} for who, what in turns]
    play.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_the_text_leaves_out_who_is_kept_out(corpora: Path, tmp_path: Path) -> None:
    prepare(corpora, tmp_path / "out")
    trained = {"Kipling_Kim_1901", "alice_in_wonderland", "SPA1004_Foz_Vida", "don_quijote"}
    assert {row["group"] for row in read(tmp_path / "out/books.jsonl")} == trained
    unseen = {"Haggard_She_1887", "SPA3001_PerezGaldos_FortunataYJacinta", "sab"}
    assert {row["group"] for row in read(tmp_path / "out/unseen.jsonl")} == unseen


def test_conversations_are_chats_that_end_with_an_answer(corpora: Path, tmp_path: Path) -> None:
    prepare(corpora, tmp_path / "out")
    rows = {row["group"]: row["messages"] for row in read(tmp_path / "out/conversations.jsonl")}
    kim = rows["Kipling_Kim_1901"]
    assert kim[0] == {"role": "system", "content": "You are Tom, in Kim by Kipling."}
    assert kim[1] == {"role": "user", "name": "narrator", "content": TALK[0]}
    assert kim[2]["name"] == "Alice"
    assert all(messages[-1]["role"] == "assistant" for messages in rows.values())
    play = rows["La vida"]  # its last turn would not fit a window
    assert [message["content"] for message in play[1:]] == ["Hipogrifo violento"]


def test_books_go_on_in_the_chat_template(corpora: Path, tmp_path: Path) -> None:
    prepare(corpora, tmp_path / "out")
    row = next(row for row in read(tmp_path / "out/going_on.jsonl") if row["group"] == "Kipling_Kim_1901")
    roles = [message["role"] for message in row["messages"]]
    assert roles == ["system", *["user", "assistant"] * (len(roles) // 2)]
    assert row["messages"][0]["content"] == "You are the open book and go on. Kipling, Kim."


def test_a_book_in_turns_keeps_every_sentence_once_and_in_order() -> None:
    sentences = [f"Sentence {number} has {number % 9 + 4} words" + " more" * (number % 9) + "." for number in range(90)]
    scene = "\n\n".join(" ".join(sentences[at : at + 5]) for at in range(0, 90, 5))
    pieces = turns_of(scene)
    assert " ".join(" ".join(pieces).split()) == " ".join(sentences)
    assert all(12 <= len(piece.split()) <= 70 for piece in pieces)
    chats = list(in_turns(scene, "You are the open book and go on."))
    assert len(chats) > 1
    for chat in chats:
        assert [one["role"] for one in chat[1:]] == ["user", "assistant"] * (len(chat) // 2)
    told = [one["content"] for chat in chats for one in chat[1:]]
    assert told == pieces[: len(told)]
    assert len(pieces) - len(told) <= 1


def test_a_short_paragraph_goes_with_the_next_and_a_long_one_is_parted_between_sentences() -> None:
    long = " ".join(["A sentence of these six words."] * 20)
    assert turns_of(f"'Well?'\n\n{long}") == [
        "'Well?'\n\n" + " ".join(["A sentence of these six words."] * 11),
        " ".join(["A sentence of these six words."] * 9),
    ]


def test_only_the_beginning_of_a_book_is_measured() -> None:
    assert beginning("One  two\n\nthree four", 3) == "One  two\n\nthree"
    assert beginning("One", 3) == "One"
    assert beginning("", 3) == ""


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="english_novels"):
        prepare(tmp_path, tmp_path / "out")


def kneser_ney(text: list[int], context: tuple[int, ...], token: int, vocabulary: int, order: int = 5) -> float:
    """P(token | context) by its definition, gram by gram; order: of the n-gram whose raw counts are taken."""

    def counts(length: int) -> Counter[tuple[int, ...]]:
        grams = [tuple(text[start : start + length]) for start in range(len(text) - length + 1)]
        return Counter(grams) if length == order else Counter(gram[1:] for gram in set(longer(length + 1)))

    def longer(length: int) -> list[tuple[int, ...]]:
        return [tuple(text[start : start + length]) for start in range(len(text) - length + 1)]

    found = counts(len(context) + 1)
    once, twice = (sum(count == times for count in found.values()) for times in (1, 2))
    discount = once / (once + 2 * twice) if once and twice else 0.5
    rest = kneser_ney(text, context[1:], token, vocabulary, order) if context else 1 / vocabulary
    total = sum(count for gram, count in found.items() if gram[:-1] == context)
    if not total:
        return rest
    kinds = sum(gram[:-1] == context for gram in found)
    return (max(found[(*context, token)] - discount, 0) + discount * kinds * rest) / total


def test_five_grams_are_kneser_ney_by_its_definition() -> None:
    draw = random.Random(0)
    text = [draw.choice([0, 0, 1, 1, 2, 3, 4]) for _ in range(300)]
    asked = [draw.randrange(6) for _ in range(40)]  # 5 never stands in the text
    shares = [kneser_ney(text, tuple(asked[max(0, at - 4) : at]), asked[at], 6) for at in range(1, len(asked))]
    assert FiveGrams(text, 6).bits(asked) == pytest.approx(-sum(map(math.log2, shares)), rel=1e-9)


def test_five_grams_share_out_one() -> None:
    draw = random.Random(1)
    grams = FiveGrams([draw.randrange(5) for _ in range(400)], 6)
    context = [1, 2, 0, 3]
    whole = [grams.bits([*context, token]) - grams.bits(context) for token in range(6)]
    assert sum(2**-bits for bits in whole) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("there", "message"),
    [("", "no model in"), ("model", "none of the books kept out"), ("model books", "no such file")],
)
def test_what_cannot_be_measured_is_named(there: str, message: str, tmp_path: Path) -> None:
    if "model" in there:
        (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    if "books" in there:
        (tmp_path / "novelas_es_eltec").mkdir()
        (tmp_path / "novelas_es_eltec" / "galdos_sombra.txt").write_text(
            "CAPÍTULO I\n\nUna sombra.\n", encoding="utf-8"
        )
    with pytest.raises(UserError, match=message):
        measure(tmp_path, tmp_path, tmp_path / "build")


def test_passages_are_asked_for_by_their_rarer_words() -> None:
    weights = {"lantern": 3.0, "ashes": 2.0, "stairs": 1.0}
    asked = question("Abel put the lantern down in the ashes.", weights, "en", random.Random(1))
    assert asked is not None
    assert {"lantern", "ashes"} & set(re.findall(r"[a-z]{4,}", asked.lower()))
    assert asked[0] == asked[0].upper()
    assert question("Abel put it down.", weights, "en", random.Random(1)) is None
    seen = {question("El ashes.", weights, "es", random.Random(seed)) for seed in range(40)}
    assert seen == {"Háblame de ashes.", "¿Qué hay de ashes?", "¿Ashes?", "Sigue: ashes.", "¿Y ashes?",
                    "Pensaba en ashes.", "¿Qué es ashes?"}  # fmt: skip


def test_names_and_words_too_rare_or_too_common_are_not_asked_for() -> None:
    scenes = [f"Nobody said {'lantern' if n < 10 else 'lamp'} to Abel{', alone' if n < 3 else ''}." for n in range(200)]
    assert set(word_weights(scenes)) == {"lantern"}


def test_surroundings_are_the_nearest_sentences_outside_the_passages() -> None:
    weights = {"lantern": 3.0, "ashes": 2.0, "stairs": 1.0}
    scene = ["The stairs end.", "A lantern, and ashes.", "Nothing.", "The lantern is lit.", "Ashes and a lantern lie."]
    assert surroundings(scene, ["Ashes and a lantern lie.", "Up the stairs."], weights) == (
        "A lantern, and ashes. The lantern is lit."
    )
    assert surroundings(scene, ["Nobody."], weights) == ""


def test_a_chat_has_a_question_before_each_passage_and_fits() -> None:
    weights = {"lantern": 3.0, "ashes": 2.0}
    pieces = ["The lantern burns.", "Nothing to ask for.", "Warm ashes fall.", "A lantern again."]
    chats = list(asked_for("The lantern of ashes.", pieces, "You go on.", weights, "en", random.Random(0), room=75))
    answers = [[one["content"] for one in chat if one["role"] == "assistant"] for chat in chats]
    assert [answer for some in answers for answer in some] == [pieces[0], pieces[2], pieces[3]]
    assert len(answers) == 2
    for chat in chats:
        assert chat[0]["content"] == "You go on.\nPlace: The lantern of ashes."
        assert sum(len(one["content"]) for one in chat[1:]) <= 75


def test_books_kept_out_are_not_asked_for_either(corpora: Path, tmp_path: Path) -> None:
    book = corpora / "english_novels" / "Kipling_Kim_1901.txt"
    told = ["Abel went down with the lantern in his hand, and nobody answered.", *["It was quiet there."] * 19]
    for file in (book, book.with_name("Haggard_She_1887.txt")):
        chapters = (f"CHAPTER {n}.\n\n{told[n % 20]}\n\n{'It was late. ' * 60}\n\n" for n in range(1, 200))
        file.write_text("".join(chapters), encoding="utf-8")
    prepare(corpora, tmp_path / "out")
    rows = read(tmp_path / "out/asked.jsonl")
    asked = {row["group"] for row in rows}
    assert "Kipling_Kim_1901" in asked
    assert not asked & {row["group"] for row in read(tmp_path / "out/unseen.jsonl")}
