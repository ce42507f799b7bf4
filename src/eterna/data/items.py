"""Evaluation items: fixed prompts with the answer somebody wrote, taken from held-out conversations and texts.

A conversation gives one item for each of its answers; a text gives passages, each continued from its opening.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eterna.data.encoding import Encoder
from eterna.data.examples import RawExample
from eterna.world import Message, Scene, arrange

OPENING_TOKENS = 64
PASSAGE_TOKENS = 512
SHORTEST_CONTINUATION = 8


@dataclass(frozen=True)
class Item:
    """One prompt that every model answers."""

    id: str
    title: str
    group: str
    """What it belongs to: items of one conversation or book are drawn together for intervals."""
    scene: Scene
    messages: tuple[Message, ...]
    """What comes before the answer; for plain text one `user` message with the opening."""
    prompt_ids: tuple[int, ...]
    reference: str
    """What was written there."""


def choose_items(encoder: Encoder, examples: Sequence[RawExample], count: int, window: int) -> tuple[list[Item], int]:
    """At most `count` items whose prompt fits `window` tokens, taken from each voice in turn, and how many did not fit.

    Within a voice the last answers of its conversations come first, then the earlier ones; texts follow in order.
    """
    voices: dict[str, list[Iterator[Item]]] = {}
    for example in examples:
        voices.setdefault(example.scene.voice or example.group, []).append(_items(encoder, example))
    queues = [_by_turns(sources) for sources in voices.values()]
    chosen: list[Item] = []
    too_long = 0
    for item in _by_turns(queues):
        if len(chosen) >= count:
            break
        if len(item.prompt_ids) < window:
            chosen.append(item)
        else:
            too_long += 1
    return chosen, too_long


def _by_turns(sources: Sequence[Iterator[Item]]) -> Iterator[Item]:
    """One from each source in turn until all are empty."""
    left = list(sources)
    while left:
        for source in list(left):
            item = next(source, None)
            if item is None:
                left.remove(source)
            else:
                yield item


def _items(encoder: Encoder, example: RawExample) -> Iterator[Item]:
    return _answers(encoder, example) if example.messages else _passages(encoder, example)


def _answers(encoder: Encoder, example: RawExample) -> Iterator[Item]:
    blocks = [block for block in arrange(example.messages) if block.role == "assistant" and block.first > 0]
    for block in reversed(blocks):
        if not any(weight > 0 for _, weight in block.pieces):
            continue
        context = example.messages[: block.first]
        yield Item(
            example.id if block is blocks[-1] else f"{example.id}@{block.first}",
            example.title,
            example.group,
            example.scene,
            context,
            tuple(encoder.prompt(context)),
            block.content,
        )


def _passages(encoder: Encoder, example: RawExample) -> Iterator[Item]:
    encoding = encoder.tokenizer(example.text, add_special_tokens=True, return_offsets_mapping=True)
    ids, offsets = encoding["input_ids"], encoding["offset_mapping"]
    for number, start in enumerate(range(0, len(ids), PASSAGE_TOKENS)):
        end = min(start + PASSAGE_TOKENS, len(ids))
        opening = min(OPENING_TOKENS, (end - start) // 2)
        if end - start - opening < SHORTEST_CONTINUATION:
            continue
        first, cut = offsets[start][0], offsets[start + opening - 1][1]
        last = max(right for _, right in offsets[start:end])  # an end-of-text token may stand at (0, 0)
        message: Message = {"role": "user", "content": example.text[first:cut]}
        yield Item(
            example.id if number == 0 else f"{example.id}@{start}",
            example.title,
            example.group,
            example.scene,
            (message,),
            tuple(ids[start : start + opening]),
            example.text[cut:last],
        )
