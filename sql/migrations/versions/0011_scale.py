"""Apply 0011_scale.sql."""

from pathlib import Path

from alembic import op

from rerank_core.storage.migrations import run_script

revision = "0011"
down_revision = "0009"


def upgrade() -> None:
    """Create what the file says."""
    run_script(op.get_bind(), Path(__file__).parent.parent / "0011_scale.sql")
