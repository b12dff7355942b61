"""How well the effect of rank is found over a simulated year: `python tests/benchmarks/bench_feedback.py`.

Twelve topics of 20 rows an hour; interest in an article fades by 3 % of its logarithm an hour, and that in a topic wanders.
Each month is fitted by itself, as a report does it: as it is, without the effect of age, and as bare opens an impression.
"""

import numpy as np
from readers import Done, Readers, Rows, falling, pages, read

from rerank_core.learning import positions
from rerank_core.learning.positions import Positions, Seen, fit

TOPICS, RANKS, MONTH = 12, 20, 730  # hours
TRUTH = np.log(falling(RANKS))


def seen(rows: Rows, done: Done, month: int) -> Seen:
    """The rows of a month that somebody saw."""
    kept = (rows.hour // MONTH == month) & (done.impressions > 0)
    columns = (rows.pair, rows.topic, rows.rank, rows.age, done.impressions, done.opens)
    return Seen(*(column[kept] for column in columns))


def error(found: Positions) -> float:
    """The mean difference of the logarithms of the found and the true examination."""
    ranks = np.arange(1, RANKS + 1)
    return float(np.abs(np.log(found.exposure(ranks, np.zeros(RANKS))) - TRUTH).mean())


def naive(rows: Seen) -> float:
    """The same of opens an impression at each rank, beside those at rank 1."""
    sums = [
        np.bincount(rows.rank, column, minlength=RANKS + 1)[1:] for column in (rows.opens, rows.impressions)
    ]
    rates = np.log(np.maximum(sums[0], 0.5) / sums[1])
    return float(np.abs(rates - rates[0] - TRUTH).mean())


def main(months: int = 12) -> None:
    """Print a row of the table for each number of readers."""
    print(
        "| readers of a topic an hour | opens a month | error | worst month | intervals that hold the truth | without age | bare rates |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|")
    whole = positions._knots
    for readers in (2, 20, 200):
        rng = np.random.default_rng(int(readers))
        rows, relevance = pages(rng, topics=TOPICS, hours=MONTH * months, top_k=RANKS)
        done = read(rng, rows, relevance, Readers(falling(RANKS), readers=readers, drift=0.005))
        each = [seen(rows, done, month) for month in range(months)]
        found = [fit(month) for month in each]
        held = [
            e.low <= falling(RANKS)[int(e.at) - 1] <= e.high for one in found for e in one.examination[1:]
        ]
        positions._knots = lambda wanted, *rest: whole(wanted, *rest)[
            : None if wanted[0] else 1
        ]  # no knot of age
        ageless = [error(fit(month)) for month in each[:1]]
        positions._knots = whole
        errors = [error(one) for one in found]
        opens = sum(int(month.opens.sum()) for month in each) / months
        print(
            f"| {readers} | {opens:,.0f} | {np.mean(errors):.3f} | {max(errors):.3f} | {np.mean(held):.0%}"
            f" | {np.mean(ageless):.2f} | {np.mean([naive(month) for month in each]):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
