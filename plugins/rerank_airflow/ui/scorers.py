"""Scorers: what was learned from readers, how it was judged, and who has put which scorer in place. It only shows."""

from typing import Any

from fastapi import APIRouter, Request, Response

from rerank_airflow.ui.access import Chosen
from rerank_airflow.ui.charts import spark
from rerank_airflow.ui.render import render
from rerank_core.learning import promote

router = APIRouter()

# Fields of a model card, in the order in which they are shown, with what they are called.
CARD = {
    "method": "method",
    "base_location": "base",
    "train_pairs": "pairs learned from",
    "train_topics": "topics learned from",
    "train_opens": "opens learned from",
    "held_out_pairs": "held-out pairs",
    "published_from": "published from",
    "published_to": "published to",
    "cut": "held out from",
    "refused_pairs": "pairs refused",
    "examples_over_memory": "examples left out for memory",
    "slope": "slope of opens over logits",
    "anchor": "anchor",
    "engine_error": "engine's greatest error, in logits",
    "seed": "seed",
}


@router.get("/scorers")
def scorers(request: Request, pipeline: Chosen) -> Response:
    """Trainings and promotions, the newest first."""
    trainings = promote.trainings(pipeline.database, pipeline.name)
    return render(
        request,
        "scorers.html",
        tab="scorers",
        pipeline=pipeline,
        trainings=[(row, card(row["record"]), curves(row["record"])) for row in trainings],
        promotions=promote.history(pipeline.database, pipeline.settings),
        model=pipeline.settings.model,
        folder=pipeline.settings.learning_folder,
    )


def card(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of each field of a model card."""
    return [
        (title, f"{record[name]:.4g}" if isinstance(record[name], float) else str(record[name]))
        for name, title in CARD.items()
        if record.get(name) is not None
    ]


def curves(record: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """What rank and age did to opens: name, first and last value, and a small line."""
    found = []
    for name, unit in (("examination", "rank"), ("freshness", "hours")):
        points = record.get(name) or []
        if len(points) > 1:
            said = f"{points[-1][1]:.2f} at {unit} {points[-1][0]:g}, beside 1 at {points[0][0]:g}"
            found.append((name, said, spark([factor for _, factor in points])))
    return found
