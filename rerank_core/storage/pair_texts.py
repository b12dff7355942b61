"""The texts of pairs, for models that read queries and documents by themselves: each text once, however many pairs it is in."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection

from rerank_core.records import Pair
from rerank_core.storage import database as db
from rerank_core.storage.artifacts import Ids
from rerank_core.storage.languages import UNKNOWN

CHUNK = 10_000  # pairs whose vectors are in memory at once


@dataclass(frozen=True)
class PairTexts:
    """Queries and documents in the order of their ids, and where each pair finds its own."""

    query_ids: list[int]
    queries: list[tuple[str, str]]  # instruction, query
    document_ids: list[int]
    documents: list[str]  # "" for a document that was forgotten
    langs: list[str]  # of the documents
    pictures: list[
        tuple[str, ...]
    ]  # paths of the renditions that a model of pictures reads with each document
    query_places: Ids  # of each pair
    document_places: Ids

    def pairs(self) -> list[Pair]:
        """Each pair as a scorer reads it; its month is not known here."""
        found = []
        for query, text in zip(self.query_places.tolist(), self.document_places.tolist(), strict=True):
            instruction, asked = self.queries[query]
            ids = self.query_ids[query], self.document_ids[text]
            found.append(Pair(*ids, date.min, instruction, asked, self.documents[text], self.pictures[text]))
        return found

    def cosines(
        self, queries: npt.NDArray[np.floating], documents: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.float32]:
        """The inner product of each pair's vectors. The vectors are rows in the order of `queries` and `documents`."""
        found = np.zeros(len(self.query_places), dtype=np.float32)
        for start in range(0, len(found), CHUNK):
            part = slice(start, start + CHUNK)
            left = queries[self.query_places[part]].astype(np.float32)
            right = documents[self.document_places[part]].astype(np.float32)
            found[part] = np.einsum("ij,ij->i", left, right)
        return found


def read_pair_texts(connection: Connection, pairs: pa.Table) -> PairTexts:
    """The texts of these pairs, which have the columns query_id and document_id."""
    query_ids, query_places = np.unique(pairs.column("query_id").to_numpy(), return_inverse=True)
    document_ids, document_places = np.unique(pairs.column("document_id").to_numpy(), return_inverse=True)
    queries = db.rows(connection, "pair_texts.queries", query_ids=query_ids.tolist())
    documents = db.rows(connection, "pair_texts.documents", document_ids=document_ids.tolist())
    by_id = {row["document_id"]: (row["text"], row["lang"], tuple(row["pictures"])) for row in documents}
    found = [by_id.get(document_id, ("", UNKNOWN, ())) for document_id in document_ids.tolist()]
    return PairTexts(
        query_ids=query_ids.tolist(),
        queries=[(row["instruction"], row["query"]) for row in queries],
        document_ids=document_ids.tolist(),
        documents=[text for text, _, _ in found],
        langs=[lang for _, lang, _ in found],
        pictures=[pictures for _, _, pictures in found],
        query_places=query_places,
        document_places=document_places,
    )
