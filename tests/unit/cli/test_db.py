"""`rerank db upgrade` may be repeated."""

from command_line import Rerank


def test_upgrade_may_be_repeated(rerank: Rerank, empty_database_url: str) -> None:
    assert "schema brought from nothing to " in rerank("db", "upgrade", database_url=empty_database_url).out
    assert " already" in rerank("db", "upgrade").out
