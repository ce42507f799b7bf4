"""The fast path of training: the same loss and gradients with less work.

No padding is computed, no token attends across examples, logits exist only where a label is, and on a CPU what lies
between the matrix products is done by fused kernels. transformers' modules and PEFT's adapters stay as they are; while
a step is taken, the layers of a known architecture compute by the functions here.
"""

from eterna.fast.parts import CPU_TOKENS, fill, part_of, part_of_lengths
from eterna.fast.path import FastPath, why_not
from eterna.fast.rows import kernels_for
from eterna.fast.segments import Segments

__all__ = ["CPU_TOKENS", "FastPath", "Segments", "fill", "kernels_for", "part_of", "part_of_lengths", "why_not"]
