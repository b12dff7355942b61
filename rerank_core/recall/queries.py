"""The queries of topics as rows, so that pairs and vectors can name them."""

from collections.abc import Sequence

from sqlalchemy import Connection

from rerank_core.records import Topic
from rerank_core.storage import database as db
from rerank_core.storage import topics


def store_queries(connection: Connection, wanted: Sequence[Topic]) -> dict[tuple[str, str], int]:
    """(instruction, query) → query id, for every query of these topics; those that are new are added."""
    texts = sorted(
        {(topic.instruction, query) for topic in wanted for query in (topic.query, *topic.queries.values())},
        key=lambda text: topics.query_digest(*text),
    )
    digests = [topics.query_digest(*text) for text in texts]
    db.execute(
        connection,
        "queries.store_queries",
        digests=digests,
        instructions=[instruction for instruction, _ in texts],
        queries=[query for _, query in texts],
    )
    found = {
        bytes(row["digest"]): row["query_id"]
        for row in db.rows(connection, "queries.queries", digests=digests)
    }
    return {text: found[digest] for text, digest in zip(texts, digests, strict=True)}
