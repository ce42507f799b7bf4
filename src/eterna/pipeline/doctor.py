"""`eterna doctor`: what this machine has, what is missing, and what to do about it.

Nothing here may end in a traceback: a library that is broken is a finding, so each one is imported on its own.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from eterna.errors import ModelError
from eterna.pipeline.fits import available_memory, largest_models
from eterna.text import first_line

NEEDED = ("torch", "transformers", "peft", "accelerate", "datasets", "mlflow", "tensorboard")
EXTRAS = {"bitsandbytes": ("quantization", "QLoRA"), "sentencepiece": ("sentencepiece", "sentencepiece tokenizers")}
GIB = 2**30
LOW_DISK, NO_DISK = 5 * GIB, GIB // 2
LOW_MEMORY = GIB
PATIENCE = 3.0  # seconds for the one attempt to reach the Hub


@dataclass(frozen=True)
class Row:
    """One finding."""

    name: str
    state: Literal["ok", "warn", "bad"]
    text: str
    fix: str | None = None
    """What to do; None where all is well."""

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def examine() -> list[Row]:
    """Look at everything, in the order in which it should be put right."""
    wanted, here = supported_versions(), Path.cwd()
    rows = [_python(wanted)]
    libraries = [_library(name, wanted) for name in NEEDED]
    torch = importlib.import_module("torch") if libraries[0].state != "bad" else None
    rows += [*libraries, *(_extra(name, wanted) for name in EXTRAS)]
    rows += [*_devices(torch), _memory(), check_disk(here), check_folder(here), check_base_model(), check_network()]
    return rows + [Row("fits here", "ok", line) for line in largest_models(torch)]


def supported_versions() -> dict[str, str]:
    """Version ranges by library, and `python`, from Eterna's own package metadata; empty when it is not installed."""
    from packaging.requirements import Requirement

    try:
        found = metadata.metadata("eterna")
    except metadata.PackageNotFoundError:
        return {}
    needed = [Requirement(line) for line in found.get_all("Requires-Dist") or []]
    return {"python": found["Requires-Python"] or "", **{one.name: str(one.specifier) for one in needed}}


def _python(wanted: dict[str, str]) -> Row:
    version = sys.version.split()[0]
    if not wanted:
        text = f"{version}; Eterna is not installed as a package, so no version can be compared"
        return Row("python", "warn", text, "install it: pip install -e . (or make setup)")
    if _fits(version, wanted["python"]):
        return Row("python", "ok", version)
    return Row("python", "bad", f"{version}, supported: {wanted['python']}", "make setup PYTHON=python3.12")


def _library(name: str, wanted: dict[str, str]) -> Row:
    supported = wanted.get(name, "")
    install = f'pip install "{name}{supported}"'
    version = _version(name)
    if version is None:
        return Row(name, "bad", "not installed", install)
    if not _fits(version, supported):
        return Row(name, "bad", f"{version}, supported: {supported}", install)
    if failure := _import_failure(name):
        again = f'pip install --force-reinstall "{name}{supported}"'
        return Row(name, "bad", f"{version} fails to import: {failure}", again)
    return Row(name, "ok", version + (f" (supported: {supported})" if supported else ""))


