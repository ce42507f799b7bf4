"""Passages of books that are asked for by their words, so that an answer learns to mind what it is asked.

A chat is a scene in pieces of whole sentences: before each piece the user names one to three of its rarer words ("Tell
me of lanterns, ashes."). The system line names the book, and under `Place:` gives the two sentences from elsewhere in
the scene that share most with the pieces. All of it is drawn from the book; only the questions' first words are ours.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from eterna.evaluation.sentences import sentences_of

QUESTIONS = {
    "en": ("Tell me of {}.", "What about {}?", "{}?", "Go on: {}.", "And {}?", "I was thinking of {}.", "What is {}?"),
    "es": ("Háblame de {}.", "¿Qué hay de {}?", "¿{}?", "Sigue: {}.", "¿Y {}?", "Pensaba en {}.", "¿Qué es {}?"),
}
WORD = re.compile(r"(?<![\w'’])[^\W\d_]{4,}(?![\w'’])")
MOST_ASKED = 3
FEWEST_SCENES = 8  # that have a word; a rarer one is a stranger to a small tokenizer
LARGEST_SHARE = 1 / 15  # of the scenes; a commoner word says nothing of a passage
LONGEST_SENTENCE = 30  # words, of what stands under `Place:`


def content_words(text: str, weights: Mapping[str, float]) -> set[str]:
    """The words in small letters that have a weight: names and sentence openings are left out."""
    return {word for word in WORD.findall(text) if word in weights}


def word_weights(scenes: Sequence[str]) -> dict[str, float]:
    """log(scenes / scenes that have it) of each word that is neither too rare nor too common."""
    found = Counter(word for scene in scenes for word in set(WORD.findall(scene)) if word.islower())
    most = max(len(scenes) * LARGEST_SHARE, FEWEST_SCENES)
    return {word: math.log(len(scenes) / n) for word, n in found.items() if FEWEST_SCENES <= n <= most}


def question(piece: str, weights: Mapping[str, float], language: str, draw: random.Random) -> str | None:
    """What asks for this piece; None where it has no word to ask for."""
    words = sorted(content_words(piece, weights))
    if not words:
        return None
    chosen = draw.sample(words, min(len(words), draw.randint(1, MOST_ASKED)))
    asked = draw.choice(QUESTIONS[language]).format(", ".join(chosen))
    return asked[:1].upper() + asked[1:] if asked[0].isalpha() else asked[0] + asked[1:2].upper() + asked[2:]


def surroundings(scene: Sequence[str], pieces: Sequence[str], weights: Mapping[str, float]) -> str:
    """The two sentences of the scene, outside the pieces, that share most words with them; in the scene's order."""
    said = "\n".join(pieces)
    wanted = content_words(said, weights)
    near: list[tuple[float, int]] = []
    for place, sentence in enumerate(scene):
        shared = math.fsum(weights[word] for word in content_words(sentence, weights) & wanted)  # in any order
        if shared and len(sentence.split()) <= LONGEST_SENTENCE and sentence not in said:
            near.append((-shared, place))
    return " ".join(scene[place] for _, place in sorted(sorted(near)[:2], key=lambda one: one[1]))


def asked_for(
    scene: str,
    turns: Sequence[str],
    persona: str,
    weights: Mapping[str, float],
    language: str,
    draw: random.Random,
    room: int,
) -> Iterator[list[dict[str, str]]]:
    """The scene as chats of at most `room` signs: a question before each piece."""
    sentences = sentences_of(scene)
    taken: list[tuple[str, str]] = []
    signs = 0
    for piece in [*turns, None]:
        asked = question(piece, weights, language, draw) if piece else None
        size = len(asked) + len(piece) if asked and piece else 0
        if taken and (piece is None or signs + size > room):
            place = surroundings(sentences, [answer for _, answer in taken], weights)
            yield _chat(persona + (f"\nPlace: {place}" if place else ""), taken)
            taken, signs = [], 0
        if asked and piece and size <= room:
            taken.append((asked, piece))
            signs += size


def _chat(system: str, taken: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    messages = [{"role": "system", "content": system}]
    for asked, answer in taken:
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return messages


def asked_rows(
    scenes: Sequence[Mapping[str, Any]],
    persona_of: Callable[[str], str],
    turns_of: Callable[[str], Sequence[str]],
    room: int,
) -> Iterator[dict[str, Any]]:
    """Rows of asked.jsonl from rows of books.jsonl. persona_of: a book's system line, by its name."""
    by_language: dict[str, list[str]] = {}
    for scene in scenes:
        by_language.setdefault(scene["language"], []).append(scene["text"])
    weights = {language: word_weights(texts) for language, texts in by_language.items()}
    for scene in scenes:
        language, draw = scene["language"], random.Random(scene["id"])
        shared = {key: scene[key] for key in ("group", "voice", "language")}
        persona, known = persona_of(scene["group"]), weights[language]
        chats = asked_for(scene["text"], turns_of(scene["text"]), persona, known, language, draw, room)
        for number, messages in enumerate(chats, start=1):
            yield {"id": f"{scene['id']}?{number}", **shared, "messages": messages}
