"""The order of maximal marginal relevance is that of its definition, row by row."""

from random import Random

import pytest

from rerank_core.diversity import MarginalRelevance, Resembles

Near = dict[int, dict[int, float]]


def by_definition(relevance: list[float], near: Near, weight: float, refused: set[int]) -> list[int]:
    """Every step looks at every row that is left; ties go to the earlier row. A refused row is never placed."""
    left, placed, order = list(range(len(relevance))), [], []
    while left:
        values = {
            row: (1 - weight) * relevance[row]
            - weight * max((near.get(row, {}).get(other, 0.0) for other in placed), default=0.0)
            for row in left
        }
        best = max(left, key=lambda row: (round(values[row], 12), -row))
        left.remove(best)
        order.append(best)
        if best not in refused:
            placed.append(best)
    return order


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 0.9])
def test_rows_come_in_the_order_of_the_definition(weight: float) -> None:
    for seed in range(60):
        rng = Random(f"{weight}/{seed}")
        count = rng.randint(1, 12)
        relevance = sorted((rng.random() for _ in range(count)), reverse=True)
        near: Near = {}
        for _ in range(rng.randint(0, 3 * count)):
            one, other, similarity = rng.randrange(count), rng.randrange(count), rng.random()
            if one != other:
                near.setdefault(one, {})[other] = near.setdefault(other, {})[one] = similarity
        refused = {row for row in range(count) if rng.random() < 0.2}
        marginal = MarginalRelevance(weight, lambda row, near=near: near[row].items(), near)  # type: ignore[misc]
        order = []
        for row in marginal.order(range(count), relevance):
            order.append(row)
            if row not in refused:
                marginal.place(row)
        assert order == by_definition(relevance, near, weight, refused), seed


def test_a_row_knows_the_row_that_it_resembles_most_and_of_equals_the_first() -> None:
    near = {0: {3: 0.5, 2: 0.2}, 1: {3: 0.5}, 2: {0: 0.2, 3: 0.6}, 3: {0: 0.5, 1: 0.5, 2: 0.6}}
    marginal = MarginalRelevance(0.5, lambda row: near[row].items(), near)
    marginal.place(0)
    marginal.place(1)
    assert marginal.nearest == {3: Resembles(0, 0.5), 2: Resembles(0, 0.2)}
    marginal.place(2)
    assert marginal.nearest[3] == Resembles(2, 0.6)
    marginal.place(9)  # resembles nothing
    assert set(marginal.nearest) == {2, 3}
