"""What is wrong with a topics file, and what is legal and probably not what its author wants. Needs no database.

RULES lists every rule. A rule that `rerank topics apply` enforces is an error. The rest are warnings and notes.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rerank_core.prepare.language import LANGUAGES_OF, language, script_of
from rerank_core.prepare.terms import words
from rerank_core.recall.filters import has_term
from rerank_core.records import Topic
from rerank_core.storage.languages import UNKNOWN
from rerank_core.storage.topics import recall_digest
from rerank_core.storage.topics_file import TopicsFile
from rerank_core.storage.topics_values import Place

ALIKE = 0.8  # share of their words that two nearly equal queries have in common
COMMON = 50  # a word of more topics than this does not make two of them alike
LEAST_WORDS = 2
LEAST_HALF_LIFE_HOURS = 1.0
FAR_LOGIT = 20.0  # no reranker's logit gets so far from 0
FILE_START = Place(1, 1)

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Rule:
    """One thing that is looked for."""

    level: Level
    meaning: str  # one sentence


RULES = {
    "invalid": Rule("error", "`rerank topics apply` refuses the file."),
    "model-refuses": Rule("error", "A query or instruction is longer than the model takes."),
    "no-topic": Rule("warning", "The file has no active topic, so `apply` empties the page."),
    "no-word": Rule("warning", "No word of a query counts, so words find nothing."),
    "duplicate-topic": Rule("warning", "Two topics ask for exactly the same."),
    "near-duplicate": Rule("warning", "Two topics have nearly the same words in a query."),
    "must-not-in-query": Rule("warning", "A term of must_not is in the topic's own query."),
    "nothing-passes": Rule("warning", "Each text with a term of must has a term of must_not, too."),
    "must-in-other-script": Rule("warning", "A term of must is in a script that a language of the topic lacks."),
    "language-without-query": Rule("warning", "A language of the topic has no query in it."),
    "unused-query": Rule("warning", "A query is for a language that the topic does not take."),
    "query-in-other-language": Rule("warning", "A query is plainly not in the language that it is for."),
    "top-k-over-candidates": Rule("warning", "top_k is more than candidate_limit."),
    "short-half-life": Rule("warning", "half_life_hours is under 1."),
    "min-score-out-of-reach": Rule("warning", "No logit reaches min_score, or every logit does."),
    "min-score-like-probability": Rule("note", "min_score is between 0 and 1; it is a logit, no probability."),
    "short-query": Rule("note", "A query has one word; a headline finds more."),
    "repeated-query": Rule("note", "A query under queries is the topic's query again."),
}  # fmt: skip


@dataclass(frozen=True)
class Remark:
    """One finding of a rule."""

    rule: str
    message: str  # what is wrong, which value, what to do
    place: Place
    topic: str | None  # its slug, or how an error names it

    @property
    def level(self) -> Level:
        """How bad it is."""
        return RULES[self.rule].level


def lint(file: TopicsFile, refused: Sequence[str] = ()) -> list[Remark]:
    """Everything that a rule finds in a file, by place. `refused` are the sentences of scorers.refused_queries."""
    found = [
        Remark("invalid", problem.message, problem.place or FILE_START, problem.topic)
        for problem in file.problems
    ]
    places = {topic.slug: place for topic, place in zip(file.topics, file.places, strict=True)}
    for sentence in refused:
        slug, _, said = sentence.removeprefix("topic '").partition("': ")
        found.append(Remark("model-refuses", f"{said}; shorten it", places[slug]["query"], slug))
    if not file.problems and not any(topic.active for topic in file.topics):
        said = "the file has no active topic: applied, it empties the page; add a topic"
        found.append(Remark("no-topic", said, FILE_START, None))
    for topic, place in zip(file.topics, file.places, strict=True):
        found += (
            Remark(rule, message, place.get(field, place[""]), topic.slug)
            for rule, field, message in _of_topic(topic)
        )
    found += (
        Remark(rule, message, places[topic.slug]["query"], topic.slug)
        for topic, rule, message in _alike(file.topics)
    )
    return sorted(found, key=lambda remark: (remark.place.line, remark.place.column, remark.rule))


_Found = Iterator[tuple[str, str, str]]  # rule, field, message


def _of_topic(topic: Topic) -> _Found:
    yield from _of_queries(topic)
    yield from _of_languages(topic)
    yield from _of_terms(topic)
    yield from _of_numbers(topic)


def _queries(topic: Topic) -> dict[str, str]:
    """Language → query, with that of `query` itself as its text tells it."""
    own = language(topic.query, claimed=None).code
    return {own: topic.query} | topic.queries


def _counted(lang: str, query: str) -> list[str]:
    """The words of a query that count. If its language cannot be told, English stop words do not."""
    found = words(query, lang="en" if lang == UNKNOWN else lang)
    return [word for word, terms in found.items() if terms]


def _of_queries(topic: Topic) -> _Found:
    for lang, query in _queries(topic).items():
        field = "query" if query == topic.query else "queries"
        counted = _counted(lang, query)
        if not counted:
            yield "no-word", field, f"no word of {query!r} counts; write what the articles write"
        elif len(counted) < LEAST_WORDS:
            yield "short-query", field, f"{query!r} is one word; write a headline of the news that you want"
    for lang, query in topic.queries.items():
        if query == topic.query:
            yield "repeated-query", "queries", f"the query for {lang} is the topic's query; leave it out"
        told = language(query, claimed=lang)
        if told.overruled and told.code != lang:
            yield (
                "query-in-other-language",
                "queries",
                f"{query!r} is for {lang}, and is plainly in another language; translate it",
            )


def _of_languages(topic: Topic) -> _Found:
    spoken = set(_queries(topic))
    if UNKNOWN not in spoken:
        for lang in topic.languages:
            if lang not in spoken:
                yield (
                    "language-without-query",
                    "languages",
                    f"no query is in {lang}, so words find only texts that share names; add queries.{lang}",
                )
    for lang in topic.queries:
        if topic.languages and lang not in topic.languages:
            yield (
                "unused-query",
                "queries",
                f"languages lacks {lang}, so its query is never used; add the language or leave the query out",
            )


def _of_terms(topic: Topic) -> _Found:
    for term in topic.must_not:
        if any(has_term(query, term) for query in (topic.query, *topic.queries.values())):
            yield (
                "must-not-in-query",
                "must_not",
                f"{term!r} is in the topic's own query, so it excludes what the query asks for; take one out",
            )
        for needed in topic.must:
            if has_term(needed, term):
                yield (
                    "nothing-passes",
                    "must_not",
                    f"each text with {needed!r}, which must demands, has {term!r}, too; take one out",
                )
    for term in topic.must:
        script = script_of(term)
        wanted = topic.languages or tuple(lang for lang in _queries(topic) if lang != UNKNOWN)
        others = [lang for lang in wanted if script and not _is_written_in(lang, script)]
        if others:
            yield (
                "must-in-other-script",
                "must",
                f"{term!r} is hardly in any text in {' or '.join(others)}; give that language a topic of its own",
            )


def _is_written_in(lang: str, script: str) -> bool:
    return lang in LANGUAGES_OF[script] or (lang == "ja" and script in {"Han", "Kana"})


def _of_numbers(topic: Topic) -> _Found:
    if topic.top_k > topic.candidate_limit:
        yield (
            "top-k-over-candidates",
            "top_k",
            f"top_k {topic.top_k} is more than candidate_limit {topic.candidate_limit}: an hour cannot fill the page;"
            " raise candidate_limit",
        )
    if topic.half_life_hours < LEAST_HALF_LIFE_HOURS:
        yield (
            "short-half-life",
            "half_life_hours",
            f"half_life_hours {topic.half_life_hours:g}: after an hour, age counts more than relevance; use 1 or more",
        )
    if topic.min_score is not None and abs(topic.min_score) >= FAR_LOGIT:
        which = "no" if topic.min_score > 0 else "every"
        yield (
            "min-score-out-of-reach",
            "min_score",
            f"{which} article reaches min_score {topic.min_score:g}; logits are between -{FAR_LOGIT:g} and {FAR_LOGIT:g}",
        )
    if topic.min_score is not None and 0 < topic.min_score < 1:
        yield (
            "min-score-like-probability",
            "min_score",
            f"min_score {topic.min_score:g} is a logit, no probability: 0 is even odds, 2.2 is 0.9",
        )


def _alike(topics: Sequence[Topic]) -> Iterator[tuple[Topic, str, str]]:
    """Each topic that is like an earlier one of the file. A pair is told once."""
    first: dict[bytes, Topic] = {}
    using: dict[str, list[int]] = defaultdict(list)  # word → topics before that have it in a query
    seen: list[list[frozenset[str]]] = []  # the words of each query of these topics
    for place, topic in enumerate(topics):
        own = [frozenset(_counted(lang, query)) for lang, query in _queries(topic).items()]
        shared = [using[word] for query in own for word in query]
        near = sorted({earlier for users in shared if len(users) <= COMMON for earlier in users})
        seen.append(own)
        for word in frozenset().union(*own):
            using[word].append(place)
        digest = recall_digest(topic)
        if digest in first:
            slug = first[digest].slug
            yield (
                topic,
                "duplicate-topic",
                f"it asks for exactly what topic {slug!r} asks for; keep one of them",
            )
            continue
        first[digest] = topic
        for earlier in near:
            share = max(_jaccard(mine, other) for mine in own for other in seen[earlier])
            if share >= ALIKE:
                yield (
                    topic,
                    "near-duplicate",
                    f"{100 * share:.0f} % of the words of a query are those of topic {topics[earlier].slug!r}; merge the"
                    " topics, or say what differs",
                )
                break


def _jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    return len(left & right) / len(left | right) if left and right else 0.0
