"""Put a finished base model into the package, in bfloat16.

python recipes/base/ship.py runs/base-asked/final
"""

from __future__ import annotations

import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "eterna" / "base_model"
KEPT = {"README.md"}


def ship(final: Path, package: Path = PACKAGE) -> None:
    """Replace the packaged weights and tokenizer; the model card stays."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(final, dtype=torch.bfloat16)
    tokenizer = AutoTokenizer.from_pretrained(final)
    package.mkdir(parents=True, exist_ok=True)
    for item in package.iterdir():
        if item.name not in KEPT:
            item.unlink()
    model.save_pretrained(package)
    tokenizer.save_pretrained(package)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python recipes/base/ship.py runs/base-asked/final\n")
        sys.exit(2)
    if not (Path(sys.argv[1]) / "config.json").is_file():
        sys.stderr.write(f"no model in {sys.argv[1]}: name the folder with its config.json\n")
        sys.exit(2)
    ship(Path(sys.argv[1]))
