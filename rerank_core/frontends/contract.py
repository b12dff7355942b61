"""The contract with frontends: every column and key that they read, described once.

CONTRACT.md and the comments in Postgres are made from these tables, so that no two descriptions differ. A test compares them
with the real views and files, so that every column has a description. A change here needs a line in the CHANGELOG.
"""

from dataclasses import replace

from rerank_core.frontends.columns import Column

_PIPELINE = Column(
    "pipeline", "text", "The pipeline of the page. Each pipeline has its own topics and its own page."
)
_TOPIC = Column(
    "topic",
    "text",
    "The topic's slug: `a-z`, `0-9`, `-` and `_`, at most 63 characters. It stays when the query is edited.",
)
_AS_OF = Column(
    "as_of",
    "timestamp with time zone",
    "The time of the page: articles first ingested before it are ranked, and their age is counted up to it.",
)
_RUN_ID = Column(
    "run_id", "bigint", "The run that made the page. Together with `version` it names the publication."
)
_VERSION = Column(
    "version",
    "integer",
    "The number of the publication within its run, from 1. A rerun or a forgotten article makes a new publication.",
)
_PUBLICATION_ID = Column(
    "publication_id",
    "bigint",
    "The publication: one page as it was published, never altered. Keep to it to read consistently.",
)
_TOPIC_VERSION_ID = Column(
    "topic_version_id", "bigint", "The version of the topic (query, instruction, limits) that was ranked."
)
_SCORER_ID = Column(
    "scorer_id",
    "integer",
    "The scorer: weights, prompt, precision and token limit as one id. A topic never mixes two scorers.",
    null="the row has no score of the model",
)
_ARTICLE_ID = Column(
    "article_id", "text", "The article's id in the source, unchanged. At most once in a topic."
)
_TITLE = Column(
    "title",
    "text",
    "Plain text to show, one line, at most 300 characters: the cleaned title, or the first line of the"
    " text if there is no title. Escape it. It belongs to the ranked revision, not to a later revision.",
)
_URL = Column(
    "url",
    "text",
    "The link as the source gave it, without white space around it, if it is `http://` or `https://`. Nothing else about it"
    " is checked: escape it.",
    null="the source gave no link, or a link of another kind",
)

