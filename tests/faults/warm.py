"""Imported by the process that tries are forked from: the library, and what it loads when it is first used."""

from contextlib import suppress
from importlib import import_module

from sqlalchemy import create_engine

import rerank_core.pipeline
from faults import attempt, controls, points, stub, traffic  # noqa: F401
from rerank_core.models import scorers  # noqa: F401
from rerank_core.prepare import documents, terms

for name in (
    "bm25s",
    "numba",
    "pandas",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "scipy.sparse",
):
    with suppress(ImportError):  # a library that is no longer used costs nothing
        import_module(name)
create_engine("postgresql+psycopg2://").dialect  # noqa: B018
documents.to_document(title="solar power", summary=None, body="solar power and wind", lang="en")
list(terms.terms("solar power", lang="en"))
assert rerank_core.pipeline.STAGES
