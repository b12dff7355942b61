"""`rerank serve` and `rerank playground`: the scorer, asked by hand."""

from typing import Annotated

import typer

Model = Annotated[
    str | None, typer.Option(help="Checkpoint: a folder or a hub name; RERANK_MODEL where it is left out.")
]


def serve(
    model: Model = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine only with VLLM_API_KEY set.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8000,
) -> None:
    """Serve /v1/score and /v1/rerank by vLLM's own OpenAI-compatible server, with the model's template.

    Unlike a run, the server cannot keep control tokens that a text spells out from being taken for real ones: show it
    no text of strangers whose score matters. A document over RERANK_MAX_DOCUMENT_TOKENS is refused, unless the request
    says `max_tokens_per_doc`.
    """
    from rerank_core.cli.printing import say
    from rerank_core.evaluation.serve import serve as run
    from rerank_core.settings import Settings

    status = run(
        Settings.load(model=model),
        host=host,
        port=port,
        on_ready=lambda url: say(f"the canary came out right; {url}/v1/score and {url}/v1/rerank answer"),
    )
    if status:
        raise typer.Exit(1)


def playground(
    model: Model = None,
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 7860,
) -> None:
    """Open a page on this machine that scores up to ten texts or articles against a topic or query."""
    from rerank_core.cli.printing import say
    from rerank_core.evaluation.playground_view import run
    from rerank_core.settings import Settings

    say("the engine starts; this takes some seconds")
    run(Settings.load(model=model), port=port, on_ready=lambda url: say(f"{url} is open; Ctrl+C ends it"))