# A row of a ranking, in the order of the views.
RANKING = (
    _PIPELINE,
    _TOPIC,
    Column(
        "rank",
        "integer",
        "The place in the topic, from 1. A publication's ranks are 1, 2, 3, …; a view or a topic"
        " file has a gap if an article was hidden since.",
        unit="place",
    ),
    _ARTICLE_ID,
    _TITLE,
    _URL,
    Column(
        "source",
        "text",
        "The publisher as the source names it, not cleaned: escape it.",
        null="the source names no publisher",
    ),
    Column(
        "lang",
        "text",
        "The language of the text: ISO 639-1, or `und` if it is unknown.",
        promise="grows",
    ),
    Column(
        "published_at",
        "timestamp with time zone",
        "When the article was published, as the source says. It may be in the future, or long before `first_ingested_at`.",
        null="the source does not say, or says the zero of a clock, such as 1970-01-01",
    ),
    Column(
        "first_ingested_at",
        "timestamp with time zone",
        "When the article's first revision entered the source. An edit does not change it.",
    ),
    Column(
        "ranked_by",
        "text",
        "`model`: ranked by the model's score. `bm25` or `embedding`: not scored yet, and ranked in a second block below, by"
        " words or by a small sentence model. `editor`: neither; an editor pinned it. Take an unknown value as `bm25`. A pinned"
        " row may stand in either block.",
        promise="grows",
    ),
    Column(
        "logit",
        "real",
        "The model's score, logit(yes) − logit(no): 0 is even odds that the article is relevant. Not decayed by age.",
        null="`ranked_by` is not `model`",
        unit="log-odds",
        promise="relative",
    ),
    Column(
        "probability",
        "double precision",
        "1 ÷ (1 + exp(−`logit`)), to show to people. Most relevant articles are near 1: sort and cut by `logit`.",
        null="`ranked_by` is not `model`",
        unit="0 to 1",
        promise="relative",
    ),
    Column(
        "rank_score",
        "double precision",
        "What the first block is ordered by: `logit` − ln 2 × age ÷ half-life. The age is `as_of` − `began_at`, and never"
        " negative. Ties go by `article_id`. Then rows may be moved: see `moved`.",
        null="`ranked_by` is not `model`",
        unit="log-odds",
        promise="relative",
    ),
    Column(
        "light_score",
        "real",
        "What the second block is ordered by. Cosine similarity if `ranked_by` is `embedding`, or −1 to −0.5 for a text in a"
        " language that the embedding model does not know; else BM25 over the texts of the page's window, which is 0 if no word"
        " of the query is in the text.",
        null="`ranked_by` is `editor`",
        unit="BM25, or cosine",
        promise="relative",
    ),
    Column(
        "truncated",
        "boolean",
        "The model has read only the beginning of the text: the rest was over the token limit. False if the row is not"
        " scored.",
    ),
    Column(
        "is_new",
        "boolean",
        "The run behind the page was the first to claim the article. An edit does not make an article new.",
    ),
    Column(
        "copies",
        "integer",
        "How many articles of the window are in the row's cluster, this one included: they have the same text, a near-copy"
        " of it, or the same link of the same source. The row is shown for all of them.",
        unit="articles",
    ),
    _AS_OF,
    _RUN_ID,
    _VERSION,
    _PUBLICATION_ID,
    _TOPIC_VERSION_ID,
    Column(
        "revision_id",
        "bigint",
        "The revision of the article that was ranked. Feedback on a row names `run_id`, `topic`, `rank` and this.",
    ),
    Column(
        "document_id",
        "bigint",
        "The article's prepared text. Articles with the same `document_id` have the same text.",
    ),
    _SCORER_ID,
    Column("attempt", "integer", "The fence number of the try that published.", promise="open"),
    Column(
        "flags",
        "text[]",
        "What was noticed about the text, in alphabetical order; empty if nothing was. `pleads`: the text addresses the"
        " model. `stuffed`: the text repeats phrases. Flags change no rank.",
        promise="grows",
    ),
    Column(
        "began_at",
        "timestamp with time zone",
        "What the age counts from: the earlier of `published_at` and `first_ingested_at` of the cluster's first article;"
        " `first_ingested_at` if `published_at` is longer before it than the freshness window and 365 days. A reprint makes no"
        " story young.",
    ),
    Column(
        "copy_sources",
        "text[]",
        "The sources of the articles that `copies` counts, each once, the source of this article first: escape them. Empty if"
        " no article has a source, and in publications from before this column was added.",
    ),
    Column(
        "scored_document_id",
        "bigint",
        "The prepared text that the model has read for the cluster: often `document_id`, but not always.",
    ),
    Column(
        "scored_article_id",
        "text",
        "The article of `scored_document_id`. It may have left the window, or have another text by now.",
        null="that article is hidden",
    ),
    Column(
        "moved_by",
        "text",
        "What gave the row its place. `pin`, `boost` or `demote`: an editor, also if `moved` is 0; mark a pinned row. `diversity`: it"
        " resembles a row above it, and fell. `source_limit`: it rose, because rows above it were left out for their source."
        " `shifted`: other rows were moved.",
        null="nothing moved the row",
        promise="grows",
    ),
    Column(
        "moved",
        "integer",
        "How many places the row stands higher (above 0) or lower (below 0) than `rank_score` and `light_score` alone put it, among"
        " the rows that the page could show. 0: it was not moved.",
        null="it has no place by these scores: an editor brought it onto the page",
        unit="places",
    ),
    Column(
        "pictures",
        "text[]",
        "Paths of the article's pictures below the store's URL or folder: JPEG, or WebP with the frames of a clip, at most 768 pixels"
        " wide and high. The name of each is the SHA-256 of its content. Empty if the article has none, or the pipeline shows none.",
    ),
    Column(
        "captions",
        "text[]",
        "The caption of each of `pictures`, in the same order, or the empty string: text for people who cannot see it. Escape it.",
    ),
)

