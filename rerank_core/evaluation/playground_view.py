"""The view of the playground: a few texts, scored by hand on this machine.

Texts are shown as text: no text and no error becomes markup. The view listens on this machine only and loads nothing
from elsewhere.
"""

import os
import socket
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError

from rerank_core.errors import InputError, RerankError, SettingsError
from rerank_core.evaluation.playground import (
    ARTICLE,
    MOST_TEXTS,
    Answer,
    Pictured,
    Playground,
)
from rerank_core.models import scorers
from rerank_core.records import Topic
from rerank_core.settings import DEMO_CHECKPOINT, Settings

HEADERS = ("order", "text", "logit", "probability", "read", "query", "beginning")

# What Gradio offers beside the view: it hands an upload to FFmpeg.
UNUSED = "/process_recording"

# The view may load itself only. Gradio starts from a script in the view, and compiles some scripts.
POLICY = (
    "default-src 'self' 'unsafe-inline' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:;"
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'none'"
)


def rows(answer: Answer) -> list[list[str]]:
    """One row of text for each scored text, in the columns of HEADERS."""
    shown = []
    for place, scored in enumerate(answer.scored, start=1):
        length = len(scored.entry.text)
        read = "all" if scored.read >= length else f"first {scored.read:,} of {length:,} characters"
        count = len(scored.entry.pictures)
        if count:
            read += f", with {count} {'picture' if count == 1 else 'pictures'}"
        beginning = " ".join(scored.entry.text.split())
        shown.append(
            [
                f"{place}" if scored.logit is not None else "refused",
                f"text {scored.entry.number}",
                "" if scored.logit is None else f"{scored.logit:+.3f}",
                "" if scored.probability is None else f"{scored.probability:.4f}",
                read if scored.reason is None else scored.reason,
                scored.query,
                beginning[:120] + ("…" if len(beginning) > 120 else ""),
            ]
        )
    return shown


def summary(answer: Answer) -> str:
    """How many texts were scored, how long this took and how many were cut, in a sentence."""
    cut = sum(scored.read < len(scored.entry.text) for scored in answer.scored if scored.logit is not None)
    texts = f"{len(answer.scored)} {'text' if len(answer.scored) == 1 else 'texts'}"
    return (
        f"{texts}, {answer.prompt_tokens:,} tokens, {answer.seconds * 1000:,.0f} ms by {answer.engine};"
        f" {cut} cut at the token limit"
    )


class Asked(Protocol):
    """What the view asks: a Playground, or a stand-in."""

    @property
    def blind(self) -> str | None: ...

    def topics(self) -> list[Topic]: ...

    def ask(
        self,
        slug: str,
        query: str,
        instruction: str,
        fields: Sequence[str],
        pictured: Pictured | None = None,
    ) -> Answer: ...


def build(playground: Asked, *, title: str, upload_mib: int) -> Any:
    """The ASGI application of the view. Raises SettingsError if gradio is not installed."""
    _check_gradio()
    import gradio as gr

    def score_typed(
        slug: str | None,
        query: str,
        instruction: str,
        number: int,
        upload: bytes | None,
        article_id: str,
        *fields: str,
    ) -> tuple[list[list[str]], str]:
        pictured = Pictured(number, upload, article_id or "") if upload is not None or article_id else None
        try:
            answer = playground.ask(
                slug or "", query or "", instruction or "", [field or "" for field in fields], pictured
            )
        except RerankError as error:
            return [], f"Not scored: {error}"
        except SQLAlchemyError as error:
            return [], f"Not scored: the database refuses ({type(error).__name__}); run `rerank doctor`"
        return rows(answer), summary(answer)

    with gr.Blocks(title=title, analytics_enabled=False, fill_width=True) as blocks:
        gr.Textbox(title, label="Scorer", interactive=False, elem_id="scorer")
        typed = _inputs(gr, [topic.slug for topic in playground.topics()], playground.blind)
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
        button.click(score_typed, typed, [table, said], concurrency_limit=1, api_visibility="private")
    blocks.queue(max_size=8, default_concurrency_limit=1, api_open=False)
    uploads = Path(gr.utils.get_upload_folder()).resolve()
    for block in blocks.blocks.values():
        block.async_move_resource_to_block_cache = _uploads_alone(
            block.async_move_resource_to_block_cache, uploads
        )
    return _mounted(gr, blocks, upload_mib)


