"""The Arrow schema of every artifact. RANKING is the contract with frontends: it changes only with a CHANGELOG line."""

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")

# One row for each article of the freshness window. The articles of one cluster have one text, near-copies of it, or one link
# of one source, and follow one another. The first of them that may be shown represents the cluster on the page.
MEMBERS = pa.schema(
    [
        ("scored_document_id", pa.int64()),  # the cluster: the text that is scored for all of it
        ("month", pa.date32()),  # ledger partition of that text
        ("lang", pa.string()),  # of that text
        ("scored_article_id", pa.string()),  # the first article with that text; null: it must not be shown
        ("began_at", TIME),  # what the cluster's age counts from, of its first article
        ("claimed_hour", TIME),  # null: no article of the cluster was claimed by this run
        ("document_id", pa.int64()),  # the article's own text
        (
            "similarity",
            pa.float32(),
        ),  # of the two texts; 1: they are the same; null: the articles have one link alone
        ("revision_id", pa.int64()),
        ("article_id", pa.string()),
        ("source", pa.string()),
        ("first_ingested_at", TIME),
        ("published_at", TIME),
        ("is_new", pa.bool_()),
    ]
)

# One row for each topic × document that the run's rankings are made from; of a cluster, the text that is scored.
PAIRS = pa.schema(
    [
        ("topic", pa.string()),
        ("query_id", pa.int64()),
        ("document_id", pa.int64()),
        ("month", pa.date32()),
        ("scorer_id", pa.int32()),  # whose score ranks the pair
        ("light_score", pa.float32()),  # BM25 over the freshness window
        ("recalled_by", pa.string()),  # bm25, dense, bm25+dense or all; null: the run did not want it
        ("recall_rank", pa.int32()),  # from 1, the best place that a search of the strategy gave it
        ("work", pa.bool_()),  # the run wants it scored; else it was scored before
        ("known", pa.bool_()),  # the ledger had the score when the run was frozen
        ("shard", pa.int32()),  # scoring task; null: nothing to score
    ]
)

# The light order of pairs that stayed unscored; the file's metadata says what made the order (artifacts.label_of).
LIGHT = pa.schema([("topic", pa.string()), ("document_id", pa.int64()), ("light_score", pa.float32())])

# One row for each ranked article, in (topic, rank) order.
RANKING = pa.schema(
    [
        ("topic", pa.string()),
        ("rank", pa.int32()),
        ("article_id", pa.string()),
        ("title", pa.string()),
        ("url", pa.string()),
        ("source", pa.string()),
        ("lang", pa.string()),
        ("published_at", TIME),
        ("first_ingested_at", TIME),
        ("began_at", TIME),
        ("ranked_by", pa.string()),
        ("logit", pa.float32()),
        ("rank_score", pa.float64()),
        ("light_score", pa.float32()),
        ("truncated", pa.bool_()),
        ("is_new", pa.bool_()),
        ("copies", pa.int32()),
        ("copy_sources", pa.list_(pa.string())),
        ("topic_version_id", pa.int64()),
        ("revision_id", pa.int64()),
        ("document_id", pa.int64()),
        ("scored_document_id", pa.int64()),
        ("scored_article_id", pa.string()),
        ("scorer_id", pa.int32()),
        ("moved_by", pa.string()),
        ("moved", pa.int32()),
        ("pictures", pa.list_(pa.string())),
        ("captions", pa.list_(pa.string())),
    ]
)
MEDIA_COLUMNS = ("pictures", "captions")  # no part of a page's digest if every row's are empty

# What the published Parquet file adds to RANKING, the same in every row.
PROVENANCE = pa.schema(
    [
        ("pipeline", pa.string()),
        ("as_of", TIME),
        ("run_id", pa.int64()),
        ("version", pa.int32()),
        ("attempt", pa.int32()),
    ]
)
PUBLISHED = pa.unify_schemas([RANKING, PROVENANCE])

# The state and counts of each topic of a publication: rows of the table ranking_topic.
RANKING_TOPIC = pa.schema(
    [
        ("publication_id", pa.int64()),
        ("slug", pa.string()),
        ("topic_version_id", pa.int64()),
        ("scorer_id", pa.int32()),
        ("state", pa.string()),
        *(
            (count, pa.int32())
            for count in (
                "candidates",
                "from_ledger",
                "scored",
                "refused",
                "missing",
                "left_out",
                "ranked",
                "source_limited",
            )
        ),
    ]
)
