"""A score as it is kept: value, interval, count and signature, or the reason why there is none."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

SYSTEMS = ("base", "tuned", "difference")
CONTROL = ("control", "against_control")
WHOLE = ("", "pooled", "attributed")
"""Parts that rest on all items."""


@dataclass(frozen=True)
class Score:
    """One figure of one system. `value` None means "could not be scored", with the reason; never 0."""

    metric: str
    system: str
    """`base`, `tuned`, `difference` (tuned against base, paired); `control`, `against_control` (tuned against it)."""
    value: float | None
    low: float | None
    """Lower end of the 95 % interval."""
    high: float | None
    n: int
    """Items scored."""
    direction: Literal["lower", "higher"]
    """Which way is better."""
    signature: str
    """Everything needed to repeat the figure."""
    reason: str | None = None
    """Why there is no value."""
    part: str = ""
    """Which part of the data, such as `voice: archivera` or `context: place`; empty is all of it. `pooled` and
    `attributed` are all of it too, looked at in another way."""

    @property
    def whole(self) -> bool:
        """Whether it rests on all items."""
        return self.part in WHOLE

    @property
    def name(self) -> str:
        """Metric and way of looking at all items, such as `style_pooled`."""
        return f"{self.metric}_{self.part}" if self.part and self.whole else self.metric

    def as_row(self) -> dict[str, Any]:
        """Plain values for scores.json."""
        return asdict(self)
