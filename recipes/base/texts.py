"""Make the base model's training text from folders of public-domain books and plays.

    python -m recipes.base.texts CORPORA build/base

CORPORA holds the folders english_novels, english_public_domain, spanish_novels, quijote_es, novelas_es_eltec (one UTF-8
.txt file a book) and calderon_dialogues_es/dialogue_turns.jsonl; recipes/base/README.md says where they come from.
Written into build/base:

    books.jsonl          {"id", "group", "voice", "language", "text"}      a scene a line
    conversations.jsonl  {"id", "group", "voice", "language", "messages"}  two people, or a scene of a play
    going_on.jsonl       the same: a book in turns, a few sentences and the next few as the answer
    asked.jsonl          the same: a book in turns, each asked for by some of its words (asked.py)
    unseen.jsonl         as books.jsonl: a scene of each book by the authors that are kept out, to watch the training
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import cycle, groupby
from pathlib import Path
from typing import Any

from recipes.base.asked import asked_rows
from recipes.base.dialogue import Talk, talks

from eterna.data.books import Book, read_book
from eterna.errors import UserError
from eterna.evaluation.sentences import sentences_of
from eterna.files import write_whole

NOVELS = ("english_novels", "english_public_domain", "spanish_novels", "quijote_es")
UNSEEN_AUTHORS = ("Burnett", "Haggard", "Wcollins", "PerezGaldos")
NEVER = ("poe_vol2",)
UNSEEN_SPANISH = "novelas_es_eltec"
LONGEST_CONVERSATION = 3000  # signs, so that it fits a window of 1,024 tokens; what follows is left off
AROUND = 30  # signs that a turn's name and marks count for
LONGEST_UNSEEN = 3000  # words of each unseen book
LONGEST_ASKED = 2200  # signs of questions and answers, beside the system line
SHORTEST_TURN, LONGEST_TURN = 12, 70  # words, of a book in turns

Row = dict[str, Any]


def author_and_title(stem: str) -> tuple[str, str]:
    """`Kipling_Kim_1901` and `SPA1004_Foz_VidaDePedroSaputo` to (author, title); ("", title) without an author."""
    spaced = re.sub(r"(?<=[a-záéíóúñ])(?=[A-ZÁÉÍÓÚÑ])", " ", stem)
    parts = [part for part in spaced.split("_") if not re.fullmatch(r"SPA\d+|\d{4}", part)]
    if len(parts) == 2 and stem[:1].isupper():
        return parts[0], parts[1]
    return "", " ".join(part.capitalize() for part in stem.split("_"))


def conversation(talk: Talk, book: str) -> list[dict[str, str]]:
    """The chat messages of a talk: the named person who says most answers, the other asks, narration in brackets."""
    author, title = author_and_title(book)
    said = [sum(len(speech.split()) for speech in talk.speeches[side::2]) for side in (0, 1)]
    voice = max((side for side in (0, 1) if talk.names[side]), key=lambda side: said[side])
    system = f"You are {talk.names[voice]}, in {title}" + (f" by {author}." if author else ".")
    messages = [{"role": "system", "content": system}]
    if talk.before:
        messages.append({"role": "user", "name": "narrator", "content": talk.before})
    other = talk.names[1 - voice]
    for index, speech in enumerate(talk.speeches):
        if index in talk.asides:
            messages.append({"role": "user", "name": "narrator", "content": talk.asides[index]})
        if index % 2 == voice:
            messages.append({"role": "assistant", "content": speech})
        else:
            messages.append({"role": "user", "content": speech} | ({"name": other} if other else {}))
    return ended(messages)


def ended(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """As much of a conversation as fits, up to an answer."""
    signs = 0
    for index, message in enumerate(messages):
        signs += len(message["content"]) + AROUND
        if signs > LONGEST_CONVERSATION:
            messages = messages[:index]
            break
    while messages and messages[-1]["role"] != "assistant":
        messages = messages[:-1]
    return messages


def turns_of(scene: str) -> list[str]:
    """A scene in pieces of whole sentences; a paragraph ends a piece that is not too short."""
    pieces: list[str] = []
    words = LONGEST_TURN
    for paragraph in scene.split("\n\n"):
        between = "\n\n"
        if words >= SHORTEST_TURN:
            words = LONGEST_TURN  # the next sentence begins a piece
        for sentence in sentences_of(paragraph):
            size = len(sentence.split())
            if words + size > LONGEST_TURN:
                pieces.append(sentence)
                words = size
            else:
                pieces[-1] += between + sentence
                words += size
            between = " "
    return pieces


def in_turns(scene: str, persona: str) -> Iterator[list[dict[str, str]]]:
    """The scene as chats: a piece, and the next as the answer, as many as fit."""
    pieces = turns_of(scene)
    while pieces:
        messages = [{"role": "system", "content": persona}]
        roles = cycle(("user", "assistant"))
        messages += [{"role": role, "content": piece} for role, piece in zip(roles, pieces, strict=False)]
        messages = ended(messages)
        pieces = pieces[max(2, len(messages) - 1) :]
        if messages:
            yield messages


def persona_of(book: str) -> str:
    """The system line of a book that goes on, by its file's name."""
    author, title = author_and_title(book)
    return "You are the open book and go on. " + (f"{author}, {title}." if author else f"{title}.")


