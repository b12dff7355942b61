"""What readers did with each row of each page, as arrays: what the report and the examples are made from."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from rerank_core.learning.positions import Floats, Ints, Seen
from rerank_core.storage import schemas
from rerank_core.storage.copy import copy_out

MOST_ROWS = 2_000_000  # the newest; older ones are left out
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

_SCHEMA = pa.schema(
    [
        ("topic", pa.string()),
        ("topic_version_id", pa.int64()),
        ("document_id", pa.int64()),
        ("rank", pa.int64()),
        ("as_of", schemas.TIME),
        ("age_hours", pa.float64()),
        ("began_at", schemas.TIME),
        ("logit", pa.float64()),
        ("ranked_by", pa.string()),
        ("source", pa.string()),
        ("scorer_id", pa.int64()),
        ("impressions", pa.int64()),
        ("opens", pa.int64()),
        ("hides", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Named:
    """A column of texts: a name for each number, and the number of each row; -1 for null."""

    names: list[str]
    of_row: Ints


@dataclass(frozen=True)
class ReaderRows:
    """Rows of pages that somebody saw and the model ranked, as arrays of one length, newest pages first."""

    topic: Named
    source: Named
    version: Ints  # topic_version_id
    document: Ints  # document_id of the text that was scored
    scorer: Ints
    rank: Ints
    as_of: Ints  # microseconds since 1970, UTC
    age: Floats  # hours
    began_at: Ints  # microseconds since 1970, UTC
    logit: Floats
    impressions: Ints  # over 0; with an open, at least as many
    opens: Ints
    hides: Ints
    not_by_model: int  # rows that were left out, because something else ranked them
    past_retention: int  # rows that were left out, because their publication is gone
    unseen: int  # rows that were left out, because nobody says that they were seen

    def seen(self, pair: Ints) -> Seen:
        """The rows as the curve is fitted to them; `pair` numbers the pair of each."""
        return Seen(pair, self.topic.of_row, self.rank, self.age, self.impressions, self.opens)

    def pairs(self) -> tuple[Ints, Ints]:
        """The first row of each pair (a topic version and a text), and the number of each row's pair."""
        versions = np.unique(self.version, return_inverse=True)[1]
        documents, places = np.unique(self.document, return_inverse=True)
        _, first, pair = np.unique(versions * len(documents) + places, return_index=True, return_inverse=True)
        return first.astype(np.int64), pair.astype(np.int64)


def read(connection: Connection, pipeline: str, *, since: datetime = LONG_AGO) -> ReaderRows:
    """The rows of this pipeline's pages from `since` on; of more than MOST_ROWS, the newest."""
    found = copy_out(connection, "rows.rows", _SCHEMA, pipeline=pipeline, since=since, most=MOST_ROWS)
    kept = found.filter(pc.is_valid(found["as_of"]))
    by_model = kept.filter(pc.equal(kept["ranked_by"], "model"))
    seen = by_model.filter(pc.greater(by_model["impressions"], 0))
    numbers = {
        name: _numbers(seen[name]) for name in ("rank", "impressions", "opens", "hides", "as_of", "began_at")
    }
    return ReaderRows(
        topic=_named(seen["topic"]),
        source=_named(seen["source"]),
        version=_numbers(seen["topic_version_id"]),
        document=_numbers(seen["document_id"]),
        scorer=_numbers(seen["scorer_id"]),
        age=seen["age_hours"].to_numpy(),
        logit=seen["logit"].to_numpy(),
        **numbers,
        not_by_model=kept.num_rows - by_model.num_rows,
        past_retention=found.num_rows - kept.num_rows,
        unseen=by_model.num_rows - seen.num_rows,
    )


def _numbers(column: pa.ChunkedArray) -> Ints:
    return np.asarray(pc.cast(column, pa.int64()).to_numpy(), dtype=np.int64)


def _named(column: pa.ChunkedArray) -> Named:
    coded = column.combine_chunks().dictionary_encode()
    codes = pc.fill_null(coded.indices, -1).to_numpy().astype(np.int64)
    return Named(coded.dictionary.to_pylist(), codes)


def moment(microseconds: int | npt.NDArray[np.int64]) -> datetime:
    """A time of a row, as a time."""
    return datetime.fromtimestamp(int(microseconds) / 1e6, tz=UTC)
