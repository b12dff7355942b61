"""A picture of a report: nDCG@10 of each topic, or of each language if there are too many topics to read."""

from pathlib import Path
from typing import Any

from rerank_core.errors import InputError, SettingsError
from rerank_core.evaluation.evaluate import Report

MOST_TOPICS = 60  # that a picture shows one by one
FORMATS = (".svg", ".png", ".pdf")
COLOURS = ("#1b6ca8", "#d1742b")  # told apart by colour-blind eyes, and by their marks in print
MARKS = ("o", "D")


def check_ending(file: Path) -> None:
    """Raise InputError if no picture can have the file's ending."""
    if file.suffix.lower() not in FORMATS:
        raise InputError(
            f"plot {file.name!r}: its ending is none of {', '.join(FORMATS)}; name it eval.svg, say"
        )


def draw(report: Report, file: Path) -> None:
    """Write the picture, in the format of the file's ending.

    Raises InputError for another ending or a missing folder, SettingsError if matplotlib is not installed.
    """
    check_ending(file)
    if not file.parent.is_dir():
        raise InputError(f"plot {file}: the folder {file.parent} does not exist")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SettingsError(
            "matplotlib is not installed: pip install 'news-rerank[eval]' brings it"
        ) from error
    if len(report.topics) <= MOST_TOPICS:
        names = list(report.topics)
        values = [[of[name]["nDCG@10"] for name in names] for of in report.values]
    else:
        names = list(report.languages)
        values = [
            [report.languages[name][place]["nDCG@10"].value for name in names]
            for place in range(len(report.orders))
        ]
    order = sorted(range(len(names)), key=lambda place: values[0][place])
    figure: Any = Figure(figsize=(7, 1.6 + 0.28 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if len(values) == 2:
        for height, place in enumerate(order):
            axes.plot(
                [values[0][place], values[1][place]],
                [height, height],
                color="#bbbbbb",
                linewidth=1.5,
                zorder=1,
            )
    for number, of in enumerate(values):
        mean = report.means[number]["nDCG@10"]
        axes.scatter(
            [of[place] for place in order],
            range(len(order)),
            color=COLOURS[number],
            marker=MARKS[number],
            label=_plain(f"{report.orders[number].name}: mean {mean.value:.3f}"),
            zorder=2,
        )
    axes.set_yticks(range(len(order)), [_plain(names[place]) for place in order])
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("nDCG@10")
    axes.grid(axis="x", color="#e5e5e5")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper left", frameon=False)
    figure.savefig(file, metadata={"Date": None} if file.suffix.lower() == ".svg" else None)


def _plain(text: str) -> str:
    """Text that is not taken for a formula."""
    return text.replace("$", r"\$")
