"""Score a few texts by hand: a page on this machine, with the very scorer that runs use.

The page shows texts as text: nothing in them is markup, and no error either. It listens on this machine only, asks
nobody else for anything, and scores one request at a time: a scorer belongs to one thread.
"""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from rerank_core.errors import EngineError, InputError, RerankError, SettingsError
from rerank_core.models import scorers
from rerank_core.models.base import Scorer
from rerank_core.models.prompt import Prompter
from rerank_core.prepare.language import language
from rerank_core.records import DEFAULT_INSTRUCTION, Pair, Topic
from rerank_core.settings import DEMO_CHECKPOINT, Settings
from rerank_core.storage import database as db
from rerank_core.storage import topics
from rerank_core.storage.database import Database

MOST_TEXTS = 10
SECONDS = 120.0  # that one request may score
ARTICLE = "article:"  # an entry that begins so names an article of the pipeline
HEADERS = ("order", "text", "logit", "probability", "read", "query", "beginning")

# What the page may load: itself. Gradio starts from a script in the page, and compiles some.
POLICY = (
    "default-src 'self' 'unsafe-inline' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:;"
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'none'"
)


@dataclass(frozen=True)
class Entry:
    """One text to score."""

    number: int  # of the field it was typed into, from 1
    text: str
    lang: str


@dataclass(frozen=True)
class Scored:
    """One text with what the scorer found; the logit is None where it was refused."""

    entry: Entry
    query: str  # of the text's language
    logit: float | None
    read: int  # characters that the model read, about; all of them where nothing was cut
    reason: str | None  # why it was refused

    @property
    def probability(self) -> float | None:
        """sigmoid(logit)."""
        return None if self.logit is None else 1 / (1 + math.exp(-max(-700.0, min(700.0, self.logit))))


@dataclass(frozen=True)
class Answer:
    """Texts in order, best first, refused ones last."""

    scored: tuple[Scored, ...]
    seconds: float
    prompt_tokens: int
    engine: str


def score(
    scorer: Scorer, *, topic: Topic, entries: Sequence[Entry], prompter: Callable[[], Prompter] | None = None
) -> Answer:
    """Score texts against the topic's query of their language. `prompter` finds out how much of a cut text was read.

    Raises EngineError where the engine fails, or gives no result in SECONDS.
    """
    pairs = [
        Pair(
            query_id=1,
            document_id=entry.number,
            month=date.min,
            instruction=topic.instruction,
            query=topic.query_for(entry.lang),
            document=entry.text,
        )
        for entry in entries
    ]
    began = time.monotonic()
    chunks = list(scorer.score(pairs, flush_seconds=math.inf, deadline=began + SECONDS))
    seconds = time.monotonic() - began
    scores = {found.pair.document_id: found for chunk in chunks for found in chunk.scores}
    refused = {refusal.pair.document_id: refusal.reason for chunk in chunks for refusal in chunk.refused}
    if len(scores) + len(refused) < len(pairs):
        raise EngineError(f"not all texts were scored within {SECONDS:.0f} s; give fewer or shorter ones")
    results = []
    for entry, pair in zip(entries, pairs, strict=True):
        found = scores.get(entry.number)
        read = len(entry.text)
        if found is not None and found.truncated:
            read = characters_read(prompter(), pair) if prompter else 0
        results.append(
            Scored(entry, pair.query, found.logit if found else None, read, refused.get(entry.number))
        )
    results.sort(key=lambda one: (one.logit is None, -(one.logit or 0.0), one.entry.number))
    return Answer(tuple(results), seconds, sum(s.prompt_tokens for s in scores.values()), scorer.engine)


def characters_read(prompter: Prompter, pair: Pair) -> int:
    """About how many characters of a document that was cut the model read: its longest beginning that is not cut."""
    low, high = 0, len(pair.document)
    while low < high:
        middle = (low + high + 1) // 2
        prompt = prompter.prompt(
            instruction=pair.instruction, query=pair.query, document=pair.document[:middle]
        )
        low, high = (low, middle - 1) if prompt.truncated else (middle, high)
    return low


