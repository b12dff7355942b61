"""effects.json as tables to read."""

from collections.abc import Sequence
from typing import Any


def markdown(found: dict[str, Any]) -> str:
    """The tables, from what is in the JSON file."""
    parts = ["# Effects of precision, int8, batches, prefix cache and pleas\n"]
    parts.append(
        "Written by `python -m benchmarks.measure_effects`; read its head for what the figures can say.\n"
    )
    if "precision" in found:
        part = found["precision"]
        rows = [
            [
                row["precision"],
                number(row["largest"]),
                number(row["mean"]),
                f"{row['tau@20']:.3f}",
                f"{row['overlap@10']:.3f}",
                f"{row['ndcg@10']:.3f}",
            ]
            for row in part["rows"]
        ]
        parts += [
            f"## Precision, demonstration checkpoint\n\n{origin(part)} {part['pairs']:,} pairs: the sample's "
            f"{part['topics']} topics, each with its judged articles and {part['others']} others. Logits against those of float32, batches, nothing cached. tau: "
            "Kendall, over the first 20 of the float32 order; overlap: share of the first 10 that stays; means over "
            "topics.\n",
            table(["", "largest difference", "mean", "tau@20", "overlap@10", "nDCG@10"], rows),
            "Within one precision, the largest difference of a logit from that of cold batches:\n",
            table(
                ["", *part["rows"][0]["states"]],
                [[row["precision"], *map(number, row["states"].values())] for row in part["rows"]],
            ),
        ]
    if "speed" in found:
        part = found["speed"]
        ratio, speed = part["bfloat16_over_int8"], part["tokens_per_core_second"]
        rows = [
            [
                row["precision"],
                number(row["largest"]),
                number(row["mean"]),
                f"{row['tau']:.3f}",
                *map(number, row["states"].values()),
            ]
            for row in part["rows"]
        ]
        parts += [
            f"## 0.6B shape, random weights\n\n{origin(part)} **int8 is {ratio['median']:.2f} times as fast as bfloat16** "
            f"by the processor time of one core (rounds: {ratio['least']:.2f}–{ratio['most']:.2f}; by the clock, fastest round "
            f"against fastest round, {ratio['wall_fastest']:.2f}; load average {part['load_average']:.0f}): "
            f"{speed['int8, rest bfloat16']:,.0f} and {speed['bfloat16']:,.0f} computed tokens a second and core, "
            f"{part['timed_tokens']:,} tokens of {part['timed_pairs']} pairs a round, {part['rounds']} alternating rounds. "
            f"Weights {part['weights_mib']['bfloat16']:,.0f} → {part['weights_mib']['int8']:,.0f} MiB. Logits of "
            f"{part['pairs']} pairs ({part['articles']}) against float32, "
            f"whose standard deviation over the pairs is {part['logit_deviation']:.2f}; tau over all pairs. The last two columns: how far a "
            "logit moves within its precision when its batch changes.\n",
            table(["", "largest difference", "mean", "tau", *part["rows"][0]["states"]], rows),
        ]
    if "pleas" in found:
        part = found["pleas"]
        rows = [
            [
                row["added"],
                row["side"],
                str(row["pairs"]),
                *(f"{round(row[name], 2) + 0.0:+.2f}" for name in ("mean", "largest_rise", "largest_fall")),
                f"{row['into_top_10']:.1%}",
            ]
            for row in part["rows"]
        ]
        parts += [
            f"## An article that pleads, demonstration checkpoint\n\n{origin(part)} {part['articles_per_topic']} "
            f"irrelevant articles for each of {part['topics']} topics, with a text set before or after them; shift of "
            "the logit, and how many then stand among the topic's first ten. This checkpoint matches words and follows "
            "no instruction, so a plea can move it only by words it shares with the query, and the query itself "
            "moves it most: nothing guards against an article stuffed with the query. A trained model reads the plea: "
            "measure it on the model that you use.\n",
            table(
                ["added", "side", "pairs", "mean", "largest rise", "largest fall", "into the top 10"], rows
            ),
        ]
    return "\n".join(parts)


def origin(part: dict[str, Any]) -> str:
    """Machine and date of a section."""
    return f"{part['machine']}, {part['date']}, {part['engine']}."


def number(value: float) -> str:
    """Three places, or two digits where those would be zeros."""
    return f"{value:.3f}" if value >= 0.01 or value == 0 else f"{value:.1e}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table and an empty line."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
