"""Vectors in Milvus: a server, or Milvus Lite in a file. Needs the extra `milvus`.

Each embedder has a collection, with document ids as its key. A search names the wanted documents in its filter, so it
finds nothing outside of the window. If the index finds too few documents, they are compared one by one.
"""

from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np

from rerank_core.errors import SettingsError, StoreUnavailable
from rerank_core.recall.base import Scores, top
from rerank_core.storage.artifacts import Ids
from rerank_core.storage.embeddings import Matrix, Vector

BATCH = 1_000  # documents that one request names
MOST = 16_384  # documents that Milvus returns to one search


def server_version(url: str) -> str:
    """The version of the server at this address, for people; "Lite, in a file" for a file.

    Raises StoreUnavailable if the server does not answer.
    """
    if url.endswith(".db"):
        return "Lite, in a file"
    import pymilvus

    try:
        client = pymilvus.MilvusClient(uri=url, timeout=5)
        try:
            return str(client.get_server_version())
        finally:
            client.close()
    except pymilvus.MilvusException as error:
        raise StoreUnavailable(
            f"Milvus does not answer ({_said(error, url)}); check RERANK_MILVUS_URL"
        ) from None


def _said(error: Exception, url: str) -> str:
    """What Milvus's client said, without the address, which can hold a password."""
    said = str(getattr(error, "message", type(error).__name__))
    for part in (url, urlsplit(url).password, urlsplit(url).username):
        said = said.replace(part, "***") if part else said
    return said


class MilvusVectors:
    """The vectors of one embedder; a context manager."""

    def __init__(self, url: str, *, digest: str, dimensions: int, make: bool = True) -> None:
        """Connect, and make the embedder's collection if it is missing.

        Without `make`, nothing is made, and `is_there` says whether the collection exists. The other methods need it.
        Raises SettingsError if the client is not installed, StoreUnavailable if Milvus does not answer.
        """
        try:
            import pymilvus
        except ImportError as error:
            raise SettingsError(
                "Milvus's client is not installed here; pip install 'news-rerank[milvus]'"
            ) from error
        self._pymilvus: Any = pymilvus
        self._url = url
        self._collection = f"rerank_{digest[:16]}"
        self._dimensions = dimensions
        self._client: Any = self._asked(pymilvus.MilvusClient, uri=url)
        self.is_there = bool(self._asked(self._client.has_collection, self._collection))
        if make and not self.is_there:
            self._create()
            self.is_there = True
        if self.is_there:
            self._asked(self._client.load_collection, self._collection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._client.close()

    def _create(self) -> None:
        kinds = self._pymilvus.DataType
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("document_id", kinds.INT64, is_primary=True)
        schema.add_field("vector", kinds.FLOAT_VECTOR, dim=self._dimensions)
        index = self._client.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="IP", params={"M": 16, "efConstruction": 64})
        self._asked(
            self._client.create_collection,
            self._collection,
            schema=schema,
            index_params=index,
            consistency_level="Strong",
        )

    def missing(self, document_ids: Ids) -> Ids:
        """See Vectors.missing."""
        wanted = np.unique(document_ids)
        known = [row["document_id"] for row in self._get(wanted, ["document_id"])]
        return np.setdiff1d(wanted, np.asarray(known, dtype=np.int64))

    def add(self, document_ids: Ids, vectors: Matrix) -> None:
        """See Vectors.add."""
        rows = [
            {"document_id": number, "vector": vector.astype(np.float32).tolist()}
            for number, vector in zip(document_ids.tolist(), vectors, strict=True)
        ]
        for start in range(0, len(rows), BATCH):
            self._asked(self._client.upsert, self._collection, rows[start : start + BATCH])

    def ids(self) -> Ids:
        """The ids of all documents that have a vector."""
        asked = {"batch_size": BATCH, "filter": "", "output_fields": ["document_id"]}
        pages = self._asked(self._client.query_iterator, self._collection, **asked)
        found: list[int] = []
        try:
            while rows := self._asked(pages.next):
                found += [row["document_id"] for row in rows]
        finally:
            pages.close()
        return np.asarray(found, dtype=np.int64)

    def drop(self, document_ids: Ids) -> None:
        """Delete the vectors of these documents."""
        for start in range(0, len(document_ids), BATCH):
            part = document_ids[start : start + BATCH].tolist()
            self._asked(self._client.delete, self._collection, ids=part)

    def release(self) -> None:
        """Make the server unload the collection's index until the collection is opened again; its vectors stay."""
        self._asked(self._client.release_collection, self._collection)

    def read(self, document_ids: Ids) -> tuple[Ids, Matrix]:
        """See Vectors.read."""
        rows = sorted(
            self._get(np.unique(document_ids), ["document_id", "vector"]), key=lambda row: row["document_id"]
        )
        ids = np.asarray([row["document_id"] for row in rows], dtype=np.int64)
        matrix = np.asarray([row["vector"] for row in rows], dtype=np.float16)
        return ids, matrix.reshape(len(rows), self._dimensions)

    def nearest(self, query: Vector, among: Ids, limit: int) -> tuple[Ids, Scores]:
        """See Vectors.nearest."""
        found = self._asked(
            self._client.search,
            self._collection,
            data=[query.astype(np.float32).tolist()],
            anns_field="vector",
            filter=f"document_id in {among.tolist()}",  # Milvus Lite 3.2 has no filter_params
            limit=min(limit, len(among), MOST),
            search_params={"metric_type": "IP", "params": {"ef": min(MOST, max(1_000, 2 * limit))}},
        )[0]
        ids = np.asarray([hit["document_id"] for hit in found], dtype=np.int64)
        cosines = np.asarray([hit["distance"] for hit in found], dtype=np.float32)
        if len(ids) < limit and len(ids) < len(among):
            ids, matrix = self.read(among)
            cosines = matrix.astype(np.float32) @ query.astype(np.float32)
        order = top(np.arange(len(ids)), cosines, limit)
        return ids[order], cosines[order]

    def _get(self, wanted: Ids, fields: list[str]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH].tolist()
            rows += self._asked(self._client.get, self._collection, ids=part, output_fields=fields)
        return rows

    def _asked(self, request: Any, *arguments: Any, **options: Any) -> Any:
        """The answer to a request. No message shows the address, which can hold a password."""
        try:
            return request(*arguments, **options)
        except self._pymilvus.exceptions.MilvusException as error:
            raise StoreUnavailable(
                f"Milvus: {_said(error, self._url)}; check RERANK_MILVUS_URL, and that Milvus runs"
            ) from None
