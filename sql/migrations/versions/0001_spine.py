"""Apply 0001_spine.sql."""

from pathlib import Path

from alembic import op

from rerank_core.storage.migrations import run_script

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create what the file says."""
    run_script(op.get_bind(), Path(__file__).parent.parent / "0001_spine.sql")
