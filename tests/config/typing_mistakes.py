"""Typing mistakes for tests: each kind is a function of a word and a random generator."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

ROWS = ("1234567890-", "qwertyuiop", "asdfghjkl", "zxcvbnm")


def beside(sign: str) -> str:
    """The letters beside and around a key of the usual keyboard."""
    for number, row in enumerate(ROWS):
        if sign in row:
            place = row.index(sign)
            around = [line[max(0, place - 1) : place + 2] for line in ROWS[max(0, number - 1) : number + 2]]
            return "".join(around).replace(sign, "").replace("-", "")
    return ""


def drop(word: str, random: Random) -> str:
    place = random.randrange(len(word))
    return word[:place] + word[place + 1 :]


def double(word: str, random: Random) -> str:
    place = random.randrange(len(word))
    return word[:place] + word[place] + word[place:]


def swap(word: str, random: Random) -> str:
    places = [place for place in range(len(word) - 1) if word[place] != word[place + 1]]
    if not places:
        return word
    place = random.choice(places)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def replace(word: str, random: Random) -> str:
    places = [place for place, sign in enumerate(word) if beside(sign)]
    if not places:
        return word
    place = random.choice(places)
    return word[:place] + random.choice(beside(word[place])) + word[place + 1 :]


def case(word: str, random: Random) -> str:
    return random.choice((word.upper(), word.title(), word[0].upper() + word[1:]))


def dash(word: str, random: Random) -> str:
    return word.replace("_", "-")


KINDS: dict[str, Callable[[str, Random], str]] = {
    "letter left out": drop,
    "letter doubled": double,
    "neighbours swapped": swap,
    "key beside it": replace,
    "wrong case": case,
    "dash for underscore": dash,
}
