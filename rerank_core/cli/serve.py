"""`rerank serve` and `rerank playground`: ask the scorer by hand."""

from typing import Annotated

import typer

Model = Annotated[
    str | None, typer.Option(help="Checkpoint: a folder or a hub name; RERANK_MODEL if left out.")
]


def serve(
    model: Model = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other machines are served only if VLLM_API_KEY is set.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8000,
) -> None:
    """Serve /v1/score and /v1/rerank with vLLM's own OpenAI-compatible server and the model's template.

    Unlike a run, the server takes control tokens that a text spells out for real ones. Do not give it texts of strangers
    if the score matters. A document over RERANK_MAX_DOCUMENT_TOKENS is refused, unless the request says
    `max_tokens_per_doc`.
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
    """Open a view on this machine that scores up to ten texts or articles for a topic or query."""
    from rerank_core.cli.printing import say
    from rerank_core.evaluation.playground_view import run
    from rerank_core.settings import Settings

    say("the engine starts; this takes some seconds")
    run(Settings.load(model=model), port=port, on_ready=lambda url: say(f"{url} is open; Ctrl+C ends it"))
