"""`rerank serve` and `rerank playground`: ask the scorer by hand."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from rerank_core.cli.printing import say

if TYPE_CHECKING:
    from rerank_core.settings import Settings

Model = Annotated[
    str | None,
    typer.Option(
        help="Checkpoint: a folder or a hub name; RERANK_MODEL, or what was promoted in its place, if left out."
    ),
]


def serve(
    model: Model = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other machines are served only if VLLM_API_KEY is set.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    name: Annotated[
        list[str] | None,
        typer.Option(help="One more name that clients may call the model by; may be given several times."),
    ] = None,
) -> None:
    """Serve /v1/rerank and /v1/score: the scores of a run over HTTP, for clients of vLLM, Cohere and Jina.

    Texts go through the run's own guard: control tokens and labels stay text, and a document is cut at
    RERANK_MAX_DOCUMENT_TOKENS. The model answers to its folder, its name on the hub, the last part of that, and --name.
    """
    from rerank_core.evaluation.serve import serve as run
    from rerank_core.settings import Settings

    def tell(url: str, names: Sequence[str]) -> None:
        say(f"the canary came out right; {url}/v1/rerank and {url}/v1/score answer")
        say(f"the model's names: {', '.join(names)}")

    say("the engine starts; this takes some seconds")
    settings = _settings(model)
    called = [*(name or ()), Settings.load(model=model).model]
    run(settings, host=host, port=port, given_names=called, on_ready=tell)


def playground(
    model: Model = None,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 7860,
) -> None:
    """Open a view on this machine that scores up to ten texts or articles for a topic or query."""
    from rerank_core.evaluation.playground_view import run

    say("the engine starts; this takes some seconds")
    run(_settings(model), port=port, on_ready=lambda url: say(f"{url} is open; Ctrl+C ends it"))


def _settings(model: str | None) -> "Settings":
    from rerank_core.models import scorers
    from rerank_core.settings import Settings

    return scorers.in_place(Settings.load()) if model is None else Settings.load(model=model)