def book_rows(book: Book) -> tuple[list[Row], list[Row], list[Row]]:
    """(scenes, conversations, the book in turns)."""
    name = book.path.stem
    persona = persona_of(name)
    shared = {"group": name, "voice": name, "language": book.language}
    scenes, spoken, turns = [], [], []
    for scene in book.scenes:
        scenes.append({"id": f"{name}:{scene.name}", **shared, "text": scene.text})
        for number, talk in enumerate(talks(scene.text.split("\n\n"), book.language), start=1):
            messages = conversation(talk, name)
            if messages:
                spoken.append({"id": f"{name}:{scene.name}-{number}", **shared, "messages": messages})
        for number, messages in enumerate(in_turns(scene.text, persona), start=1):
            turns.append({"id": f"{name}:{scene.name}+{number}", **shared, "messages": messages})
    return scenes, spoken, turns


def play_rows(file: Path) -> Iterator[Row]:
    """A play's scenes as conversations: who says most answers, everybody else is named."""
    turns = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for (play, act, scene), group in groupby(turns, key=lambda turn: (turn["play"], turn["act"], turn["scene"])):
        said: Counter[str] = Counter()
        spoken = list(group)
        for turn in spoken:
            said[turn["speaker"]] += len(turn["text"].split())
        voice = said.most_common(1)[0][0]
        if len(said) < 2:
            continue
        messages = [{"role": "system", "content": f"You are {voice}, in {play} by Calderón."}]
        for turn in spoken:
            role = {"role": "assistant"} if turn["speaker"] == voice else {"role": "user", "name": turn["speaker"]}
            messages.append({**role, "content": turn["text"]})
        messages = ended(messages)
        if messages:
            yield {"id": f"{play}:{act}.{scene}", "group": play, "voice": voice, "language": "es", "messages": messages}


def unseen_row(book: Book) -> Row:
    """The beginning of a scene of average length, of a book that is not trained on."""
    scene = sorted(book.scenes, key=lambda one: len(one.text))[len(book.scenes) // 2]
    paragraphs, words = [], 0
    for paragraph in scene.text.split("\n\n"):
        words += len(paragraph.split())
        if words > LONGEST_UNSEEN:
            break
        paragraphs.append(paragraph)
    name = book.path.stem
    return {"id": name, "group": name, "voice": name, "language": book.language, "text": "\n\n".join(paragraphs)}


def prepare(corpora: Path, out: Path) -> dict[str, int]:
    """Write the five files. Returns the number of rows of each. Raises UserError for a folder that is not there."""
    rows: dict[str, list[Row]] = {"books": [], "conversations": [], "going_on": [], "unseen": []}
    for folder in (*NOVELS, UNSEEN_SPANISH):
        files = sorted(file for file in (corpora / folder).glob("*.txt") if file.stem not in NEVER)
        if not files:
            raise UserError(
                f"no .txt file in {corpora / folder}", fix="recipes/base/README.md says where the texts are"
            )
        for file in files:
            if folder == UNSEEN_SPANISH or any(author in file.stem.split("_") for author in UNSEEN_AUTHORS):
                rows["unseen"].append(unseen_row(read_book(file)))
                continue
            for name, found in zip(("books", "conversations", "going_on"), book_rows(read_book(file)), strict=True):
                rows[name] += found
    rows["conversations"] += play_rows(corpora / "calderon_dialogues_es" / "dialogue_turns.jsonl")
    rows["asked"] = list(asked_rows(rows["books"], persona_of, turns_of, LONGEST_ASKED))
    for name, lines in rows.items():
        write_whole(out / f"{name}.jsonl", "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return {name: len(lines) for name, lines in rows.items()}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.stderr.write("usage: python -m recipes.base.texts CORPORA build/base\n")
        sys.exit(2)
    try:
        counts = prepare(Path(sys.argv[1]), Path(sys.argv[2]))
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    sys.stdout.write(", ".join(f"{count:,} {name}" for name, count in counts.items()) + "\n")
