"""`rerank eval`: compare orders with judgements; `rerank calibrate`: propose thresholds from judgements."""

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rerank_core.cli.options import Pipeline, RunId, opened
from rerank_core.cli.printing import clean, console, print_table, say
from rerank_core.errors import InputError

if TYPE_CHECKING:
    from rerank_core.evaluation.evaluate import Mean, Order, Report
    from rerank_core.models.base import OnChunk, Scorer

MOST_TOPICS = 60  # rows of the table of topics

Qrels = Annotated[
    str | None,
    typer.Option(help="Judgements: a TREC file, or a table with topic, article_id and relevance."),
]


def evaluate(
    qrels: Qrels = None,
    pipeline: Pipeline = None,
    run: RunId = None,
    against: Annotated[
        str,
        typer.Option(
            help="What to compare with: bm25, meaning, scorer:N, run:N, another pipeline's name, or none."
            " With --corpus: bm25, meaning, a checkpoint, or none."
        ),
    ] = "bm25",
    corpus: Annotated[
        Path | None,
        typer.Option(help="Instead of a run: a folder with corpus.jsonl, queries.jsonl and qrels.tsv."),
    ] = None,
    queries: Annotated[
        int, typer.Option(min=1, help="With --corpus: how many queries of each language.")
    ] = 20,
    candidates: Annotated[
        int, typer.Option(min=1, help="With --corpus: how many documents are scored for each query.")
    ] = 50,
    plot: Annotated[Path | None, typer.Option(help="Also draw nDCG@10 into this .svg, .png or .pdf.")] = None,
    curve: Annotated[
        str | None,
        typer.Option(
            help="Instead: score the pairs again with so many tokens of each document, e.g. tokens=64,128,256,512."
            " Shows nDCG@10 and cost at each limit; writes no score.",
            metavar="tokens=N,…",
        ),
    ] = None,
) -> None:
    """Compare an order with judgements, and with another order: nDCG@10, RR and R@50, by topic and language.

    Raw logits are compared, without age. A paired randomisation test over topics gives p. Intervals are bootstrap
    percentiles. A document that is ranked and not judged is taken as not relevant, and counted.
    """
    from rerank_core.evaluation.evaluate import report
    from rerank_core.evaluation.plot import check_ending, draw

    if (qrels is None) == (corpus is None):
        raise InputError("give either --qrels FILE_OR_TABLE or --corpus FOLDER")
    if plot is not None:
        check_ending(plot)
    if curve is not None:
        if plot is not None:
            raise InputError("--curve prints a table and draws nothing: leave --plot out")
        _print_curve(curve, qrels, corpus, pipeline=pipeline, run=run, queries=queries, candidates=candidates)
        return
    other = None if against == "none" else against
    orders = (
        _of_corpus(corpus, other, queries=queries, candidates=candidates)
        if corpus is not None
        else _of_run(str(qrels), other, pipeline=pipeline, run_id=run)
    )
    found = report(orders)
    _print_topics(found)
    _print_languages(found)
    _print_means(found)
    _print_counts(found)
    if plot is not None:
        draw(found, plot)

        say(f"drawn into {plot}")


def calibrate(
    qrels: Annotated[
        str, typer.Option(help="Judgements: a TREC file, or a table with topic, article_id and relevance.")
    ],
    pipeline: Pipeline = None,
    run: RunId = None,
    precision: Annotated[
        float | None,
        typer.Option(help="Take the lowest threshold that reaches this precision, instead of the best F1."),
    ] = None,
) -> None:
    """Propose a min_score for each topic from judgements, as lines for topics.yaml.

    The rule is the best F1 over the judged pairs, or a precision. A topic gets no threshold if fewer than 5 of its judged
    pairs are relevant, or fewer than 5 are not.
    """
    from rerank_core.evaluation.calibrate import calibrate as propose
    from rerank_core.evaluation.calibrate import snippet

    order = _of_run(qrels, None, pipeline=pipeline, run_id=run)[0]
    rule = "best F1" if precision is None else f"a precision of {precision:g}"
    lines = snippet(propose(order, precision=precision), rule=f"{rule} of the judged pairs of {order.name}")
    typer.echo(clean(lines, lines=True))


def _of_run(qrels: str, against: str | None, *, pipeline: str | None, run_id: int | None) -> "list[Order]":
    from rerank_core.evaluation import judgements
    from rerank_core.evaluation.evaluate import orders
    from rerank_core.storage.store import Store

    settings, database = opened(pipeline)
    with database.transaction(read_only=True) as connection:
        judged = judgements.read(qrels, connection)
    return orders(
        database,
        Store(settings.store_url),
        judged,
        pipeline=settings.pipeline,
        run_id=run_id,
        against=against,
    )


def _of_corpus(folder: Path, against: str | None, *, queries: int, candidates: int) -> "list[Order]":
    from rerank_core.evaluation import corpus as judged
    from rerank_core.models import scorers
    from rerank_core.models.numpy_embedder import NumpyEmbedder
    from rerank_core.settings import Settings

    screen = console(sys.stderr)
    chosen = Settings.load()
    texts = judged.read(folder, queries=queries)
    light = judged.by_bm25(texts, candidates=candidates)
    others = {
        "bm25": lambda: light,
        "meaning": lambda: judged.by_meaning(texts, NumpyEmbedder(), light.scores),
    }
    other = [others[against]()] if against in others else []  # first, because it is quick to fail
    models = [chosen.model] + ([] if against is None or against in others else [against])
    orders = []
    for model in models:
        settings = chosen.model_copy(update={"model": model})
        name = Path(model).name if Path(model).is_dir() else model
        with closing(scorers.load(settings)) as scorer:
            orders.append(
                judged.by_scorer(
                    texts,
                    scorer,
                    light.scores,
                    name=name,
                    on_progress=lambda done, total, name=name: screen.print(  # type: ignore[misc]
                        f"{name}: {done:,} of {total:,} pairs"
                    ),
                )
            )
    return [*orders, *other]


