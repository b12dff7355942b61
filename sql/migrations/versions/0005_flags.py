"""Apply 0005_flags.sql."""

from pathlib import Path

from alembic import op

from rerank_core.storage.migrations import run_script

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create what the file says."""
    run_script(op.get_bind(), Path(__file__).parent.parent / "0005_flags.sql")
