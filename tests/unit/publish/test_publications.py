"""A publication that is published again has the rows of the old one, column by column."""

import re

from rerank_core.storage import schemas
from rerank_core.storage.database import statement_texts


def test_the_statement_reads_the_columns_of_a_ranking_in_their_order() -> None:
    sql = statement_texts()["publications.again_rows"]
    columns = sql.partition("SELECT ")[2].partition("\nFROM ")[0]
    columns = re.sub(r"\([^()]*(\([^()]*\))?[^()]*\)", "", columns)  # commas within an expression
    names = [re.split(r"\s+AS\s+|\.", column.strip())[-1] for column in columns.split(",")]
    assert names == schemas.RANKING.names
