"""Apply 0001_spine.sql."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create what the file says."""
    op.get_bind().exec_driver_sql(Path(__file__).parent.parent.joinpath("0001_spine.sql").read_text("utf-8"))