_Keep = Callable[[str | Path | None], Awaitable[str | None]]


def _uploads_alone(keep: _Keep, uploads: Path) -> _Keep:
    """Gradio's way to take in a file that a field names, for uploads alone.

    In an application that is mounted, Gradio itself takes any path of this machine, and fetches a URL.
    """

    async def kept(named: str | Path | None) -> str | None:
        if named is not None and not Path(named).resolve().is_relative_to(uploads):
            raise ValueError("only what was uploaded is read")
        return await keep(named)

    return kept


def _check_gradio() -> None:
    if find_spec("gradio") is None:
        raise SettingsError(
            "gradio is not installed; the playground needs it: pip install 'news-rerank[playground]'"
        )


def _inputs(gr: Any, slugs: list[str], blind: str | None) -> list[Any]:
    """The fields: topic, query, instruction, those of a picture, then the texts. Why pictures are off, `blind` says."""
    with gr.Row():
        slug = gr.Dropdown(slugs, label="Topic", value=None, elem_id="topic")
        query = gr.Textbox(label="or a query of your own, which goes before the topic", elem_id="query")
    instruction = gr.Textbox(
        label="Instruction (empty: the topic's own, or the model's usual one)", elem_id="instruction"
    )
    with gr.Row():
        texts = [
            gr.Textbox(
                label=f"Text {number}",
                placeholder=f"A text, or {ARTICLE} and an id",
                lines=2,
                max_lines=8,
                min_width=420,
                elem_id=f"text-{number}",
            )
            for number in range(1, MOST_TEXTS + 1)
        ]
    if blind:
        gr.Textbox(blind, label="Picture", interactive=False, elem_id="blind")
    with gr.Row(visible=not blind):
        picture = [
            gr.Dropdown(
                [(f"text {number}", number) for number in range(1, MOST_TEXTS + 1)],
                label="Picture of",
                value=1,
                elem_id="picture-of",
            ),
            gr.File(label="A picture or a clip", type="binary", height=120, elem_id="picture"),
            gr.Textbox(label="or the id of an article, which lends its pictures", elem_id="picture-article"),
        ]
    return [slug, query, instruction, *picture, *texts]


def _mounted(gr: Any, blocks: Any, upload_mib: int) -> Any:
    """The application behind its headers, for this machine only: a view of another origin can send it nothing."""
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    outer = FastAPI(openapi_url=None)
    outer.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])

    @outer.middleware("http")
    async def policy(request: Any, call_next: Any) -> Any:
        origin = request.headers.get("origin")
        if origin not in {None, f"http://{request.headers.get('host')}"} or request.url.path.endswith(UNUSED):
            return PlainTextResponse("refused", status_code=403)
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
        max_file_size=upload_mib << 20,
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
    """Serve the view on 127.0.0.1 until a signal ends it.

    Raises ModelError for a checkpoint that must not be used, SettingsError if gradio is not installed, InputError if
    the port is taken.
    """
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
    _check_gradio()
    import uvicorn

    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise InputError(f"port {port} is taken: {error.strerror}; take another --port") from error
    with listener, tempfile.TemporaryDirectory(prefix="rerank-playground-") as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads  # what is uploaded goes when the view is closed
        identity = scorers.identity(settings)
        playground = Playground(settings)
        try:
            name = Path(settings.model).name if Path(settings.model).is_dir() else settings.model
            if settings.model == str(DEMO_CHECKPOINT):
                name = "demonstration checkpoint"
            title = f"{name} · {identity.digest[:12]} · {identity.precision}"
            app = build(playground, title=title, upload_mib=settings.media_mib)
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
            on_ready(f"http://127.0.0.1:{port}")
            server.run(sockets=[listener])
        finally:
            playground.close()
