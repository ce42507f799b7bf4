"""What one model scores on a run's held-out data, and base against tuned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from typing import Any

from eterna.config import RunConfig
from eterna.data import Encoder, Item, PreparedData, ReadSource
from eterna.evaluation import (
    Answers,
    Background,
    Breach,
    ItemLoss,
    Rules,
    agreement,
    answer_items,
    default_stride,
    find_breaches,
    item_language,
    needs_replies,
    perplexity_scores,
    rating_scores,
    reply_figures,
    sample_rows,
    score_health,
    score_items,
    score_replies,
    summarize,
    unanswered_scores,
)
from eterna.models import Generated, held_as, keeps_base, load_model, tokenizer_digest
from eterna.pipeline.control import against, measured_rows
from eterna.pipeline.inputs import Yardsticks
from eterna.runs import Score
from eterna.world import Context, Scene, Turn, World, build_messages
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
    breaches: list[Breach] | None
    """Rules of the canon that the tuned model's replies break; None where nothing was looked at."""
    rows: list[dict[str, Any]]
    """Items with both replies, for replies.jsonl."""
    measured: list[dict[str, Any]]
    """What the tuned model did item by item, for measured.jsonl."""
    agreements: list[dict[str, Any]]
    """How far people agree in their ratings, for ratings.json; empty where none were given."""
    canon_untested: str | None = None
    """Why nothing was looked at."""
    redrawn: int = 0
    """Replies of the tuned model that broke a rule and were drawn anew."""
    control: str | None = None
    """Which model the tuned one was held against beside the base; None where none was given."""