def _extra(name: str, wanted: dict[str, str]) -> Row:
    extra, purpose = EXTRAS[name]
    install = f'pip install "eterna[{extra}]"'
    version = _version(name)
    if version is None:
        return Row(name, "warn", f"not installed: no {purpose}", install)
    if not _fits(version, wanted.get(name, "")):
        return Row(name, "warn", f"{version}, supported: {wanted[name]}", install)
    if failure := _import_failure(name):
        return Row(name, "warn", f"{version} fails to import: {failure}", f"{install} --force-reinstall")
    return Row(name, "ok", version)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _fits(version: str, supported: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(supported).contains(version, prereleases=True)


def _import_failure(name: str) -> str | None:
    logging.disable()  # some libraries log about optional parts while they load
    try:
        importlib.import_module(name)
    except Exception as error:  # a broken library may raise anything; whatever it is, it is the finding
        return f"{type(error).__name__}: {first_line(error)}"
    finally:
        logging.disable(logging.NOTSET)
    return None


def _devices(torch: Any) -> Iterator[Row]:
    if torch is None:
        yield Row("device", "bad", "unknown: torch cannot be used", "put torch right first")
        return
    if not torch.cuda.is_available():
        text = f"no GPU: {os.cpu_count()} CPU cores, precision fp32; small models only"
        yield Row("device", "ok", text)
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        with torch.cuda.device(number):
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        text = f"{about.name}, {about.total_memory / GIB:.1f} GiB, {'bfloat16' if bf16 else 'no bfloat16: float16'}"
        yield Row(f"device cuda:{number}", "ok", text)


def _memory() -> Row:
    free = available_memory()
    if free is None:
        return Row("memory", "warn", "unknown on this system", "look it up before you train a large model")
    if free < LOW_MEMORY:
        return Row("memory", "warn", f"{free / GIB:.1f} GiB free", "close other programs")
    return Row("memory", "ok", f"{free / GIB:.1f} GiB free")


def check_disk(folder: Path) -> Row:
    """Room for checkpoints."""
    free = shutil.disk_usage(folder).free
    text = f"{free / GIB:.1f} GiB free in {folder}"
    fix = "make room, or run in another folder; training.save_total_limit keeps fewer checkpoints"
    if free < LOW_DISK:
        return Row("disk", "bad" if free < NO_DISK else "warn", text, fix)
    return Row("disk", "ok", text)


def check_folder(folder: Path) -> Row:
    """Whether runs can be written here."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            return Row("folder", "ok", f"{folder} can be written to")
    except OSError as error:
        return Row("folder", "bad", f"{folder} cannot be written to: {error.strerror}", "cd to a folder of your own")


def check_base_model(folder: Path | None = None) -> Row:
    """Whether `eterna:base`, or a copy of it, is there in full."""
    from eterna.models import find_model
    from eterna.models.weight_files import check_weights

    folder = folder or Path(find_model("eterna:base"))
    fix = "install Eterna again; in a checkout: git checkout -- src/eterna/base_model"
    missing = [
        name for name in ("config.json", "tokenizer.json", "chat_template.jinja") if not (folder / name).is_file()
    ]
    if missing:
        return Row("eterna:base", "bad", f"lacks {', '.join(missing)}", fix)
    try:
        check_weights(folder)
        size = sum(_weights_read(path) for path in folder.glob("*.safetensors"))
    except (ModelError, ValueError, ImportError) as error:
        return Row("eterna:base", "bad", first_line(error), fix)
    return Row("eterna:base", "ok", f"whole, {size / 2**20:.1f} MiB of weights")


def _weights_read(path: Path) -> int:
    """Bytes of a safetensors file, after its own reader has compared header and length. Raises ValueError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as weights:
            list(weights.keys())
    except SafetensorError as error:
        raise ValueError(f"{path.name} is damaged: {error}") from None
    return path.stat().st_size


def check_network() -> Row:
    """Whether Hub models can be fetched; never bad, because nothing needs one."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return Row("network", "ok", "offline, as HF_HUB_OFFLINE says: Hub models come from the cache")
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if reached(address):
        return Row("network", "ok", f"{address} answers")
    fix = "use eterna:base or a local folder; HF_HUB_OFFLINE=1 saves waiting for Hub models already in the cache"
    return Row("network", "warn", f"{address} does not answer within {PATIENCE:g} s", fix)


def reached(address: str) -> bool:
    """Whether a server answers anything at all; in a thread, because looking up a name knows no time limit."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=PATIENCE).close()  # noqa: S310
        except urllib.error.HTTPError:
            answers.append(True)
        except (OSError, ValueError):
            return
        else:
            answers.append(True)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return bool(answers)
