"""Apply 0001_schema.sql, the whole schema."""

from pathlib import Path

from alembic import op

from rerank_core.storage.migrations import run_script

revision = (
    "0019"  # of the last of the steps that this file stands for: a database that took them all is up to date
)
down_revision = None


def upgrade() -> None:
    """Create what the file says."""
    run_script(op.get_bind(), Path(__file__).parent.parent / "0001_schema.sql")
