"""Copying: the longest run of consecutive words that a reply shares with any one training text.

    copied_run   words of that run, 0 below six; the mean over items

Unit words, from 0 up, lower is better. Source: the longest verbatim match of Lee et al., Deduplicating Training Data
Makes Language Models Better, ACL 2022, taken over words. Known weakness: a proverb or a name of the world counts like a
copied sentence; so does a quotation that the reply was asked for. Runs of up to five words are everyday language and
count as none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from eterna.evaluation.intervals import mean_scores, not_scored, signed
from eterna.evaluation.words import SIGNATURE as WORDS
from eterna.evaluation.words import ngrams, words
from eterna.runs import Score

SEED_WORDS = 6
SIGNATURE = f"longest-run,least-words:{SEED_WORDS},{WORDS}"


def score_copying(
    base: Sequence[str], tuned: Sequence[str], groups: Sequence[str], training_texts: Sequence[str], made: str = ""
) -> list[Score]:
    """Mean longest copied run of base and tuned with their paired difference.

    made: how the replies came about and what was trained on, for the signature.
    """
    signature = signed(SIGNATURE, made)
    if not training_texts:
        return not_scored("copied_run", "there is no training text to compare with", "lower", signature)
    runs = [float(run) for run in copied_runs([*base, *tuned], training_texts)]
    return mean_scores("copied_run", runs[: len(base)], runs[len(base) :], groups, "lower", signature)


def copied_runs(replies: Sequence[str], training_texts: Iterable[str]) -> list[int]:
    """Words of the longest run that each reply shares with a training text; 0 below six.

    The few replies are indexed and the many training texts pass by once, so memory follows the replies alone.
    """
    said = [words(reply) for reply in replies]
    places: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    for number, reply in enumerate(said):
        for start, gram in enumerate(ngrams(reply, SEED_WORDS)):
            places[gram].append((number, start))
    longest = [0] * len(said)
    for text in training_texts:
        source = words(text)
        for begin, gram in enumerate(ngrams(source, SEED_WORDS)):
            for number, start in places.get(gram, ()):
                # A run is measured from its first word only: the word before it differs or does not exist.
                if not (begin and start and source[begin - 1] == said[number][start - 1]):
                    longest[number] = max(longest[number], _shared(source, begin, said[number], start))
    return longest


def _shared(left: Sequence[str], begin: int, right: Sequence[str], start: int) -> int:
    """How many words agree from the two places on."""
    length = SEED_WORDS
    while begin + length < len(left) and start + length < len(right) and left[begin + length] == right[start + length]:
        length += 1
    return length
