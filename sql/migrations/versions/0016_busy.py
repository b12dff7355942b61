"""Apply 0016_busy.sql."""

from pathlib import Path

from alembic import op

from rerank_core.storage.migrations import run_script

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Create what the file says."""
    run_script(op.get_bind(), Path(__file__).parent.parent / "0016_busy.sql")
