"""How hard the laws are tried: 1,000 examples each, always the same ones; `make fuzz` tries 100,000 new ones.

FUZZ_EXAMPLES sets the number, and with it a random start, which `make fuzz SEED=...` repeats.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

ASKED = os.environ.get("FUZZ_EXAMPLES")
EXAMPLES = int(ASKED or 1000)

tried = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not ASKED,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
