"""Topics and their best article from the Parquet file, by DuckDB: python tests/examples/page_duckdb.py STORE_FOLDER."""

import hashlib
import os
import sys
from pathlib import Path

import duckdb
import psycopg2

FILE = """
SELECT DISTINCT parquet_path, parquet_sha256 FROM rerank.current_topic WHERE pipeline = 'news'
"""


def page_file(folder: Path) -> Path:
    """The page's file, after its bytes were compared with what was published."""
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    with connection.cursor() as cursor:
        cursor.execute(FILE)
        path, sha256 = cursor.fetchone()
    connection.close()
    file = folder / path
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != sha256:
        raise ValueError(f"{file}: expected sha256 {sha256}, found {found}")
    return file


best = duckdb.execute(
    """
    SELECT topic, article_id, title, logit
    FROM read_parquet($file)
    WHERE ranked_by = 'model'
    QUALIFY row_number() OVER (PARTITION BY topic ORDER BY rank) = 1
    ORDER BY topic
    """,
    {"file": str(page_file(Path(sys.argv[1])))},
)
for topic, article_id, title, logit in best.fetchall():
    print(topic, article_id, title, f"{logit:.3f}", sep="\t")