class Measurer:
    """Measures models on the held-out data of one run."""

    def __init__(
        self,
        config: RunConfig,
        world: World | None,
        yardsticks: Yardsticks,
        read: Sequence[ReadSource],
        data: PreparedData,
        tokenizer: Any,
    ) -> None:
        self.config = config
        self.world = world
        self.yardsticks = yardsticks
        self.data = data
        self.tokenizer = tokenizer
        self.window = config.data.max_length
        self.batch = config.training.per_device_eval_batch_size
        trained = [example for source in read if source.part == "train" for example in source.content.examples]
        self.background = Background.of(trained, world.revelaciones if world else {})
        self.rules = Rules(yardsticks.canon, self.background.revelaciones)
        self.encoder = Encoder(tokenizer)
        self.general = [self.encoder.text(name, text, name) for name, text in yardsticks.general]
        self.first: dict[str, float] = {}
        if yardsticks.control:  # before anything is trained
            yardsticks.control.losses_on(data.eval)
            yardsticks.control.replies_on(self.answered(), config.generation)

    def answered(self) -> list[Item]:
        """The prompts whose replies are scored."""
        settings = self.config.evaluation
        return self.data.items[: settings.samples] if needs_replies(settings.metrics) else []

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
        replies = self._replies(model, items)
        if needs_replies(wanted):
            scored = items[: settings.during_training.samples]
            texts = [reply.text for reply in replies[: len(scored)]]
            figures |= reply_figures(wanted, scored, texts, self.background)
        if step == 0 or not self.first:
            self.first = dict(figures)
        return figures, sample_rows(items[: settings.probes], replies, step), losses

    def measure(self, model: Any, losses: list[ItemLoss] | None = None, tempt: bool = False) -> Measured:
        """Everything the final scores need of one model. `losses`: on data.eval, where they are known already."""
        measured = Measured(
            losses or score_items(model, self.data.eval, self.window, self.batch),
            score_items(model, self.general, self.window, self.batch),
        )
        measured.replies = self._replies(model, self.answered())
        if tempt:
            measured.tempted = self._replies(model, self.temptations())
        return measured

    def _replies(self, model: Any, items: Sequence[Item]) -> list[Generated]:
        return answer_items(model, self.tokenizer, items, self.config.generation, self.rules)

    def temptations(self) -> list[Item]:
        """Each question of the canon's bans put to each NPC, where they are usually found."""
        if self.world is None:
            return []
        items = []
        for ban in self.yardsticks.canon.never:
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
        items, generation = self.answered(), self.config.generation
        before, after = self._answers(base, items), self._answers(tuned, items)
        scores = self._scores((base, before), (tuned, after), items, held)
        vocabulary = f"tokenizer:{tokenizer_digest(self.tokenizer)}"
        scores += [
            replace(score, metric="general_perplexity")
            for score in perplexity_scores(base.general, tuned.general, self._general_signature(held), vocabulary)
            if score.metric == "perplexity"
        ]
        if control := self.yardsticks.control:
            beside = Measured(control.losses_on(self.data.eval), [], control.replies_on(items, generation))
            signed_by = f"{held}|control:{control.sha256[:12]}"
            pair = (beside, self._answers(beside, items)), (tuned, after)
            scores += against(self._scores(*pair, items, signed_by))
        ratings = self.yardsticks.ratings
        scores += rating_scores(ratings, self.yardsticks.ratings_sha256) if ratings else []
        agreements = []
        for criterion in dict.fromkeys(rating.criterion for rating in ratings):
            found = agreement(ratings, criterion)
            agreements.append({"criterion": criterion, "verdict": found.verdict, **asdict(found)})
        untested = self._why_untested(tuned)
        breaches = None if untested else self._breaches(items, tuned)
        measured = list(measured_rows(tuned.losses, items, tuned.replies, generation))
        return Compared(
            scores,
            breaches,
            self._rows(items, before, after),
            measured,
            agreements,
            untested,
            sum(reply.redrawn > 0 for reply in (*tuned.replies, *tuned.tempted)),
            control.origin if control else None,
        )

    def _answers(self, measured: Measured, items: Sequence[Item]) -> Answers:
        texts = [reply.text for reply in measured.replies]
        return Answers.of(texts, self.config.evaluation.metrics, items, self.background)

    def _scores(
        self, base: tuple[Measured, Answers], tuned: tuple[Measured, Answers], items: Sequence[Item], held: str
    ) -> list[Score]:
        """Perplexity, metrics on replies and text health of two models, the first one as `base`."""
        (first, said_first), (second, said_second) = base, tuned
        metrics, vocabulary = self.config.evaluation.metrics, f"tokenizer:{tokenizer_digest(self.tokenizer)}"
        scores = []
        if "perplexity" in metrics:
            scores += perplexity_scores(first.losses, second.losses, self._perplexity_signature(held), vocabulary)
        made = self._reply_signature(held, items)
        if not items:
            return scores + unanswered_scores(metrics, made)
        scores += score_replies(metrics, items, said_first, said_second, self.background, made)
        return scores + score_health(
            said_first.texts,
            said_second.texts,
            [item.reference for item in items],
            [item.group for item in items],
            [reply.stopped for reply in first.replies],
            [reply.stopped for reply in second.replies],
            sorted({item_language(item) for item in items}),
            self.background.training,
            made,
            f"trained-on:{self.background.digest}",
        )

    def _why_untested(self, tuned: Measured) -> str | None:
        if not (self.yardsticks.canon.never or self.background.revelaciones):
            return "no rule was given, by a world or by evaluation.canon"
        if not (tuned.replies or tuned.tempted):
            return "no reply was generated to hold against it"
        return None

    def _breaches(self, items: Sequence[Item], tuned: Measured) -> list[Breach]:
        told = [(item.id, reply.text, item.scene.known) for item, reply in zip(items, tuned.replies, strict=True)]
        told += [(item.id, reply.text, ()) for item, reply in zip(self.temptations(), tuned.tempted, strict=False)]
        return find_breaches(self.yardsticks.canon, self.background.revelaciones, told)

    def _rows(self, items: Sequence[Item], base: Answers, tuned: Answers) -> list[dict[str, Any]]:
        return [
            {
                "item": item.id,
                "title": item.title,
                "voice": item.scene.voice,
                "messages": list(item.messages),
                "reference": item.reference,
                "base": base.texts[place],
                "tuned": tuned.texts[place],
                "scores": {
                    metric: {"base": parts[""][place], "tuned": tuned.values[metric][""][place]}
                    for metric, parts in base.values.items()
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
        text = f"text:{self.yardsticks.general_sha256[:12]}"
        drawn = "ci:bootstrap1000,by-paragraph,seed12345"
        return f"general-ppl|{self._windows()}|held:{held}|{text}|{drawn}|{_versions()}|v1"

    def _reply_signature(self, held: str, items: Sequence[Item]) -> str:
        generation = self.config.generation
        penalties = (("freq", generation.frequency_penalty), ("pres", generation.presence_penalty))
        less = "".join(f"{name}{value:g}," for name, value in penalties if value)
        less += f"guide{generation.guidance_scale:g}," if generation.guided else ""
        less += f"redraw{generation.redraws}:{self.rules.digest}," if generation.redraws else ""
        asked = repr([(item.id, item.messages, item.reference) for item in items])
        which = f"{len(items)},{sha256(asked.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
        return (
            f"gen:max{generation.max_new_tokens},t{generation.temperature:g},p{generation.top_p:g},"
            f"{less}seed{generation.seed}|items:{which}|held:{held}|{self._data_signature()}|{_versions()}"
        )

    def _windows(self) -> str:
        return f"window:{self.window}|stride:{default_stride(self.window)}"


@contextmanager
def base_of(config: RunConfig, tuned: Any, precision: str = "fp32") -> Iterator[Any]:
    """The model that training began with, beside the tuned one in memory: adapters off, or loaded again.

    It is held as the tuned one is. precision: what layers in 4 bits multiply in.
    """
    if config.lora and keeps_base(config.lora):
        with tuned.disable_adapter():
            yield tuned
        return
    held = held_as(tuned)
    alike = {"quantization": "nf4"} if held.startswith("nf4") else {"quantization": "none", "dtype": held}
    base = load_model(
        config.model.model_copy(update=alike), precision, config.training.seed, train_all=config.lora is None
    )
    yield base.to(next(tuned.parameters()).device)


def _versions() -> str:
    import transformers

    return f"transformers:{transformers.__version__}"
