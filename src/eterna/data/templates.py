"""Chat templates: programs written by strangers, run in a process of their own.

A template comes with a model and is code. It is rendered in a child that may take 2 s of processor time for one
conversation, 512 MiB of memory, and 1 MB of output beyond the conversation's own text; past a bound the child ends and
the user gets a message. Rendering itself is transformers' (jinja2's immutable sandbox).
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from eterna.errors import ModelError
from eterna.text import shown

PROCESSOR_SECONDS = 2
WAIT_SECONDS = 60  # a busy machine may be slow to give the child its two seconds
MEMORY_BYTES = 512 * 2**20
OUTPUT_CHARACTERS = 1_000_000
CHILDREN = 4  # templates kept ready at a time

Request = tuple[list[dict[str, str]], bool]
"""Messages of role and content, and whether an answer comes next."""
FIX = "set another chat template in the model's folder"


class TemplateError(ModelError):
    """A chat template cannot be used: it takes too long, writes too much, or is no template at all."""


@dataclass(frozen=True)
class Failure:
    """What a template raised for one conversation."""

    message: str


class Renderer:
    """One template in its child process, started when it is first needed."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.lock = threading.Lock()
        self.child: Any = None
        self.pipe: Connection | None = None
        self.traits: Any = None
        """What the template can write, once somebody has found out."""

    def render(self, requests: Sequence[Request]) -> list[str | Failure]:
        """Each conversation as text, or what the template raised for it. Raises TemplateError past a bound."""
        with self.lock:
            pipe = self.pipe or self._start()
            try:
                pipe.send(list(requests))
                if not pipe.poll(WAIT_SECONDS):
                    raise EOFError
                answers: list[str | Failure] = pipe.recv()
            except (EOFError, OSError):
                self.close()
                longest = max((len(one["content"]) for messages, _ in requests for one in messages), default=0)
                raise TemplateError(
                    f"the chat template took more than {PROCESSOR_SECONDS} s for one conversation"
                    f" (longest message {longest:,} characters)",
                    fix=FIX,
                ) from None
        return answers

    def close(self) -> None:
        """End the child."""
        if self.pipe:
            self.pipe.close()
        if self.child:
            self.child.kill()
            self.child.join()
        self.pipe = self.child = None

    def _start(self) -> Connection:
        context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        ours, theirs = multiprocessing.Pipe()
        self.child = context.Process(target=_serve, args=(theirs, ours, self.tokenizer), daemon=True)
        with warnings.catch_warnings():
            # Python warns of forking beside threads: this child runs nothing but the template.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.child.start()
        theirs.close()
        self.pipe = ours
        return ours


_ready: OrderedDict[tuple[Any, ...], Renderer] = OrderedDict()


def renderer_of(tokenizer: Any) -> Renderer:
    """The renderer of a tokenizer's template; one child serves all tokenizers with the same template and tokens."""
    template = tokenizer.chat_template
    key = (str(template), tuple(sorted((name, str(token)) for name, token in tokenizer.special_tokens_map.items())))
    if key not in _ready:
        _ready[key] = Renderer(tokenizer)
        if len(_ready) > CHILDREN:
            _ready.popitem(last=False)[1].close()
    _ready.move_to_end(key)
    return _ready[key]


def _serve(pipe: Connection, other_end: Connection, tokenizer: Any) -> None:
    """The child: answers requests until its parent is gone."""
    import signal

    other_end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _limit_memory()
    clock = hasattr(signal, "setitimer")
    if clock:
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    while True:
        try:
            requests = pipe.recv()
        except (EOFError, OSError):
            return
        found = []
        for messages, reply_next in requests:
            if clock:
                signal.setitimer(signal.ITIMER_VIRTUAL, PROCESSOR_SECONDS)
            found.append(_render(tokenizer, messages, reply_next))
            if clock:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        pipe.send(found)


def _render(tokenizer: Any, messages: list[dict[str, str]], reply_next: bool) -> str | Failure:
    try:
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=reply_next)
    except MemoryError:
        return Failure(f"it took more than {MEMORY_BYTES // 2**20} MiB of memory")
    except Exception as error:  # a template is a program of its own: whatever it raises is its mistake
        return Failure(shown(str(error) or type(error).__name__, 120))
    allowed = OUTPUT_CHARACTERS + 2 * sum(len(message["content"]) for message in messages)
    if len(text) > allowed:
        return Failure(f"it wrote {len(text):,} characters for one conversation")
    return text


def _limit_memory() -> None:
    """Bound what the child can take beyond what it was started with."""
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