# The state and counts of a topic of the page, in the order of the view.
TOPIC = (
    _PIPELINE,
    _TOPIC,
    Column("query", "text", "The topic's query, as its owner wrote it: escape it."),
    _AS_OF,
    Column("state", "text", "See [States](#states). Take an unknown state as `partial`.", promise="grows"),
    Column(
        "candidates",
        "integer",
        "Pairs that the run asked for: `from_ledger` + `scored` + `refused` + `missing` + `left_out`.",
        unit="pairs",
    ),
    Column("from_ledger", "integer", "Of these, scored before the run.", unit="pairs"),
    Column("scored", "integer", "Of these, scored by the run.", unit="pairs"),
    Column(
        "refused",
        "integer",
        "Of these, refused by the scorer; they are not scored again. If it refused every pair of a query, their articles"
        " follow in the second block.",
        unit="pairs",
    ),
    Column(
        "missing",
        "integer",
        "Of these, without a score: the second block. If more than 0, the topic is `degraded`.",
        unit="pairs",
    ),
    Column("left_out", "integer", "Of these, over the run's budget; a later run scores them.", unit="pairs"),
    Column(
        "ranked",
        "integer",
        "Rows of the topic's ranking as it was published, in both blocks. Articles that were hidden since are counted.",
        unit="rows",
    ),
    Column(
        "page_degraded",
        "boolean",
        "At least one topic of the page is `degraded`, or the page was due before all its articles were prepared.",
    ),
    _RUN_ID,
    _VERSION,
    _PUBLICATION_ID,
    _TOPIC_VERSION_ID,
    replace(_SCORER_ID, null="no pair of the topic is scored"),
    Column(
        "parquet_path",
        "text",
        "The page's Parquet file, below the store's URL or folder. It is never altered.",
    ),
    Column("parquet_sha256", "text", "SHA-256 of that file's bytes, 64 lower-case hexadecimal digits."),
    Column("published_at", "timestamp with time zone", "When the publication was committed."),
    Column(
        "overdue_since",
        "timestamp with time zone",
        "A newer page has been due since then, and could not be made: this page is older than it should be. See `as_of`.",
        null="no newer page is overdue",
    ),
    Column(
        "source_limited",
        "integer",
        "Rows that would be on the page, and were left out because their source has its `max_per_source` rows there.",
        unit="rows",
    ),
)

# What a move of the pointer changed, in the order of the view.
CHANGE = (
    _PIPELINE,
    _TOPIC,
    Column(
        "change",
        "text",
        "`entered`: the page before did not have the article. `left`: this page does not have it. `rose`: among the articles"
        " that both pages have it stands three places higher or more, or is the new first. `fell`: it stands three lower or more.",
        promise="grows",
    ),
    _ARTICLE_ID,
    replace(_TITLE, null="the article left, and the page before is past retention"),
    replace(_URL, null=f"{_URL.null}, or `title` is null"),
    Column(
        "rank_before", "integer", "The place on the page before.", null="the article entered", unit="place"
    ),
    Column("rank_now", "integer", "The place on this page.", null="the article left", unit="place"),
    replace(_PUBLICATION_ID, meaning="The publication that the page moved to."),
    Column("from_publication_id", "bigint", "The publication that was the page before."),
    Column(
        "cause",
        "text",
        "Why the page moved. `published`: a run published it. `rollback`, `release`: by hand. `forget`: the same page without a"
        " forgotten article.",
        promise="grows",
    ),
    Column("moved_at", "timestamp with time zone", "When the page moved."),
    Column("is_current", "boolean", "This move made the page what it is now."),
)

# State of a topic → meaning. Of the states from `degraded` on, a topic has the first that applies; else it is `full`.
STATES = {
    "full": "all pairs that the run asked for are scored",
    "degraded": "some pairs have no score, or the scorer refuses a query of the topic: their articles follow in a second block, with `ranked_by` = `bm25` or `embedding` and `logit` null",
    "stale": "the run was limited to other topics; this topic is carried forward",
    "partial": "some pairs are over the run's budget, the scorer before still ranks the topic while the new scorer fills it, or the page was due before all its articles were prepared",
    "abstained": "no row, and rightly so: nothing passed `min_score`, or nothing was recalled",
}

VIEWS = {
    "current_ranking": RANKING,
    "recent_ranking": RANKING,
    "current_topic": TOPIC,
    "recent_change": CHANGE,
}
VIEW_MEANS = {
    "current_ranking": "The page, one row for each topic and place.",
    "recent_ranking": "The same columns, of every publication that is the page or was the page within 24 hours: to read on in"
    " the publication that a reader began with.",
    "current_topic": "The state and counts of each topic of the page.",
    "recent_change": "News of the topics: one row for each article that a move of the page within 24 hours, or the move behind the"
    " page, brought in, took away, or put higher or lower.",
}


def columns(table: tuple[Column, ...], names: tuple[str, ...]) -> tuple[Column, ...]:
    """The descriptions of these columns of a table, in this order. Raises KeyError for a column without a description."""
    known = {column.name: column for column in table}
    return tuple(known[name] for name in names)


def comments() -> dict[tuple[str, str], str]:
    """(view, column, or "" for the view itself) → its comment in the database."""
    found = {(view, ""): f"{means} See CONTRACT.md." for view, means in VIEW_MEANS.items()}
    for view, table in VIEWS.items():
        found |= {(view, column.name): comment(column) for column in table}
    return found


def comment(column: Column) -> str:
    """The description as the database keeps it: one line of plain text."""
    parts = [column.meaning]
    if column.unit:
        parts.append(f"Unit: {column.unit}.")
    parts.append(f"Null: {column.null}." if column.null else "Never null.")
    return " ".join(parts).replace("`", "").replace("See [States](#states).", f"One of {', '.join(STATES)}.")