def _print_curve(
    curve: str,
    qrels: str | None,
    corpus: Path | None,
    *,
    pipeline: str | None,
    run: int | None,
    queries: int,
    candidates: int,
) -> None:
    """Score at each limit by the settings' checkpoint, and print the table."""
    from rerank_core.evaluation import corpus as judged
    from rerank_core.evaluation import curve as work
    from rerank_core.evaluation import judgements
    from rerank_core.evaluation.evaluate import RunPairs
    from rerank_core.models import scorers
    from rerank_core.settings import Settings
    from rerank_core.storage.database import Database
    from rerank_core.storage.runs import current_run
    from rerank_core.storage.store import Store

    limits = work.parse_limits(curve)
    chosen = Settings.load()
    screen = console(sys.stderr)

    def load(limit: int) -> "Scorer":
        screen.print(f"{limit:,} tokens")
        return scorers.load(chosen.model_copy(update={"max_document_tokens": limit}))

    def order_by(scorer: "Scorer", on_chunk: "OnChunk") -> "Order":
        if corpus is not None:
            return judged.by_scorer(texts, scorer, light.scores, name="model", on_chunk=on_chunk)
        return pairs.order("model", pairs.again(lambda of: work.logits(scorer, of, on_chunk)), grades)

    if corpus is not None:
        texts = judged.read(corpus, queries=queries)
        light = judged.by_bm25(texts, candidates=candidates)
    else:
        database = Database(chosen.database_url)
        with database.transaction(read_only=True) as connection:
            grades = judgements.read(str(qrels), connection)
        pairs = RunPairs(
            database, Store(chosen.store_url), run or current_run(database, pipeline or chosen.pipeline)
        )
    rows = []
    for point in work.curve(limits, load, order_by):
        versus = point.against_most
        rows.append(
            (
                f"{point.tokens:,}",
                f"{point.ndcg:.3f}   {point.low:.3f} to {point.high:.3f}",
                "" if versus is None else f"{versus.difference.value:+.3f}",
                "" if versus is None else f"{versus.p:.4f}",
                f"{100 * point.cut_share:.0f} %",
                f"{point.computed_tokens:,.0f}",
                f"{point.cached_tokens:,.0f}",
                "" if point.pairs_per_second is None else f"{point.pairs_per_second:,.1f}",
            )
        )
    heads = ("tokens", "nDCG@10, 95 % interval", "against most", "p", "cut", "computed", "cached", "pairs/s")
    print_table(heads, rows, right=(heads[0], *heads[2:]))
    say(
        "cut: pairs whose document is longer than the limit; computed, cached: tokens a pair, mean."
        " RERANK_MAX_DOCUMENT_TOKENS sets the limit of runs"
    )


def _print_topics(report: "Report") -> None:
    from rerank_core.evaluation.evaluate import MEASURES

    if len(report.topics) > MOST_TOPICS:
        say(f"{len(report.topics):,} topics: too many to list")
        return
    names = [order.name for order in report.orders]
    rows = [
        (topic, *(f"{of[topic][name]:.3f}" for name in MEASURES for of in report.values))
        for topic in report.topics
    ]
    columns = [_column(measure, order, len(names)) for measure in MEASURES for order in range(len(names))]
    print_table(("topic", *columns), rows, right=columns)
    for place, name in enumerate(names, start=1):
        say(f"{place} = {name}" if len(names) > 1 else name)
    say()


def _print_languages(report: "Report") -> None:
    from rerank_core.evaluation.evaluate import MEASURES

    if not report.languages:
        return
    count = len(report.orders)
    columns = [_column(measure, order, count) for measure in MEASURES for order in range(count)]
    rows = [
        (
            lang,
            f"{means[0]['RR'].topics:,}",
            *(f"{of[measure].value:.3f}" for measure in MEASURES for of in means),
        )
        for lang, means in report.languages.items()
    ]
    print_table(("documents in", "topics", *columns), rows, right=("topics", *columns))
    say()


def _print_means(report: "Report") -> None:
    from rerank_core.evaluation.evaluate import MEASURES

    rows: list[Sequence[str]] = []
    for order, means in zip(report.orders, report.means, strict=True):
        rows += [(order.name, name, _mean(means[name]), "") for name in MEASURES]
    for name, found in (report.compared or {}).items():
        rows.append(("1 minus 2", name, _mean(found.difference, signed=True), f"{found.p:.4f}"))
    print_table(("order", "measure", "mean, 95 % interval", "p"), rows, right=("p",))
    say()


def _print_counts(report: "Report") -> None:
    say(
        f"{len(report.topics):,} topics; {report.passed_over:,} judged topics passed over: not ranked, or nothing relevant"
    )
    for order in report.orders:
        tally = order.tally
        if tally is not None:
            say(
                f"{order.name}: {tally.judged:,} judgements: {tally.ranked:,} ranked, {tally.copies:,} copies,"
                f" {tally.not_ranked:,} not ranked, {tally.absent:,} not in the window; {tally.unjudged:,} ranked"
                " articles are not judged and count as not relevant"
            )


def _column(measure: str, order: int, orders: int) -> str:
    return measure if orders == 1 else f"{measure} {order + 1}"


def _mean(mean: "Mean", *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{mean.value:{sign}.3f}   {mean.low:{sign}.3f} to {mean.high:{sign}.3f}"