class Playground:
    """The scorer in a thread of its own, and the texts that it is asked about."""

    def __init__(self, settings: Settings) -> None:
        """Start the engine. Raises ModelError for a checkpoint that must not be used."""
        self.settings = settings
        self._database = Database(settings.database_url)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scorer")
        self._scorer: Scorer | None = None
        try:
            self._thread.submit(self._load).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def close(self) -> None:
        """Give the engine back."""
        if self._scorer is not None:
            self._thread.submit(self._scorer.close).result()
        self._thread.shutdown()

    def topics(self) -> list[Topic]:
        """The pipeline's topics; none where the database has none or cannot be asked."""
        try:
            with self._database.transaction(read_only=True) as connection:
                return topics.current_topics(connection, self.settings.pipeline)
        except Exception:  # whatever is wrong with the database, texts can be scored
            return []

    def ask(self, slug: str, query: str, instruction: str, fields: Sequence[str]) -> Answer:
        """Score what was typed. Raises InputError where something is missing, EngineError where the engine failed."""
        asked = self._topic(slug, query, instruction)
        entries = [
            self._entry(number, field) for number, field in enumerate(fields, start=1) if field.strip()
        ]
        if not entries:
            raise InputError(f"there is no text to score; type one, or {ARTICLE} and the id of an article")
        if len(entries) > MOST_TEXTS:
            raise InputError(f"{len(entries)} texts are too many; {MOST_TEXTS} is the most")
        return self._thread.submit(self._score, asked, entries).result()

    def _topic(self, slug: str, query: str, instruction: str) -> Topic:
        told = instruction.strip() or DEFAULT_INSTRUCTION
        if query.strip():
            return Topic(slug="query", query=query.strip(), instruction=told)
        if not slug:
            raise InputError("there is nothing to ask; choose a topic or type a query")
        found = next((topic for topic in self.topics() if topic.slug == slug), None)
        if found is None:
            raise InputError(f"topic {slug!r} is not active in pipeline {self.settings.pipeline}")
        if not instruction.strip():
            return found
        return Topic(slug=slug, query=found.query, queries=found.queries, instruction=told)

    def _entry(self, number: int, field: str) -> Entry:
        if not field.strip().startswith(ARTICLE):
            return Entry(number, field, language(field, claimed=None).code)
        article_id = field.strip().removeprefix(ARTICLE).strip()
        with self._database.transaction(read_only=True) as connection:
            row = db.one(
                connection,
                "playground.document",
                pipeline=self.settings.pipeline,
                article_id=article_id.replace("\0", ""),
            )
        if row is None:
            raise InputError(
                f"text {number}: article {article_id!r} has no prepared text in pipeline {self.settings.pipeline}"
            )
        return Entry(number, row["text"], row["lang"])

    def _load(self) -> None:
        self._scorer = scorers.load(self.settings)

    def _score(self, topic: Topic, entries: Sequence[Entry]) -> Answer:
        if self._scorer is None:
            self._load()
        assert self._scorer is not None
        try:
            return score(
                self._scorer,
                topic=topic,
                entries=entries,
                prompter=lambda: scorers.prompter(self.settings),
            )
        except EngineError:
            failed, self._scorer = self._scorer, None  # finished: the next request builds another
            failed.close()
            raise


def rows(answer: Answer) -> list[list[str]]:
    """The answer as HEADERS has its columns, all text."""
    shown = []
    for place, one in enumerate(answer.scored, start=1):
        length = len(one.entry.text)
        read = "all" if one.read >= length else f"first {one.read:,} of {length:,} characters"
        beginning = " ".join(one.entry.text.split())
        shown.append(
            [
                f"{place}" if one.logit is not None else "refused",
                f"text {one.entry.number}",
                "" if one.logit is None else f"{one.logit:+.3f}",
                "" if one.probability is None else f"{one.probability:.4f}",
                read if one.reason is None else one.reason,
                one.query,
                beginning[:120] + ("…" if len(beginning) > 120 else ""),
            ]
        )
    return shown


def summary(answer: Answer) -> str:
    """How long it took, in a sentence."""
    cut = sum(one.read < len(one.entry.text) for one in answer.scored if one.logit is not None)
    return (
        f"{len(answer.scored)} {'text' if len(answer.scored) == 1 else 'texts'}, {answer.prompt_tokens:,} tokens, {answer.seconds * 1000:,.0f} ms by"
        f" {answer.engine}; {cut} cut at the token limit"
    )


