"""The run file in README.md loads, and a mistake in it is answered as README.md says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eterna.config import load_config
from eterna.errors import ConfigError

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
(RUN_FILE,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
(ANSWER,) = re.findall(r"^    eterna: (run\.yaml:.*)\n +(fix: .*)$", README, re.MULTILINE)


def test_the_run_file_loads(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(RUN_FILE, encoding="utf-8")
    assert load_config(tmp_path / "run.yaml", environment={}).config.name == "my-voice"


def test_a_typo_is_answered_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(RUN_FILE.replace("learning_rate", "learnig_rate"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(Path("run.yaml"), environment={})
    assert [line.strip() for line in str(caught.value).splitlines()] == list(ANSWER)
