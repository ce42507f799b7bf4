"""Language drift: share of the replies that are not in the language of their reference.

    language_drift   1 where the reply's language is another than its reference's, else 0; the mean over items

Range 0 to 1, lower is better. Source: py3langid (Lui & Baldwin, langid.py, ACL 2012), choosing among the languages of
the data and English, which models fall back on. Known weakness: below five words the guess is poor, so such replies and
references are not judged; a reply in a language outside the choice counts as the nearest one in it; a reply that
changes its language half way is judged as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from eterna.evaluation.intervals import mean_scores, not_scored, signed
from eterna.evaluation.words import words
from eterna.runs import Score

LEAST_WORDS = 5
FALLBACK = "en"


def score_drift(
    base: Sequence[str],
    tuned: Sequence[str],
    references: Sequence[str],
    groups: Sequence[str],
    languages: Sequence[str],
    made: str = "",
) -> list[Score]:
    """Drift of base and tuned with their paired difference. languages: codes such as `es` or `es-MX`.

    made: how the replies came about, for the signature.
    """
    codes = sorted({language.split("-")[0].lower() for language in languages})
    choice = sorted({*codes, FALLBACK})
    signature = signed(f"py3langid{version('py3langid')}:{'/'.join(choice)},least-words:{LEAST_WORDS}", made)
    if not codes:
        return not_scored("language_drift", "the data names no language", "lower", signature)
    if len(choice) < 2:
        return not_scored("language_drift", f"the data is in one language only, {choice[0]}", "lower", signature)
    identifier = _identifier()
    identifier.set_languages(None)  # all of them again
    if unknown := sorted(set(choice) - set(identifier.labels)):
        return not_scored("language_drift", f"py3langid does not know {', '.join(unknown)}", "lower", signature)
    identifier.set_languages(choice)
    expected = [_language(identifier, text) if len(codes) > 1 else codes[0] for text in references]
    before, after = (
        [_drift(_language(identifier, reply), wanted) for reply, wanted in zip(replies, expected, strict=True)]
        for replies in (base, tuned)
    )
    return mean_scores("language_drift", before, after, groups, "lower", signature)


@cache
def _identifier() -> Any:
    """One of our own: restricting the package's shared one would change it for the whole process."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)


def _language(identifier: Any, text: str) -> str | None:
    return str(identifier.classify(text)[0]) if len(words(text)) >= LEAST_WORDS else None


def _drift(found: str | None, wanted: str | None) -> float | None:
    return None if found is None or wanted is None else float(found != wanted)
