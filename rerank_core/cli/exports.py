"""`rerank serp`: a search engine's candidates in the scorer's order; `rerank brief`: texts of a topic for a summary."""

import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rerank_core.cli.options import Pipeline, opened
from rerank_core.cli.printing import console
from rerank_core.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from rerank_core.evaluation.evaluate import Order
    from rerank_core.evaluation.serp import Reranked

STDOUT = Path("-")
SAY_SECONDS = 5.0  # between two lines of progress


def serp(
    queries: Annotated[Path, typer.Option(help="Queries: TSV or JSON lines.")],
    documents: Annotated[
        str, typer.Option(help="Documents: a file of TSV or JSON lines, or SQL that gives id and text.")
    ],
    candidates: Annotated[
        Path | None,
        typer.Option(
            help="The search engine's lists: a TREC run. If left out, every document is a candidate of every query."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Write the TREC run here; - is standard output.")] = STDOUT,
    parquet: Annotated[
        Path | None, typer.Option(help="Also write a Parquet file, with logits and both ranks.")
    ] = None,
    qrels: Annotated[
        Path | None, typer.Option(help="Judgements, TREC: print measures of both orders.")
    ] = None,
    instruction: Annotated[str | None, typer.Option(help="Instruction of queries that bring none.")] = None,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Score only the first so many candidates of each query.")
    ] = None,
    tag: Annotated[
        str, typer.Option(help="Name that stands in the last column of the TREC run.")
    ] = "news-rerank",
    ledger: Annotated[
        bool, typer.Option(help="Keep scores in the database, by digests of the texts.")
    ] = True,
) -> None:
    """Rerank a search engine's candidates: a TREC run in, a TREC run out.

    The pairs go through the prompt and the guard of a run. With the ledger no pair is scored twice, and a command that was
    ended goes on where it stopped.
    """
    from rerank_core.evaluation import judgements

    if not tag or tag != "".join(tag.split()):
        raise InputError(f"tag {tag!r} holds a blank, or nothing; a TREC run needs one word")
    _check(out, parquet)
    judged = judgements.read_file(qrels) if qrels is not None else None
    screen = console(sys.stderr)
    done = _rerank(
        queries,
        documents,
        candidates,
        ledger=ledger,
        instruction=instruction,
        depth=depth,
        screen=screen,
    )
    _write(out, "".join(done.trec(tag)).encode())
    if parquet is not None:
        _write(parquet, _parquet(done.rows))
    screen.print(
        ", ".join(f"{number:,} {bucket.replace('_', ' ')}" for bucket, number in done.counts.items())
    )
    for reason, number in done.reasons.items():
        screen.print(f"refused, {number:,} times: {reason}")
    if judged is not None:
        orders = [done.order("reranked", judged)]
        if candidates is not None:
            orders.append(done.candidate_order("candidates", judged))
        _print_measures(orders, screen)


def _rerank(
    queries: Path,
    documents: str,
    candidates: Path | None,
    *,
    ledger: bool,
    instruction: str | None,
    depth: int | None,
    screen: "Console",
) -> "Reranked":
    """Read the files, and rerank the candidates; progress goes to the screen."""
    from rerank_core.evaluation import serp_files
    from rerank_core.evaluation.serp import rerank_candidates
    from rerank_core.models import scorers
    from rerank_core.records import DEFAULT_INSTRUCTION
    from rerank_core.storage.source import Source

    settings, database = opened()
    asked = serp_files.read_queries(queries)
    lists = serp_files.read_candidates(candidates) if candidates is not None else None
    wanted = None if lists is None else {found.document_id for of in lists.values() for found in of}
    texts = serp_files.read_documents(documents, Source.of(settings).database, wanted)
    return rerank_candidates(
        serp_files.every_pair(asked, texts) if lists is None else lists,
        asked,
        texts,
        settings=scorers.in_place(settings),
        database=database if ledger else None,
        instruction=instruction or DEFAULT_INSTRUCTION,
        depth=depth,
        on_progress=_progress(screen),
    )


def _progress(screen: "Console") -> Callable[[int, int], None]:
    """Prints a line every few seconds, and at the end: pairs, speed, and what is left."""
    first: tuple[float, int] | None = None  # the engine starts before it
    said = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal first, said
        now = time.monotonic()
        first = first or (now, done)
        if now - said < SAY_SECONDS and done < total:
            return
        said = now
        speed = (done - first[1]) / max(now - first[0], 1e-6)
        left = f", {speed:,.1f} a second, {(total - done) / speed:,.0f} s left" if speed else ""
        screen.print(f"{done:,} of {total:,} pairs{left}")

    return tell


def _print_measures(orders: "list[Order]", screen: "Console") -> None:
    """nDCG@10, RR and R@50 of one or two orders, on standard error."""
    from rerank_core.evaluation.evaluate import MEASURES, report

    found = report(orders)
    for measure in MEASURES:
        means = [
            f"{order.name} {of[measure].value:.3f} ({of[measure].low:.3f} to {of[measure].high:.3f})"
            for order, of in zip(found.orders, found.means, strict=True)
        ]
        p = f", p {found.compared[measure].p:.4f}" if found.compared else ""
        screen.print(f"{measure}: {', '.join(means)}{p}")
    screen.print(f"{len(found.topics):,} judged queries, {found.passed_over:,} passed over")


def brief(
    topic: Annotated[str, typer.Argument(help="The topic's slug.")],
    tokens: Annotated[int, typer.Option(min=50, help="Tokens that all texts may have together.")] = 8_000,
    text_tokens: Annotated[
        int, typer.Option(min=20, help="Tokens of one text; a longer text is cut at the end of a line.")
    ] = 1_000,
    balance: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="λ: 1 takes the page's order, 0 the most different texts.")
    ] = 0.7,
    min_score: Annotated[
        float | None, typer.Option(help="Least logit of a text that the model has scored.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Write JSON here, or Parquet if it ends so; - is standard output.")
    ] = STDOUT,
    pipeline: Pipeline = None,
) -> None:
    """Pick texts of a topic's page for a summary of several documents: relevant, distinct, within a budget of tokens.

    Every row of the page is in the answer, chosen or left out, with the reason. Only the tokenizer of the checkpoint is
    needed; without it tokens are estimated, and the answer says so.
    """
    from rerank_core.frontends import brief as briefs
    from rerank_core.models.scorers import token_counter

    settings, database = opened(pipeline)
    counter = token_counter(settings) or briefs.ESTIMATE
    _check(out)
    made = briefs.brief(
        database,
        pipeline=settings.pipeline,
        topic=topic,
        tokens=tokens,
        text_tokens=text_tokens,
        balance=balance,
        min_score=min_score,
        counter=counter,
    )
    _write(out, _parquet(made.rows()) if out.suffix == ".parquet" else made.json() + b"\n")
    told = made.head
    sentence = (
        f"{len(made.picked)} of {len(made.entries)} texts, {told['tokens']:,} of {tokens:,} tokens by {counter.name};"
        f" the page is of {told['as_of']:%Y-%m-%d %H:%M} UTC"
    )
    console(sys.stderr).print(sentence + ("; it is degraded" if told["degraded"] else ""))


def _parquet(rows: Any) -> bytes:
    import io

    import pyarrow.parquet as pq

    content = io.BytesIO()
    pq.write_table(rows, content, compression="zstd")
    return content.getvalue()


def _check(*files: Path | None) -> None:
    """Raises InputError if a file's folder is not there: hours of work should not end in that."""
    for file in files:
        if file is not None and not file.absolute().parent.is_dir():
            raise InputError(f"folder {file.parent} is not there; make it, or name another file")


def _write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all; - is standard output. Raises InputError if it cannot be written."""
    if file == STDOUT:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    aside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        aside.write_bytes(content)
        aside.replace(file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}; name another file") from error
    finally:
        aside.unlink(missing_ok=True)
