"""Apply 0004_pointer_function.sql."""

from pathlib import Path

from alembic import op

from rerank_core.storage.migrations import run_script

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create what the file says."""
    run_script(op.get_bind(), Path(__file__).parent.parent / "0004_pointer_function.sql")
