"""Style consistency: does a reply sound like its own voice rather than another one?

    value   share of the other voices whose style is less like the reply's than its own voice's, ties half;
            0 to 1, chance 0.5, higher is better
    pooled  (part `pooled`) the same for all replies of a voice counted as one text, averaged over voices
    attributed  (part `attributed`) share of the people whose replies, counted as one text, are most like their own
            profile among those of all people; 0 to 1, chance 1 / people, higher is better. Books and places that answer
            are no people

A style is the profile of a voice's training texts: relative frequencies of the commonest character 2- and 3-grams
(letters, marks and spaces; names left out), standardized by their mean and deviation over short chunks of all voices in
that language. Likeness is the cosine of two profiles.

Source: Cosine Delta (Evert et al., Understanding and explaining Delta measures, 2017) on character n-grams
(Stamatatos, A survey of modern authorship attribution methods, 2009). The order of the n-grams was chosen by
cross-validation inside the training part of La Biblioteca Eterna.
Known weakness: one short reply says little about a style; judge many. Topic words leak in through their letters.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from eterna.data import Item
from eterna.evaluation.background import Background, item_language
from eterna.evaluation.intervals import SIGNATURE, multiplicities, paired_scores, signed
from eterna.runs import Score

SIZES = (2, 3)
FEATURES = 800
CHUNK_WORDS = 100
FEWEST_WORDS = 100
INSIDE = re.compile(r"(?<=[\w,;:'’\-] )[^\W\d_]\w+")  # a word that does not begin its sentence


class StyleSpace:
    """The profiles of all voices of one language."""

    def __init__(self, texts: dict[str, Sequence[str]]) -> None:
        import numpy

        self.voices = list(texts)
        whole = {voice: _grams(" ".join(said)) for voice, said in texts.items()}
        common = sum(whole.values(), Counter[str]()).most_common(FEATURES)
        self.places = {gram: place for place, (gram, _) in enumerate(common)}
        rows = numpy.stack([self.counts(chunk) for said in texts.values() for chunk in _chunks(said)])
        chunks = rows[:, :-1] / numpy.maximum(rows[:, -1:], 1)
        self.mean = chunks.mean(axis=0)
        deviation = chunks.std(axis=0)
        self.deviation = numpy.where(deviation > 0, deviation, 1.0)
        whole_texts = numpy.stack([self.counts(" ".join(texts[voice])) for voice in self.voices])
        self.profiles = self.vectors(whole_texts)  # (voices, features)

    def counts(self, text: str) -> Any:
        """(features + 1,) counts of the features, and last of all n-grams."""
        import numpy

        found = _grams(text)
        row = numpy.zeros(len(self.places) + 1)
        for gram, count in found.items():
            if gram in self.places:
                row[self.places[gram]] = count
        row[-1] = sum(found.values())
        return row

    def vectors(self, counts: Any) -> Any:
        """(texts, features) standardized frequencies of length 1, from (texts, features + 1) counts."""
        import numpy

        rows = (counts[:, :-1] / numpy.maximum(counts[:, -1:], 1) - self.mean) / self.deviation
        return rows / numpy.maximum(numpy.linalg.norm(rows, axis=1, keepdims=True), 1e-9)

    def values(self, counts: Any, voice: str) -> Any:
        """(texts,) share of the other voices that a text is less like than its own; NaN for a text without words."""
        import numpy

        alike = self.vectors(counts) @ self.profiles.T  # (texts, voices)
        own = self.voices.index(voice)
        others = numpy.delete(alike, own, axis=1)
        shares = (alike[:, own, None] > others).mean(axis=1) + (alike[:, own, None] == others).mean(axis=1) / 2
        return numpy.where(counts[:, -1] > 0, shares, numpy.nan)

    def attributed(self, counts: Any, voice: str, rivals: Sequence[str]) -> Any:
        """(texts,) 1 where a text is more like its own voice than any rival, else 0; 0 for a text without words."""
        alike = self.vectors(counts) @ self.profiles.T  # (texts, voices)
        others = alike[:, [self.voices.index(rival) for rival in rivals if rival != voice]]
        won = (alike[:, self.voices.index(voice), None] > others).all(axis=1)
        return (won & (counts[:, -1] > 0)).astype(float)

    def value(self, text: str, voice: str) -> float:
        """`values` of one text."""
        return float(self.values(self.counts(text)[None], voice)[0])


@functools.lru_cache(maxsize=1)
def style_spaces(background: Background) -> dict[str, StyleSpace]:
    """A space for each language in which at least two voices have enough training text."""
    by_language: dict[str, dict[str, Sequence[str]]] = {}
    for (voice, language), texts in background.voices.items():
        if sum(len(text.split()) for text in texts) >= FEWEST_WORDS:
            by_language.setdefault(language, {})[voice] = texts
    return {language: StyleSpace(texts) for language, texts in by_language.items() if len(texts) > 1}


def score_style(replies: Sequence[str], items: Sequence[Item], background: Background) -> dict[str, list[float | None]]:
    """Values per item; None where the voice has too little training text to be known by."""
    spaces = style_spaces(background)
    values: list[float | None] = []
    for reply, item in zip(replies, items, strict=True):
        space, voice = spaces.get(item_language(item)), item.scene.voice
        known = space is not None and voice in space.voices
        values.append((space.value(reply, voice) if reply.strip() else 0.0) if space and known else None)
    return {"": values}


def pooled_style_scores(
    base: Sequence[str], tuned: Sequence[str], items: Sequence[Item], background: Background, signature: str
) -> list[Score]:
    """The pooled values of both systems: means over voices and languages, resampled with the replies in the pools."""
    import numpy

    spaces = style_spaces(background)
    keys = [(item_language(item), item.scene.voice) for item in items]
    pools = [key for key in dict.fromkeys(keys) if key[0] in spaces and key[1] in spaces[key[0]].voices]
    if not pools:
        return []
    # Items that no pool holds are left out before the draw, so that they neither count nor thin it out.
    judged = [place for place, key in enumerate(keys) if key in pools]
    drawn = multiplicities([items[place].group for place in judged])  # (DRAWS, judged)
    rows = numpy.vstack([numpy.ones(len(judged)), drawn])
    shares, hits = [], []
    for replies in (base, tuned):
        by_pool, people = [], []
        for language, voice in pools:
            space = spaces[language]
            places = [number for number, place in enumerate(judged) if keys[place] == (language, voice)]
            weights = rows[:, places]
            said = numpy.stack([space.counts(replies[judged[number]]) for number in places])
            counts = weights @ said  # (1 + DRAWS, features + 1)
            drawn_out = weights.sum(axis=1) == 0  # a draw may leave a pool out
            found = numpy.nan_to_num(space.values(counts, voice))  # 0 without a word
            by_pool.append(numpy.where(drawn_out, numpy.nan, found))
            rivals = [one for one in space.voices if background.is_person(one)]
            if voice in rivals and len(rivals) > 1:
                people.append(numpy.where(drawn_out, numpy.nan, space.attributed(counts, voice, rivals)))
        shares.append(numpy.nanmean(numpy.stack(by_pool), axis=0))  # (1 + DRAWS,)
        if people:
            hits.append(numpy.nanmean(numpy.stack(people), axis=0))
    scores = []
    for part, values, count in (("pooled", shares, len(pools)), ("attributed", hits, len(people))):
        if values:
            firsts, draws = [float(one[0]) for one in values], [one[1:].tolist() for one in values]
            whole = signed(signature, f"pools:{count}", SIGNATURE)
            scores += paired_scores("style", firsts, draws, len(judged), "higher", whole, part)
    return scores


def without_names(text: str) -> str:
    """Lower case, single blanks; a capitalized word inside a sentence becomes `_`."""

    def without_name(found: re.Match[str]) -> str:
        return "_" if found.group()[0].isupper() else found.group()

    return INSIDE.sub(without_name, " ".join(text.split())).lower()


def _grams(text: str) -> Counter[str]:
    spaced = f" {without_names(text)} "
    return Counter(spaced[place : place + size] for size in SIZES for place in range(len(spaced) - size + 1))


def _chunks(texts: Sequence[str]) -> list[str]:
    words = " ".join(texts).split()
    starts = range(0, max(len(words) - CHUNK_WORDS // 2, 1), CHUNK_WORDS)
    return [" ".join(words[start : start + CHUNK_WORDS]) for start in starts]
