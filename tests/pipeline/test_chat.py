"""A conversation: what it refuses, and that a refused turn leaves no trace."""

from __future__ import annotations

from typing import Any

import pytest

from eterna.config import config_from_values
from eterna.errors import UserError
from eterna.models import load_model, load_tokenizer
from eterna.pipeline.chat import Conversation


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
