"""Why an article stands where it stands in a topic's ranking, or why it does not.

One answer: the first reason in the order of the stages that keeps the article away, or its place and what made it.
Read from what the run has left: claims, quarantine, the frozen members and pairs, the ledger and the publication.
Nothing is computed that the run has not decided, but the place of an article below the page.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, RowMapping

from rerank_core.errors import InputError
from rerank_core.prepare.language import language
from rerank_core.publish import gate
from rerank_core.publish.ranking import Page, rank_topic
from rerank_core.recall.window import pattern
from rerank_core.records import Run
from rerank_core.settings import Settings
from rerank_core.storage import artifacts, ledger, runs, topics
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.runs import current_run
from rerank_core.storage.source import Source
from rerank_core.storage.store import Store

Reason = Literal[
    "ranked",
    "unknown",
    "invalid",
    "too_late",
    "ingested_later",
    "not_claimed",
    "claimed_later",
    "forgotten",
    "blocked",
    "deleted",
    "not_prepared",
    "quarantined",
    "outside_window",
    "not_a_member",
    "copy",
    "near_copy",
    "topic_not_in_run",
    "other_language",
    "lacks_must",
    "has_must_not",
    "topic_not_selected",
    "searched_before",
    "no_query_in_language",
    "over_budget",
    "not_recalled",
    "not_recalled_or_over_budget",
    "refused",
    "distrusted",
    "score_lost",
    "unscored_below_page",
    "other_scorer",
    "below_min_score",
    "hidden_then",
    "below_top_k",
    "not_published",
]


NAMED = 5  # articles of a cluster that are named


@dataclass(frozen=True)
class Explanation:
    """The answer."""

    topic: str
    article_id: str
    run_id: int
    reason: Reason
    sentence: str
    facts: tuple[tuple[str, str], ...]  # what is known of the article, in the order of the stages


class _Answer(Exception):
    """The first reason that was found."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason, self.sentence = reason, sentence


def explain(
    *,
    database: Database,
    store: Store,
    settings: Settings,
    topic: str,
    article_id: str,
    run_id: int | None = None,
) -> Explanation:
    """Explain an article in a topic, as of a run: the one behind the page where `run_id` is None.

    Raises InputError where the topic does not exist, the run does not, or is not frozen yet; CorruptError where the
    run's artifacts are gone.
    """
    number = current_run(database, settings.pipeline) if run_id is None else run_id
    with database.transaction(read_only=True) as connection:
        run = runs.get(connection, number)
        if run.pipeline != settings.pipeline:
            raise InputError(f"run {number} belongs to pipeline {run.pipeline!r}, not {settings.pipeline!r}")
        if not run.frozen:
            raise InputError(
                f"run {number} is not frozen yet: nothing has been recalled; run its stages first"
            )
        case = _Case(connection, store, run, topic, article_id)
        try:
            case.look_at_topic()
            revision = case.find_revision()
            if revision is None:
                case.look_at_source(Source.of(settings, database))
            else:
                case.look_at_article(revision)
        except _Answer as answer:
            return Explanation(topic, article_id, number, answer.reason, answer.sentence, tuple(case.facts))
    raise AssertionError("an article is ranked, or there is a reason why not")


