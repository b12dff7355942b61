"""Feedback: what readers opened, and what rank and age did to it, as the latest report has it."""

from collections.abc import Sequence

import numpy as np
from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from rerank_airflow.ui.access import Chosen
from rerank_airflow.ui.charts import Band, Line, lines
from rerank_airflow.ui.render import render
from rerank_core.learning import report
from rerank_core.learning.positions import Effect
from rerank_core.observe import history

POINTS = 48  # of a curve

router = APIRouter()


@router.get("/feedback")
def feedback(request: Request, pipeline: Chosen) -> Response:
    """The report that was made last."""
    with history.reading(pipeline.database) as connection:
        found = report.latest(connection, pipeline.name)
    charts = (
        ()
        if found is None
        else (
            (
                "Opens an impression by rank, rank 1 = 1",
                curve("rank", found.positions.examination, "rank {:g}"),
            ),
            ("Opens an impression by age, new = 1", curve("age", found.positions.freshness, "{:g} h")),
        )
    )
    return render(request, "feedback.html", tab="feedback", pipeline=pipeline, report=found, charts=charts)


def curve(name: str, effects: Sequence[Effect], label: str) -> Markup:
    """The factors between the first effect and the last, with their interval shaded."""
    knots = [effect.at for effect in effects]
    step = max(1.0, np.ceil((knots[-1] - knots[0]) / POINTS))
    places = np.arange(knots[0], knots[-1] + 1e-9, step)

    def between(values: list[float]) -> list[float]:
        return [float(value) for value in np.exp(np.interp(places, knots, np.log(np.maximum(values, 1e-9))))]

    low, high = [effect.low for effect in effects], [min(effect.high, 10.0) for effect in effects]
    return lines(
        f"Opens an impression by {name}",
        [Line(name, between([effect.factor for effect in effects]), digits=2)],
        labels=[label.format(place) for place in places],
        band=Band("95 % interval", between(low), between(high)),
    )
