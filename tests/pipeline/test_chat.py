"""A conversation: what it refuses, and that a refused turn leaves no trace."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eterna.config import config_from_values
from eterna.errors import UserError
from eterna.evaluation import Rules
from eterna.models import load_model, load_tokenizer
from eterna.pipeline.chat import Conversation, open_conversation
from eterna.pipeline.train import train
from eterna.world import Canon
from eterna.world.schema import Ban


@pytest.fixture
def conversation(run_values: dict[str, Any]) -> Conversation:
    """With a model as it was before training."""
    config = config_from_values(run_values).config
    model = load_model(config.model, "fp32", 0, train_all=True)
    return Conversation(config, None, model, load_tokenizer(config.model)[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is nothing to answer"),
        (" \n\t", "there is nothing to answer"),
        ("where is the stair " * 100, r"the message with its scene is \d+ tokens long, and 192 leave room"),
    ],
    ids=["empty", "blank", "too long"],
)
def test_a_message_that_cannot_be_answered_leaves_the_conversation_as_it_was(
    conversation: Conversation, text: str, message: str
) -> None:
    conversation.reply("Who keeps the lamps?")
    before = list(conversation.turns)
    with pytest.raises(UserError, match=message):
        conversation.reply(text)
    assert conversation.turns == before
    conversation.reply("And who mends them?")
    assert len(conversation.turns) == 4


def test_a_guided_reply_is_led_away_from_one_without_its_prompt(conversation: Conversation) -> None:
    asked: list[int] = []
    conversation.config.generation.guidance_scale = 3.0
    conversation.model.register_forward_pre_hook(
        lambda _, args, given: asked.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    conversation.reply("Who keeps the lamps?")
    opening = len(conversation.encoder.blank(conversation.prompt(conversation.turns[:1])[0]))
    assert asked[1] == opening < asked[0]
    assert asked[2:4] == [1, 1]


def test_a_reply_that_breaks_off_leaves_no_half_turn(
    conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **settings: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(conversation.model, "forward", broken)
    with pytest.raises(KeyboardInterrupt):
        conversation.reply("Who keeps the lamps?")
    assert conversation.turns == []


def test_old_turns_give_way_to_a_long_message(conversation: Conversation) -> None:
    conversation.reply("where is the stair " * 16)
    _, dropped = conversation.reply("where is the stair " * 16)
    assert dropped == 2


def test_a_reply_that_breaks_the_canon_is_drawn_anew_before_anybody_sees_it(conversation: Conversation) -> None:
    generation = conversation.config.generation
    generation.temperature, generation.redraws = 1.0, 2
    said: list[str] = []
    first = conversation.reply("Who keeps the lamps?", said.append)[0].text
    assert len(said) > 1  # piece by piece, where there is nothing to hold it against
    conversation.turns.clear()
    said.clear()
    conversation.rules = Rules(Canon(never=[Ban(id="ban", text="", pattern=f"^{re.escape(first)}$")]), {})
    second = conversation.reply("Who keeps the lamps?", said.append)[0].text
    assert said == [second] != [first]


def test_a_chat_with_a_run_holds_replies_against_the_world_s_canon(run_values: dict[str, Any]) -> None:
    generation = {"max_new_tokens": 8, "temperature": 1.0, "redraws": 1}
    values = {**run_values, "world": "eterna:biblioteca", "generation": generation}
    trained = train(config_from_values(values), Console(quiet=True))
    assert trained is not None
    talk = open_conversation(trained.run.path)
    assert talk.rules is not None
    assert talk.rules.broken_by("As an AI, I cannot borrow books.", ())


def test_a_canon_that_is_gone_keeps_nobody_from_talking(run_values: dict[str, Any], tmp_path: Path) -> None:
    canon = tmp_path / "canon.yaml"
    canon.write_text("never: []\n", encoding="utf-8")
    trained = train(config_from_values({**run_values, "evaluation": {"canon": str(canon)}}), Console(quiet=True))
    assert trained is not None
    canon.unlink()
    assert open_conversation(trained.run.path).rules is None
