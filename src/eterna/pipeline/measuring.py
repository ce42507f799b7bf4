"""What one model scores on a run's held-out data, and base against tuned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from eterna.config import RunConfig
from eterna.data import Encoder, Item, PreparedData, ReadSource
from eterna.evaluation import (
    Background,
    Breach,
    ItemLoss,
    agreement,
    answer_items,
    default_stride,
    figures_of,
    find_breaches,
    general_paragraphs,
    language_of,
    needs_replies,
    perplexity_scores,
    rating_scores,
    read_ratings,
    reply_values,
    sample_rows,
    score_health,
    score_items,
    score_replies,
    summarize,
)
from eterna.models import Generated, held_as, keeps_base, load_model
from eterna.runs import Score
from eterna.world import Canon, Context, Scene, Turn, World, build_messages, load_canon
from eterna.world.schema import PLAYER


@dataclass
class Measured:
    """One model on everything the final scores need."""

    losses: list[ItemLoss]
    general: list[ItemLoss]
    replies: list[Generated] = field(default_factory=list)
    tempted: list[Generated] = field(default_factory=list)


@dataclass
class Compared:
    """Base against tuned."""

    scores: list[Score]
    breaches: list[Breach]
    rows: list[dict[str, Any]]
    """Items with both replies, for replies.jsonl."""
    agreements: list[dict[str, Any]]
    """How far people agree in their ratings, for ratings.json; empty where none were given."""


class Measurer:
    """Measures models on the held-out data of one run."""

    def __init__(
        self, config: RunConfig, world: World | None, read: Sequence[ReadSource], data: PreparedData, tokenizer: Any
    ) -> None:
        self.config = config
        self.world = world
        self.data = data
        self.tokenizer = tokenizer
        self.window = config.data.max_length
        self.batch = config.training.per_device_eval_batch_size
        trained = [example for source in read if source.part == "train" for example in source.content.examples]
        self.background = Background.of(trained, world.revelaciones if world else {})
        self.canon = load_canon(Path(config.evaluation.canon)) if config.evaluation.canon else None
        if self.canon is None:
            self.canon = world.canon if world else Canon()
        self.encoder = Encoder(tokenizer)
        self.general = [
            self.encoder.text(name, text, name)
            for name, text in general_paragraphs(Path(config.evaluation.general) if config.evaluation.general else None)
        ]
        self.first: dict[str, float] = {}

    def during(self, model: Any, step: int) -> tuple[dict[str, float], list[dict[str, Any]], list[ItemLoss]]:
        """Figures of an evaluation while training goes on, its sample rows, and the losses they rest on."""
        settings = self.config.evaluation
        losses = score_items(model, self.data.eval, self.window, self.batch)
        pooled = summarize(losses)
        figures = {"loss": pooled.loss, "perplexity": pooled.perplexity}
        if pooled.bits_per_byte is not None:
            figures["bits_per_byte"] = pooled.bits_per_byte
        wanted = settings.during_training.metrics
        count = max(settings.probes, settings.during_training.samples if needs_replies(wanted) else 0)
        items = self.data.items[:count]
        replies = answer_items(model, self.tokenizer, items, self.config.generation, self.batch)
        if needs_replies(wanted):
            scored = items[: settings.during_training.samples]
            texts = [reply.text for reply in replies[: len(scored)]]
            figures |= figures_of(reply_values(wanted, scored, texts, self.background))
        if step == 0 or not self.first:
            self.first = dict(figures)
        return figures, sample_rows(items[: settings.probes], replies, step), losses

    def measure(self, model: Any, losses: list[ItemLoss] | None = None, tempt: bool = False) -> Measured:
        """Everything the final scores need of one model. `losses`: on data.eval, where they are known already."""
        settings = self.config.evaluation
        measured = Measured(
            losses or score_items(model, self.data.eval, self.window, self.batch),
            score_items(model, self.general, self.window, self.batch),
        )
        if needs_replies(settings.metrics):
            items = self.data.items[: settings.samples]
            measured.replies = answer_items(model, self.tokenizer, items, self.config.generation, self.batch)
        if tempt:
            measured.tempted = answer_items(
                model, self.tokenizer, self.temptations(), self.config.generation, self.batch
            )
        return measured

    def temptations(self) -> list[Item]:
        """Each question of the canon's bans put to each NPC, where they are usually found."""
        assert self.canon is not None
        if self.world is None:
            return []
        items = []
        for ban in self.canon.never:
            for number, question in enumerate(ban.ask, start=1):
                for npc in self.world.npcs.values():
                    context = Context(npc.id, npc.place)
                    messages = tuple(build_messages(self.world, context, [Turn(speaker=PLAYER, text=question)]))
                    name = f"canon/{ban.id}/{number}/{npc.id}"
                    ids = tuple(self.encoder.prompt(messages))
                    items.append(Item(name, ban.id, name, Scene(voice=npc.id), messages, ids, ""))
        return items

    def compare(self, base: Measured, tuned: Measured, held: str) -> Compared:
        """Scores with intervals, broken rules of the canon, and both replies of every item."""
        config = self.config
        scores = [
            score
            for score in perplexity_scores(base.losses, tuned.losses, self._perplexity_signature(held))
            if "perplexity" in config.evaluation.metrics
        ]
        items = self.data.items[: len(tuned.replies)]
        texts = [reply.text for reply in base.replies], [reply.text for reply in tuned.replies]
        if items:
            signed = self._reply_signature(held, len(items))
            scores += score_replies(config.evaluation.metrics, items, *texts, self.background, signed)
            scores += score_health(
                *texts,
                [item.reference for item in items],
                [item.group for item in items],
                [reply.stopped for reply in base.replies],
                [reply.stopped for reply in tuned.replies],
                sorted({item.scene.language or language_of(item.reference) for item in items}),
                self.background.training,
            )
        scores += [
            replace(score, metric="general_perplexity")
            for score in perplexity_scores(base.general, tuned.general, self._general_signature(held))
            if score.metric == "perplexity"
        ]
        ratings = read_ratings(Path(config.evaluation.ratings)) if config.evaluation.ratings else []
        scores += rating_scores(ratings) if ratings else []
        agreements = []
        for criterion in dict.fromkeys(rating.criterion for rating in ratings):
            found = agreement(ratings, criterion)
            agreements.append({"criterion": criterion, "verdict": found.verdict, **asdict(found)})
        return Compared(scores, self._breaches(items, tuned), self._rows(items, base, tuned), agreements)

    def _breaches(self, items: Sequence[Item], tuned: Measured) -> list[Breach]:
        assert self.canon is not None
        told = [(item.id, reply.text, item.scene.known) for item, reply in zip(items, tuned.replies, strict=True)]
        told += [(item.id, reply.text, ()) for item, reply in zip(self.temptations(), tuned.tempted, strict=False)]
        return find_breaches(self.canon, self.background.revelaciones, told)

    def _rows(self, items: Sequence[Item], base: Measured, tuned: Measured) -> list[dict[str, Any]]:
        metrics = self.config.evaluation.metrics
        values = [
            reply_values(metrics, items, [reply.text for reply in replies], self.background)
            for replies in (base.replies, tuned.replies)
        ]
        return [
            {
                "item": item.id,
                "title": item.title,
                "voice": item.scene.voice,
                "messages": list(item.messages),
                "reference": item.reference,
                "base": base.replies[place].text,
                "tuned": tuned.replies[place].text,
                "scores": {
                    metric: {"base": values[0][metric][""][place], "tuned": values[1][metric][""][place]}
                    for metric in values[0]
                },
            }
            for place, item in enumerate(items)
        ]

    def _data_signature(self) -> str:
        hashes = [report.sha256[:12] for report in self.data.reports if report.part == "eval"]
        return f"data:{'+'.join(hashes)}"

    def _perplexity_signature(self, held: str) -> str:
        scored = "all" if self.config.data.train_on == "all" else "answers+stop"
        return (
            f"ppl|{self._windows()}|scored:{scored},text:all-but-first+eos|held:{held}|{self._data_signature()}"
            f"|ci:bootstrap1000,by-group,seed12345|{_versions()}|v1"
        )

    def _general_signature(self, held: str) -> str:
        name = self.config.evaluation.general or "eterna:general"
        return f"general-ppl|{self._windows()}|held:{held}|text:{name}|ci:bootstrap1000,by-paragraph,seed12345|v1"

    def _reply_signature(self, held: str, count: int) -> str:
        generation = self.config.generation
        return (
            f"gen:max{generation.max_new_tokens},t{generation.temperature:g},p{generation.top_p:g},"
            f"seed{generation.seed},batch{self.batch}|items:{count}|held:{held}|{self._data_signature()}|{_versions()}"
        )

    def _windows(self) -> str:
        return f"window:{self.window}|stride:{default_stride(self.window)}"


@contextmanager
def base_of(config: RunConfig, tuned: Any) -> Iterator[Any]:
    """The model that training began with, beside the tuned one in memory: adapters off, or loaded again."""
    if config.lora and keeps_base(config.lora):
        with tuned.disable_adapter():
            yield tuned
        return
    section = config.model.model_copy(update={"quantization": "nf4" if held_as(tuned) == "nf4" else "none"})
    base = load_model(section, "fp32", config.training.seed, train_all=True)
    yield base.to(next(tuned.parameters()).device)


def _versions() -> str:
    import transformers

    return f"transformers:{transformers.__version__}"
