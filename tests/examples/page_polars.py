"""How new the articles of each topic are, from the Parquet file, by polars: python tests/examples/page_polars.py STORE_FOLDER."""

import hashlib
import io
import os
import sys
from pathlib import Path

import polars as pl
import psycopg2

FILE = """
SELECT DISTINCT parquet_path, parquet_sha256 FROM rerank.current_topic WHERE pipeline = 'news'
"""

connection = psycopg2.connect(os.environ["DATABASE_URL"])
with connection.cursor() as cursor:
    cursor.execute(FILE)
    path, sha256 = cursor.fetchone()
connection.close()

content = (Path(sys.argv[1]) / path).read_bytes()
if hashlib.sha256(content).hexdigest() != sha256:
    raise ValueError(f"{path} is not the file that was published")

age = pl.col("as_of") - pl.col("began_at")
topics = (
    pl.read_parquet(io.BytesIO(content))
    .group_by("topic")
    .agg(
        rows=pl.len(),
        new=pl.col("is_new").sum(),
        unscored=(pl.col("ranked_by") != "model").sum(),
        median_age_minutes=age.dt.total_minutes().clip(0).median(),
    )
    .sort("topic")
)
for row in topics.iter_rows():
    print(*row, sep="\t")
