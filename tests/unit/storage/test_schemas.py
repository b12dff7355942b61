"""The published columns are a contract: a change of them is made here and in the CHANGELOG, on purpose."""

import pyarrow as pa

from rerank_core.storage import schemas


def test_the_published_columns_are_those_that_frontends_rely_on() -> None:
    assert [(field.name, str(field.type)) for field in schemas.PUBLISHED] == [
        ("topic", "string"),
        ("rank", "int32"),
        ("article_id", "string"),
        ("title", "string"),
        ("url", "string"),
        ("source", "string"),
        ("lang", "string"),
        ("published_at", "timestamp[us, tz=UTC]"),
        ("first_ingested_at", "timestamp[us, tz=UTC]"),
        ("began_at", "timestamp[us, tz=UTC]"),
        ("ranked_by", "string"),
        ("logit", "float"),
        ("rank_score", "double"),
        ("light_score", "float"),
        ("truncated", "bool"),
        ("is_new", "bool"),
        ("copies", "int32"),
        ("copy_sources", "list<item: string>"),
        ("topic_version_id", "int64"),
        ("revision_id", "int64"),
        ("document_id", "int64"),
        ("scored_document_id", "int64"),
        ("scored_article_id", "string"),
        ("scorer_id", "int32"),
        ("moved_by", "string"),
        ("moved", "int32"),
        ("pictures", "list<item: string>"),
        ("captions", "list<item: string>"),
        ("pipeline", "string"),
        ("as_of", "timestamp[us, tz=UTC]"),
        ("run_id", "int64"),
        ("version", "int32"),
        ("attempt", "int32"),
    ]


def test_every_time_has_a_zone() -> None:
    for name in ("MEMBERS", "PAIRS", "LIGHT", "RANKING", "PROVENANCE"):
        for field in getattr(schemas, name):
            if pa.types.is_timestamp(field.type):
                assert field.type.tz == "UTC", f"{name}.{field.name}"
