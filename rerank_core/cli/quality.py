"""`rerank eval`: compare orders with judgements; `rerank calibrate`: propose thresholds from judgements."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rerank_core.cli.options import Pipeline, RunId

if TYPE_CHECKING:
    from rerank_core.evaluation.evaluate import Mean, Order, Report

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
) -> None:
    """Compare an order with judgements, and with another order: nDCG@10, RR and R@50, by topic and language.

    Raw logits are compared, without age. A paired randomisation test over topics gives p. Intervals are bootstrap
    percentiles. A document that is ranked and not judged is taken as not relevant, and counted.
    """
    from rerank_core.errors import InputError
    from rerank_core.evaluation.evaluate import report
    from rerank_core.evaluation.plot import check_ending, draw

    if (qrels is None) == (corpus is None):
        raise InputError("give either --qrels or --corpus")
    if plot is not None:
        check_ending(plot)
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
        from rerank_core.cli.printing import say

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
    from rerank_core.cli.printing import clean
    from rerank_core.evaluation.calibrate import calibrate as propose
    from rerank_core.evaluation.calibrate import snippet

    order = _of_run(qrels, None, pipeline=pipeline, run_id=run)[0]
    rule = "best F1" if precision is None else f"a precision of {precision:g}"
    lines = snippet(propose(order, precision=precision), rule=f"{rule} of the judged pairs of {order.name}")
    typer.echo(clean(lines, lines=True))


def _of_run(qrels: str, against: str | None, *, pipeline: str | None, run_id: int | None) -> "list[Order]":
    from rerank_core.evaluation import judgements
    from rerank_core.evaluation.evaluate import orders
    from rerank_core.settings import settings
    from rerank_core.storage.database import Database
    from rerank_core.storage.store import Store

    chosen = settings()
    database = Database(chosen.database_url)
    with database.transaction(read_only=True) as connection:
        judged = judgements.read(qrels, connection)
    return orders(
        database,
        Store(chosen.store_url),
        judged,
        pipeline=pipeline or chosen.pipeline,
        run_id=run_id,
        against=against,
    )


def _of_corpus(folder: Path, against: str | None, *, queries: int, candidates: int) -> "list[Order]":
    import os
    import sys
    from contextlib import closing

    from rerank_core.cli.printing import console
    from rerank_core.evaluation import corpus as judged
    from rerank_core.models import scorers
    from rerank_core.models.numpy_embedder import NumpyEmbedder
    from rerank_core.settings import Settings

    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
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


def _print_topics(report: "Report") -> None:
    from rerank_core.cli.printing import print_table, say
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
    from rerank_core.cli.printing import print_table, say
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
    from rerank_core.cli.printing import print_table, say
    from rerank_core.evaluation.evaluate import MEASURES

    rows: list[Sequence[str]] = []
    for order, means in zip(report.orders, report.means, strict=True):
        rows += [(order.name, name, _mean(means[name]), "") for name in MEASURES]
    for name, found in (report.compared or {}).items():
        rows.append(("1 minus 2", name, _mean(found.difference, signed=True), f"{found.p:.4f}"))
    print_table(("order", "measure", "mean, 95 % interval", "p"), rows, right=("p",))
    say()


def _print_counts(report: "Report") -> None:
    from rerank_core.cli.printing import say

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