class Page(Protocol):
    """What asks the scorer: a Playground, or a stand-in."""

    def topics(self) -> list[Topic]: ...

    def ask(self, slug: str, query: str, instruction: str, fields: Sequence[str]) -> Answer: ...


def build(page: Page, *, title: str) -> Any:
    """The ASGI application of the page. Raises SettingsError where gradio is not installed."""
    try:
        import gradio as gr
    except ImportError as error:
        raise SettingsError(
            "gradio is not installed; the page needs it: pip install 'news-rerank[playground]'"
        ) from error
    from fastapi import FastAPI
    from sqlalchemy.exc import SQLAlchemyError
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    def asked(slug: str | None, query: str, instruction: str, *fields: str) -> tuple[list[list[str]], str]:
        try:
            answer = page.ask(slug or "", query or "", instruction or "", [field or "" for field in fields])
        except RerankError as error:
            return [], f"Not scored: {error}"
        except SQLAlchemyError as error:
            return [], f"Not scored: the database refuses ({type(error).__name__}); run `rerank doctor`"
        return rows(answer), summary(answer)

    with gr.Blocks(title=title, analytics_enabled=False, fill_width=True) as blocks:
        slugs = [topic.slug for topic in page.topics()]
        gr.Textbox(title, label="Scorer", interactive=False, elem_id="scorer")
        with gr.Row():
            slug = gr.Dropdown(slugs, label="Topic", value=None, elem_id="topic")
            query = gr.Textbox(label="or a query of your own, which goes before the topic", elem_id="query")
        instruction = gr.Textbox(
            label="Instruction (empty: the topic's own, or the model's usual one)", elem_id="instruction"
        )
        hint = f"A text, or {ARTICLE} and an id"
        fields = []
        with gr.Row():
            for number in range(1, MOST_TEXTS + 1):
                fields.append(
                    gr.Textbox(
                        label=f"Text {number}",
                        placeholder=hint,
                        lines=2,
                        max_lines=8,
                        min_width=420,
                        elem_id=f"text-{number}",
                    )
                )
        button = gr.Button("Score", variant="primary", elem_id="score")
        said = gr.Textbox(label="Result", interactive=False, elem_id="said")
        table = gr.Dataframe(
            headers=list(HEADERS),
            datatype="str",
            type="array",
            interactive=False,
            wrap=True,
            column_widths=["8%", "8%", "9%", "12%", "18%", "20%", "25%"],
            label="Order",
            elem_id="order",
        )
        button.click(
            asked,
            [slug, query, instruction, *fields],
            [table, said],
            concurrency_limit=1,
            api_visibility="private",
        )
    blocks.queue(max_size=8, default_concurrency_limit=1, api_open=False)
    outer = FastAPI(openapi_url=None)
    outer.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])

    @outer.middleware("http")
    async def policy(request: Any, call_next: Any) -> Any:
        answer = await call_next(request)
        answer.headers["Content-Security-Policy"] = POLICY
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer

    return gr.mount_gradio_app(
        outer,
        blocks,
        path="/",
        server_name="127.0.0.1",
        footer_links=[],
        show_error=False,
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
    )


def run(
    settings: Settings,
    *,
    port: int = 7860,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Open the page on 127.0.0.1 until a signal ends it.

    Raises ModelError for a checkpoint that must not be used, SettingsError where gradio is missing, InputError where
    the port is taken.
    """
    import os
    import socket
    from importlib.util import find_spec

    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # its warnings are about other uses than this one
    if find_spec("gradio") is None:
        raise SettingsError(
            "gradio is not installed; the page needs it: pip install 'news-rerank[playground]'"
        )
    import uvicorn

    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise InputError(f"port {port} is taken: {error.strerror}; take another --port") from error
    with listener:
        identity = scorers.identity(settings)
        page = Playground(settings)
        try:
            name = Path(settings.model).name if Path(settings.model).is_dir() else settings.model
            if settings.model == str(DEMO_CHECKPOINT):
                name = "demonstration checkpoint"
            title = f"{name} · {identity.digest[:12]} · {identity.precision}"
            server = uvicorn.Server(uvicorn.Config(build(page, title=title), log_level="warning"))
            on_ready(f"http://127.0.0.1:{port}")
            server.run(sockets=[listener])
        finally:
            page.close()
