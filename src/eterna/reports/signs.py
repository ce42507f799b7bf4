"""How single things are written on the page: text with its hidden signs shown, and figures for people."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markupsafe import Markup

# Control, format, surrogate, private and unassigned signs, and the two invisible line ends.
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Line feed and tab are layout; the two joiners are ordinary spelling in emoji, Persian and Indic scripts.
HARMLESS = "\n\t\u200c\u200d"


def is_hidden(sign: str) -> bool:
    """Whether a reader would not see this sign, or would see others moved by it."""
    return unicodedata.category(sign) in HIDDEN and sign not in HARMLESS


def plain(text: str) -> str:
    """Text in which each hidden sign is spelt out, such as [U+202E]; for places that cannot hold a tag."""
    return "".join(f"[U+{ord(sign):04X}]" if is_hidden(sign) else sign for sign in text)


def visible(value: Any) -> Any:
    """Text as escaped HTML, each hidden sign a small tag. Ready HTML and other values pass unchanged."""
    from markupsafe import Markup, escape

    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    if not any(is_hidden(sign) for sign in value):
        return escape(value)
    return Markup("").join(_tag(sign) if is_hidden(sign) else escape(sign) for sign in value)


def _tag(sign: str) -> Markup:
    from markupsafe import Markup

    return Markup('<span class="sign">U+{:04X}</span>').format(ord(sign))


def number(value: float, digits: int = 3) -> str:
    """A figure with `digits` significant digits: `31.2`, `1,204`, `2.5e-5`, `−0.04`."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "not a number"
    size = math.floor(math.log10(abs(value)))
    if size < -3 or size >= 7:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        written = f"{_trimmed(mantissa)}e{int(exponent)}"
    else:
        written = f"{value:,.{max(0, digits - 1 - size)}f}"
    return written.replace("-", "−")


def decimals_for(values: Iterable[float]) -> int:
    """Decimals that suit figures shown beside each other: about four significant digits of the largest."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    size = math.floor(math.log10(largest)) if largest else 0
    return max(0, 3 - size if size >= 0 else 2 - size)


def fixed(value: float, decimals: int) -> str:
    """A figure with this many decimals, or with two digits where that would make it a false zero."""
    if value and (abs(value) < 0.5 * 10**-decimals or abs(value) >= 1e7):
        return number(value, 2)
    return f"{value:,.{decimals}f}".replace("-", "−")


def pair(first: float, second: float) -> tuple[str, str]:
    """Two figures to be compared, with as many digits as it takes to tell them apart, from 3 to 7."""
    for digits in range(3, 8):
        written = number(first, digits), number(second, digits)
        if first == second or written[0] != written[1]:
            break
    return written


def percent(before: float, after: float) -> str | None:
    """The change as `−60 %`; None where a share of `before` has no meaning."""
    if before <= 0:
        return None
    change = 100 * (after - before) / before
    return f"{change:+,.{0 if abs(change) >= 9.95 else 1}f} %".replace("-", "−")


def tick(value: float, _position: int = 0) -> str:
    """A figure on an axis: as short as it can be."""
    if value and (abs(value) < 1e-3 or abs(value) >= 1e7):
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{_trimmed(mantissa)}e{int(exponent)}".replace("-", "−")
    return _trimmed(f"{value:,.4f}").replace("-", "−")


def _trimmed(decimal: str) -> str:
    return decimal.rstrip("0").rstrip(".") if "." in decimal else decimal
