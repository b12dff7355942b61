"""The texts of pairs: each query and each document once, and where each pair finds its own."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from rerank_core.storage import database as db
from rerank_core.storage.artifacts import Ids


@dataclass(frozen=True)
class PairTexts:
    """What a model reads that takes queries and documents by themselves. The places have one entry a pair."""

    queries: list[tuple[str, str]]  # instruction, query
    documents: list[str]  # "" for a document that was forgotten
    query_places: Ids
    document_places: Ids


def read_pair_texts(connection: Connection, pairs: pa.Table) -> PairTexts:
    """The texts of these pairs, which have the columns query_id and document_id."""
    query_ids, query_places = np.unique(pairs.column("query_id").to_numpy(), return_inverse=True)
    document_ids, document_places = np.unique(pairs.column("document_id").to_numpy(), return_inverse=True)
    queries = db.rows(connection, "pair_texts.queries", query_ids=query_ids.tolist())
    documents = db.rows(connection, "pair_texts.documents", document_ids=document_ids.tolist())
    texts = {row["document_id"]: row["text"] for row in documents}
    return PairTexts(
        queries=[(row["instruction"], row["query"]) for row in queries],
        documents=[texts.get(document_id, "") for document_id in document_ids.tolist()],
        query_places=query_places,
        document_places=document_places,
    )
