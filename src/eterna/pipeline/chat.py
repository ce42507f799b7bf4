"""`eterna chat`: talk to a trained model, as an NPC in a place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eterna.config import RunConfig
from eterna.data import Encoder
from eterna.errors import UserError
from eterna.evaluation import Rules, redraw_name
from eterna.models import Generated, generate, load_finished
from eterna.pipeline.inputs import prompt_room, read_canon, read_world
from eterna.pipeline.libraries import load_libraries
from eterna.runs import RunFolder
from eterna.seeding import seed_for
from eterna.text import name_hint, shown
from eterna.world import Context, Message, Turn, World, build_messages, fit_turns
from eterna.world.schema import PLAYER

PARTS = ("npc", "place", "book")


@dataclass
class Conversation:
    """A conversation in progress with one model."""

    config: RunConfig
    world: World | None
    model: Any
    tokenizer: Any
    context: Context = field(default_factory=Context)
    turns: list[Turn] = field(default_factory=list)
    rules: Rules | None = None
    """What a reply must not break; None where `generation.redraws` asks for nothing."""

    def __post_init__(self) -> None:
        self.encoder = Encoder(self.tokenizer)
        self.stop = self.encoder.stop_tokens(self.model.generation_config)

    def change(self, part: str, name: str | None) -> None:
        """Set the context's npc, place or book by id. Raises UserError for an unknown id."""
        self.context = changed(self.context, self.world, part, name)

    def reply(self, text: str, on_text: Callable[[str], None] | None = None) -> tuple[Generated, int]:
        """Answer the player. Returns the reply and how many old turns did not fit the window.

        `on_text` gets pieces of the reply as they come, or all of it at once where it is held against rules first.
        Raises UserError for a text that is empty or too long; the conversation stays as it was.
        """
        if not text.strip():
            raise UserError("there is nothing to answer", fix="say something")
        speaker = self.context.voice or "assistant"
        turns = [*self.turns, Turn(speaker=PLAYER, text=text)]
        prompt, dropped = self.prompt(turns)
        answer = self._draw(prompt, (speaker, f"{len(turns)}", text), on_text)
        self.turns += [turns[-1], Turn(speaker=speaker, text=answer.text or "…")]
        return answer, dropped

    def _draw(self, prompt: list[int], names: tuple[str, ...], on_text: Callable[[str], None] | None) -> Generated:
        """A reply that breaks no rule, if `generation.redraws` further draws give one."""
        generation = self.config.generation
        redraws = generation.redraws if self.rules else 0
        blank = self.encoder.blank(prompt) if generation.guided else None
        for turn in range(redraws + 1):
            seed = seed_for(generation.seed, *names, *redraw_name(turn))
            own = generation.model_copy(update={"seed": seed})
            answer = generate(self.model, self.tokenizer, prompt, own, self.stop, None if redraws else on_text, blank)
            if not (self.rules and self.rules.broken_by(answer.text, self.context.known)):
                break
        if redraws and on_text:
            on_text(answer.text)
        return answer

    def prompt(self, turns: Sequence[Turn]) -> tuple[list[int], int]:
        """Token ids of the prompt, and how many old turns were left out of it. Raises UserError where it cannot fit."""
        if self.world:
            messages = build_messages(self.world, self.context, turns)
        else:
            roles = ("user" if turn.speaker == PLAYER else "assistant" for turn in turns)
            messages = [Message(role=role, content=turn.text) for role, turn in zip(roles, turns, strict=True)]
        room = prompt_room(self.config)
        kept, dropped = fit_turns(messages, lambda some: len(self.encoder.prompt(some)), room)
        prompt = self.encoder.prompt(kept)
        if len(prompt) > room:
            raise UserError(
                f"the message with its scene is {len(prompt)} tokens long, and {room} leave room for a reply",
                fix="say it in fewer words",
            )
        return prompt, dropped


def open_conversation(
    path: Path, npc: str | None = None, place: str | None = None, book: str | None = None
) -> Conversation:
    """Load a run's final model. Without `place`, an NPC is met where they are usually found."""
    load_libraries("peft")
    run = RunFolder.open(path)
    config = run.config()
    world = read_world(config)
    chosen = {"npc": npc, "place": place, "book": book}
    if world:
        npc = chosen["npc"] = npc or next(iter(world.npcs), None)
        if npc in world.npcs and place is None:
            chosen["place"] = world.npcs[npc].place
    # Ids are checked before the model is loaded.
    context = Context()
    for part in PARTS:
        context = changed(context, world, part, chosen[part])
    rules = None
    if config.generation.redraws:
        rules = Rules(read_canon(config.evaluation, world), world.revelaciones if world else {})
    model, tokenizer = load_finished(run.final)
    return Conversation(config, world, model, tokenizer, context, rules=rules)


def changed(context: Context, world: World | None, part: str, name: str | None) -> Context:
    """The context with another npc, place or book; None takes it away. Raises UserError for an unknown id."""
    known = getattr(world, f"{part}s") if world else {}
    if name is not None and name not in known:
        where = world.title if world else "a run without a world"
        fix = name_hint(name, known) if known else "train with `world:`"
        raise UserError(f"there is no {part} {shown(name)} in {where}", fix=fix)
    return Context(**{**asdict(context), part: name})
