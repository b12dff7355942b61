"""What the oracle asks of feeds and of news: feeds show the page, and each move's changes are the difference of two pages."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from faults.asker import Asker

OURS = "{urn:news-rerank:feed:1}"
ATOM = "{http://www.w3.org/2005/Atom}"

Rows = dict[int, list[dict[str, Any]]]  # of each publication
Places = dict[str, list[str]]  # of each topic, its articles in order


def changes(ask: Asker, rankings: Rows) -> Iterator[str]:
    """Every move has exactly the changes between the page before and its page; the first page has none."""
    noted: dict[int, set[tuple[Any, ...]]] = defaultdict(set)
    for row in ask("SELECT * FROM rerank.change"):
        noted[row["pointer_move_id"]].add(
            (row["slug"], row["article_id"], row["what"], row["rank_before"], row["rank_now"])
        )
    for move in ask("SELECT * FROM rerank.pointer_move ORDER BY pointer_move_id"):
        before = (
            None if move["from_publication_id"] is None else _places(rankings[move["from_publication_id"]])
        )
        due = (
            set()
            if before is None
            else set(_difference(before, _places(rankings[move["to_publication_id"]])))
        )
        found = noted.pop(move["pointer_move_id"], set())
        if found != due:
            yield (
                f"move {move['pointer_move_id']} has {len(found)} changes, and {len(due)} are due:"
                f" {sorted(found ^ due, key=repr)[:3]}…"
            )
    for number in noted:
        yield f"changes of move {number}, which never was"


def _places(rows: list[dict[str, Any]]) -> Places:
    found: Places = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["rank"]):
        found[row["slug"]].append(row["article_id"])
    return found


def _difference(before: Places, now: Places) -> Iterator[tuple[Any, ...]]:
    for slug in before.keys() | now.keys():
        old, new = before.get(slug, []), now.get(slug, [])
        both_old, both_new = [a for a in old if a in set(new)], [a for a in new if a in set(old)]
        for article in old:
            if article not in both_old:
                yield slug, article, "left", old.index(article) + 1, None
        for article in new:
            if article not in both_new:
                yield slug, article, "entered", None, new.index(article) + 1
            else:
                risen = both_old.index(article) - both_new.index(article)
                if abs(risen) >= 3 or (risen > 0 and both_new[0] == article):
                    what = "rose" if risen > 0 else "fell"
                    yield slug, article, what, old.index(article) + 1, new.index(article) + 1


def feeds(ask: Asker, rankings: Rows, store: Path) -> Iterator[str]:
    """Each topic has both feeds, of the page that the pointer is at, with all its articles in order."""
    (page,) = ask("SELECT p.* FROM rerank.pointer JOIN rerank.publication p USING (publication_id)")
    due = _places(rankings[page["publication_id"]])
    try:
        latest = json.loads((store / page["pipeline"] / "latest.json").read_text())
        for slug, one in latest["topics"].items():
            feed = json.loads((store / one["json_feed"]).read_text())
            tree = ElementTree.parse(store / one["atom"]).getroot()
            entries = tree.findall(f"{ATOM}entry")
            shown = {
                "JSON Feed": (
                    feed["_rerank"]["publication_id"],
                    [item["_rerank"]["article_id"] for item in feed["items"]],
                    [item["id"] for item in feed["items"]],
                ),
                "Atom feed": (
                    int(tree.findtext(f"{OURS}publication_id") or 0),
                    [entry.findtext(f"{OURS}article_id") for entry in entries],
                    [entry.findtext(f"{ATOM}id") for entry in entries],
                ),
            }
            for name, (publication_id, articles, ids) in shown.items():
                if publication_id != page["publication_id"]:
                    yield f"the {name} of {slug} is of publication {publication_id}, the page is {page['publication_id']}"
                if articles != due.get(slug, []):
                    yield f"the {name} of {slug} shows {articles[:3]}…, the table {due.get(slug, [])[:3]}…"
                if len(set(ids)) != len(ids):
                    yield f"the {name} of {slug} has an id twice"
    except (OSError, ValueError, KeyError, TypeError, ElementTree.ParseError) as error:
        yield f"the feeds cannot be read: {type(error).__name__}: {error}"


def torn(hint: Path) -> str | None:
    """What is wrong with a file as a reader finds it; None: nothing, or it was taken away since."""
    try:
        if hint.suffix == ".xml":
            ElementTree.parse(hint)
        else:
            json.loads(hint.read_text())
    except FileNotFoundError:
        return None
    except (ValueError, ElementTree.ParseError) as error:
        return f"{hint.name}: {error}"
    return None


def mixed(store: Path, pipeline: str) -> str | None:
    """Whether what latest.json names is of several publications; None if not, or something was taken away meanwhile."""
    try:
        latest = json.loads((store / pipeline / "latest.json").read_text())
        for slug, one in latest["topics"].items():
            told = {
                latest["publication_id"],
                json.loads((store / one["page"]).read_text())["publication_id"],
                json.loads((store / one["json_feed"]).read_text())["_rerank"]["publication_id"],
                int(ElementTree.parse(store / one["atom"]).getroot().findtext(f"{OURS}publication_id") or 0),
            }
            if len(told) > 1:
                return f"{slug}: latest.json, topic file and feeds are of publications {sorted(told)}"
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, ElementTree.ParseError) as error:
        return f"{type(error).__name__}: {error}"
    return None