class _Case:
    """One article in one topic of one run. Every question that finds the reason raises _Answer."""

    def __init__(self, connection: Connection, store: Store, run: Run, slug: str, article_id: str) -> None:
        self.facts: list[tuple[str, str]] = []
        self._connection = connection
        self._store = store
        self._run = run
        self._slug = slug
        self._article_id = article_id

    def note(self, name: str, value: object) -> None:
        """Add a fact; nothing where there is none."""
        if value is not None:
            self.facts.append((name, _moment(value) if isinstance(value, datetime) else str(value)))

    def one(self, name: str, relations: tuple[tuple[str, str], ...] = (), **values: Any) -> RowMapping | None:
        return db.one(self._connection, name, relations, **values)

    def look_at_topic(self) -> None:
        """The topic as the run has frozen it."""
        row = self.one("explain.topic", run_id=self._run.run_id, slug=self._slug)
        if row is None:
            stored = topics.current_topics(self._connection, self._run.pipeline, active_only=False)
            if self._slug not in {topic.slug for topic in stored}:
                raise InputError(
                    f"topic {self._slug!r} does not exist in pipeline {self._run.pipeline}; `rerank topics list` shows"
                    " those that do"
                )
            raise _Answer(
                "topic_not_in_run", f"The topic was not active when run {self._run.run_id} was frozen."
            )
        self._frozen = row
        self._topic = topics.to_record(row)
        self.note("run", f"{self._run.run_id}, as of {_moment(self._run.window.until)}")
        self.note("topic version", self._topic.number)
        decision = gate.latest(self._connection, self._run.run_id)
        self.note("gate", None if decision is None else f"{decision.verdict}: {decision.sentence}")

    def find_revision(self) -> RowMapping | None:
        """What the run knew of the article."""
        hidden = self.one("explain.hidden", pipeline=self._run.pipeline, article_id=self._article_id)
        self._hidden = hidden
        if hidden is not None and hidden["why"] == "forgotten":
            raise _Answer(
                "forgotten",
                f"It was forgotten ({hidden['reason']}): its text is gone and it is not claimed again.",
            )
        return self.one(
            "explain.revision",
            pipeline=self._run.pipeline,
            article_id=self._article_id,
            run_id=self._run.run_id,
            until=self._run.window.until,
        )

    def look_at_source(self, source: Source) -> None:
        """Why the run, and every one before it, has not claimed the article."""
        claim = self.one("explain.later_claim", pipeline=self._run.pipeline, article_id=self._article_id)
        if claim is not None:
            raise _Answer(
                "claimed_later",
                f"Run {self._run.run_id} did not have it: run {claim['run_id']}, as of {_moment(claim['until'])},"
                " was the first to claim it.",
            )
        sighting = source.look_up(self._article_id)
        if sighting is None:
            raise _Answer("unknown", f"The source {source.view} has no article of this id.")
        at, window = sighting.ingested_at, self._run.window
        self.note("ingested", at)
        if sighting.version is None or at is None:
            raise _Answer("invalid", "Its version or ingested_at is null in the source, so no run claims it.")
        if at >= window.until:
            raise _Answer(
                "ingested_later",
                f"It was ingested at {_moment(at)}, not before the run's window ended at {_moment(window.until)}.",
            )
        if at < window.since:
            raise _Answer(
                "too_late",
                f"It was ingested at {_moment(at)}, before the lookback began at {_moment(window.since)}: it was counted"
                " as too late and not claimed.",
            )
        raise _Answer("not_claimed", "It is in the source, and no run has claimed it yet: the next one will.")

    def look_at_article(self, revision: RowMapping) -> None:
        """From the revision that the run knew to the article's row."""
        self.note("title", revision["title"])
        self.note("revision", f"{revision['number']}, claimed by run {revision['claimed_by']}")
        self.note("first ingested", revision["first_ingested_at"])
        self.note("published", revision["published_at"])
        if revision["quarantine_reason"] is not None:
            raise _Answer(
                "quarantined",
                f"It is in quarantine since {revision['quarantine_stage']}: {revision['quarantine_reason']}.",
            )
        if revision["document_id"] is None:
            raise _Answer("not_prepared", "It is claimed and not prepared yet.")
        self.note(
            "document",
            f"{revision['document_id']}, sha256 {bytes(revision['digest']).hex()[:12]}…, {revision['length']:,} characters",
        )
        sure = revision["lang_confidence"]
        self.note("language", revision["lang"] + ("" if sure is None else f", confidence {sure:.2f}"))
        self.note("flags", ", ".join(revision["flags"]) or None)
        window = self._run.window
        if revision["first_ingested_at"] < window.fresh_since:
            raise _Answer(
                "outside_window",
                f"It was first ingested at {_moment(revision['first_ingested_at'])}, before the freshness window began at"
                f" {_moment(window.fresh_since)}.",
            )
        self._members = artifacts.read_members(self._store, self._run)
        found = self._members.filter(pc.equal(self._members.column("article_id"), self._article_id))
        if not found.num_rows:
            raise _Answer("not_a_member", "It was not among the run's articles when it was frozen.")
        self._member: dict[str, Any] = found.to_pylist()[0]
        self.look_at_hidden()
        self.look_at_cluster()
        self.look_at_pairs()

    def look_at_cluster(self) -> None:
        """The articles that are copies of one another: which of them stands for all."""
        scored, own = self._member["scored_document_id"], self._member["document_id"]
        here = self._members.filter(pc.equal(self._members.column("scored_document_id"), scored)).to_pylist()
        row = self.one("explain.cluster", run_id=self._run.run_id, slug=self._slug, document_id=scored)
        hidden = self._hidden_members()
        shown = [one["article_id"] for one in here if one["article_id"] not in hidden]
        stands = row["article_id"] if row is not None and row["article_id"] in shown else shown[0]
        texts = len({one["document_id"] for one in here})
        names = [one["article_id"] for one in here]
        named = ", ".join(names[:NAMED]) + ("" if len(names) <= NAMED else f" and {len(names) - NAMED} more")
        who = "this one" if stands == self._article_id else f"article {stands}"
        self.note(
            "cluster",
            f"{len(here)} articles with this text or a near-copy of it, {texts} texts: {named}; {who} stands for them"
            if len(here) > 1
            else "no other article has this text or a near-copy of it",
        )
        if stands != self._article_id:
            other = next(one for one in here if one["article_id"] == stands)
            where = (
                f"stands at rank {row['rank']}"
                if row is not None and row["article_id"] == stands
                else "stands for it: explain that one"
            )
            if other["document_id"] == own:
                raise _Answer("copy", f"It has the very text of article {stands}, which {where}.")
            alike = min(self._member["similarity"], other["similarity"])
            how = f"{alike:.0%} of their shingles are the same"
            if scored not in (own, other["document_id"]):
                how = f"each shares at least {alike:.0%} of its shingles with the text that was scored"
            raise _Answer("near_copy", f"It is a near-copy of article {stands}, which {where}; {how}.")
        if own != scored:
            name = self._member["scored_article_id"]
            self.note(
                "scored text",
                f"that of {'an article that is hidden' if name is None else f'article {name}'},"
                f" {self._member['similarity']:.0%} of its shingles are the same",
            )

    def look_at_hidden(self) -> None:
        """Blocks and deletions."""
        if self._hidden is not None and self._hidden["why"] == "blocked":
            raise _Answer(
                "blocked", f"It is blocked ({self._hidden['reason']}): the views leave it out at once."
            )
        if self._hidden is not None:
            raise _Answer("deleted", "The source no longer had it when a run was last published.")

    def look_at_pairs(self) -> None:
        """Whether it was recalled, and its score."""
        pairs = artifacts.read_pairs(self._store, self._run)
        self._pairs = pairs.filter(pc.equal(pairs.column("topic"), self._slug))
        mine = self._pairs.filter(
            pc.equal(self._pairs.column("document_id"), self._member["scored_document_id"])
        )
        if not mine.num_rows:
            self.look_at_recall()
        self._note_recall(mine)
        publication = self.one("explain.publication", run_id=self._run.run_id)
        if publication is None:
            raise _Answer(
                "not_published", f"It is recalled, and run {self._run.run_id} has not published yet."
            )
        self.note(
            "publication",
            f"version {publication['version']}" + (", the current page" if publication["is_current"] else ""),
        )
        standing = self.one("explain.standing", publication_id=publication["publication_id"], slug=self._slug)
        ranked_by = self._run.scorer_id if standing is None else standing["scorer_id"]
        row = self.one(
            "explain.row",
            publication_id=publication["publication_id"],
            slug=self._slug,
            article_id=self._article_id,
        )
        self.look_at_scores(mine, ranked_by, row, 0 if standing is None else standing["missing"])

    def look_at_recall(self) -> None:
        """Why there is no pair of this topic and document."""
        self.note("recalled", None if self._frozen["left_out"] else "no")
        lang, wanted = self._member["lang"], self._topic.languages
        if wanted and lang not in wanted:
            raise _Answer("other_language", f"It is in {lang}, and the topic takes {', '.join(wanted)} only.")
        self._look_at_terms()
        if not self._frozen["selected"]:
            raise _Answer(
                "topic_not_selected",
                f"Run {self._run.run_id} was limited to other topics, and it had no score for this one.",
            )
        if self._member["claimed_hour"] is None and not self._frozen["filling"] and not self._run.rescore:
            raise _Answer(
                "searched_before",
                "An earlier run claimed it and did not choose it for this topic, which is filled: it is not looked at again.",
            )
        told = language(self._topic.query, claimed=None).code
        if self._frozen["not_recalled_language"] and lang not in (told, *self._topic.queries):
            raise _Answer(
                "no_query_in_language",
                f"It is in {lang}, in which the topic has no query, and the recall strategy finds words only.",
            )
        left_out = self._frozen["left_out"]
        if left_out and not self._frozen["not_recalled"]:
            raise _Answer(
                "over_budget",
                f"It was recalled, and left out over the run's budget, as {left_out} of the topic's candidates were; it is"
                " carried over to a later run.",
            )
        limit = f"{self._topic.candidate_limit} for each hour of ingestion"
        if left_out:
            raise _Answer(
                "not_recalled_or_over_budget",
                f"It was not among the topic's candidates ({limit}), or one of the {left_out} left out over the run's"
                " budget.",
            )
        raise _Answer("not_recalled", f"It was not among the best documents that the topic takes ({limit}).")

    def _look_at_terms(self) -> None:
        for terms, is_must in ((self._topic.must, True), (self._topic.must_not, False)):
            for term in terms:
                fits = self.one(
                    "explain.fits", document_id=self._member["scored_document_id"], patterns=[pattern(term)]
                )
                if fits is None or fits["matches"] == is_must:
                    continue
                if is_must:
                    raise _Answer("lacks_must", f"Its text lacks {term!r}, which the topic demands.")
                raise _Answer("has_must_not", f"Its text has {term!r}, which the topic excludes.")

    def _note_recall(self, mine: pa.Table) -> None:
        row = mine.to_pylist()[0]
        light = row["light_score"]
        better = int((self._pairs.column("light_score").to_numpy() > light).sum())
        found_by = row.get("recalled_by")
        self.note("recalled", "as a candidate of this run" if row["work"] else "scored by an earlier run")
        self.note(
            "recalled by",
            None if found_by is None else f"{found_by}, place {row.get('recall_rank')} in its best search",
        )
        self.note("BM25", f"{light:.2f}, {better} of the topic's {self._pairs.num_rows} pairs have more")

    def look_at_scores(
        self, mine: pa.Table, ranked_by: int | None, row: RowMapping | None, missing: int
    ) -> None:
        """Its score, and its row."""
        own = self._score(mine, self._run.scorer_id)
        ranking = self._score(mine, ranked_by)
        if row is not None:
            scored = row["ranked_by"] == "model"
            self.note(
                "block",
                "the first, scored by the model"
                if scored
                else "the second, below it: not scored by the model",
            )
        if row is not None and row["ranked_by"] != "model":
            by = "BM25" if row["ranked_by"] == "bm25" else "the similarity of sentence embeddings"
            why = self._why_distrusted(mine) or "it has no score of the model yet"
            raise _Answer(
                "ranked",
                f"Rank {row['rank']}, in the second block: {why}, and stands there by {by} ({row['light_score']:.2f})."
                " The next good run scores it.",
            )
        if ranking is None:
            self._look_at_missing(mine, own, ranked_by, missing)
        assert ranking is not None
        logit, scored_by, truncated = ranking
        self.note("score", f"logit {logit:+.3f}, probability {_probability(logit):.4f}, by run {scored_by}")
        self.note("read", "its beginning: the tail was cut at the token limit" if truncated else None)
        place, order = self._order(ranked_by)
        hours, decay = self._age_hours(), self._decay()
        self.note(
            "decay",
            f"{decay:.3f} = ln 2 × {hours:.2f} h ÷ {self._topic.half_life_hours:g} h, age by half-life",
        )
        self.note("rank score", f"{logit - decay:+.3f} = logit − decay")
        least = self._topic.min_score
        self.note("min_score", None if least is None else f"{least:+g}")
        if row is None and least is not None and logit < least:
            raise _Answer(
                "below_min_score", f"Its logit {logit:+.3f} is below the topic's min_score {least:+g}."
            )
        if row is not None:
            raise _Answer("ranked", self._why_this_rank(row, order))
        top_k = self._topic.top_k
        if place is not None and place < top_k:
            raise _Answer(
                "hidden_then",
                f"It would stand at {place + 1}, with {order[place][1]:+.3f}, but was blocked or deleted when this page was"
                " published; the next publication shows it.",
            )
        where = "" if place is None else f" It would stand at {place + 1}, with {order[place][1]:+.3f}."
        last = f" of {order[top_k - 1][1]:+.3f}" if len(order) >= top_k else ""
        raise _Answer(
            "below_top_k", f"The page shows the best {top_k}, and it is below the last of them{last}.{where}"
        )

    def _look_at_missing(
        self, mine: pa.Table, own: tuple[float, int, bool] | None, ranked_by: int | None, missing: int
    ) -> None:
        """Why the scorer that ranks the topic has no score of it."""
        first = mine.to_pylist()[0]
        refused = self.one(
            "explain.refused",
            scorer_id=self._run.scorer_id,
            query_id=first["query_id"],
            document_id=first["document_id"],
        )
        if refused is not None:
            raise _Answer("refused", f"The scorer refused it: {refused['reason']}.")
        if own is not None and ranked_by != self._run.scorer_id:
            raise _Answer(
                "other_scorer",
                f"Scorer {self._run.scorer_id} has scored it (logit {own[0]:+.3f}), but scorer {ranked_by} ranks the topic"
                " until the new one has filled it.",
            )
        if (why := self._why_distrusted(mine)) is not None:
            raise _Answer(
                "distrusted",
                f"It is not on the page: {why}, and more than {self._topic.top_k} unscored documents are before it in BM25"
                " order. The next good run scores it.",
            )
        if first["known"] or not missing:
            raise _Answer("score_lost", "It had a score, which is past its retention now.")
        if first["light_score"] <= 0:
            raise _Answer(
                "unscored_below_page",
                "It has no score of the model yet, and shares no word with the topic's query. The next good run scores it.",
            )
        raise _Answer(
            "unscored_below_page",
            f"It has no score of the model yet, and more than {self._topic.top_k} unscored documents are before it in BM25"
            " order. The next good run scores it.",
        )

    def _why_distrusted(self, mine: pa.Table) -> str | None:
        """That its score counts for nothing, and why; None where it has none of that kind."""
        first = mine.to_pylist()[0]
        row = self.one(
            "explain.aside",
            scorer_id=self._run.scorer_id,
            query_id=first["query_id"],
            document_id=first["document_id"],
        )
        if row is None:
            return None
        return (
            f"its score by run {row['run_id']} (logit {row['logit']:+.3f}) counts for nothing, because the gate blocks"
            f" that run ({row['sentence']})"
        )

    def _score(self, mine: pa.Table, scorer_id: int | None) -> tuple[float, int, bool] | None:
        """Logit, scoring run, and whether the tail was cut."""
        rows = mine.filter(
            pc.fill_null(pc.equal(mine.column("scorer_id"), pa.scalar(scorer_id, pa.int32())), False)
        )
        if scorer_id is None or not rows.num_rows:
            return None
        found = ledger.lookup_pairs(self._connection, scorer_id, rows)
        place = int(
            found.positions(rows.column("query_id").to_numpy(), rows.column("document_id").to_numpy())[0]
        )
        if place < 0:
            return None
        return float(found.logit[place]), int(found.run_id[place]), bool(found.truncated[place])

    def _order(self, scorer_id: int | None) -> tuple[int | None, list[tuple[str, float]]]:
        """The article's place from 0 (None: not in it), and every article that could be ranked with its rank_score."""
        mine = pc.fill_null(
            pc.equal(self._pairs.column("scorer_id"), pa.scalar(scorer_id, pa.int32())), False
        )
        rows = self._pairs.filter(mine)
        found = ledger.lookup_pairs(self._connection, scorer_id or 0, rows)
        document_ids = rows.column("document_id").to_numpy()
        places = found.positions(rows.column("query_id").to_numpy(), document_ids)
        known = places >= 0
        nothing = np.zeros(0)
        hidden = self._hidden_members()
        page = Page.of(self._members, as_of=self._run.window.until, blocked=hidden)
        ranked = rank_topic(
            topic=replace(self._topic, top_k=max(1, rows.num_rows)),
            page=page,
            document_ids=document_ids[known],
            logit=found.logit[places[known]].astype(np.float64),
            light=np.zeros(int(known.sum())),
            truncated=np.zeros(int(known.sum()), dtype=bool),
            unscored_ids=nothing.astype(np.int64),
            unscored_light=nothing,
        )
        names = page.article_ids[ranked.places].tolist()
        order = list(zip(names, ranked.rank_score.tolist(), strict=True))
        return (names.index(self._article_id) if self._article_id in names else None), order

    def _hidden_members(self) -> set[str]:
        rows = db.rows(
            self._connection,
            "explain.hidden_members",
            pipeline=self._run.pipeline,
            article_ids=self._members.column("article_id").to_pylist(),
        )
        return {row["article_id"] for row in rows}

    def _age_hours(self) -> float:
        return max(0.0, float((self._run.window.until - self._member["began_at"]).total_seconds()) / 3600)

    def _decay(self) -> float:
        return math.log(2) * self._age_hours() / self._topic.half_life_hours

    def _why_this_rank(self, row: RowMapping, order: Sequence[tuple[str, float]]) -> str:
        rank = row["rank"]
        sentence = (
            f"Rank {rank}: its logit {row['logit']:+.3f} less {row['logit'] - row['rank_score']:.3f} for its age gives"
            f" {row['rank_score']:+.3f}."
        )
        if rank > 1 and rank - 2 < len(order):
            sentence += f" The article before it has {order[rank - 2][1]:+.3f}."
        if rank < len(order):
            sentence += f" The one after it has {order[rank][1]:+.3f}."
        return sentence


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, logit))))


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
