"""The doctor's check of what arrives: sources, languages or the whole intake that are silent."""

from rerank_core.observe import arrivals
from rerank_core.operations.doctor.finding import Finding
from rerank_core.settings import Settings
from rerank_core.storage import migrations
from rerank_core.storage.database import Database

NAMED = 5
ADVICE = "see whether its feed, its crawler or its login is broken; if it may be silent, name it in RERANK_QUIET_SOURCES"


def check_silence(settings: Settings) -> Finding:
    """Whether a stream of articles has sent nothing for longer than it used to, at the latest run."""
    database = Database(settings.database_url)
    if not migrations.is_newest(database):
        return Finding("silence", "warn", "not checked: the schema is another version", "repair that first")
    with database.transaction(read_only=True) as connection:
        looked = arrivals.latest(connection, settings.pipeline)
    if looked is None:
        return Finding("silence", "ok", f"no run of pipeline {settings.pipeline} has looked yet")
    until, silent = looked
    as_of = f"as of {until:%Y-%m-%d %H:%M} UTC"
    if not silent:
        return Finding("silence", "ok", f"no source, no language and no volume is silent, {as_of}")
    more = f"; and {len(silent) - NAMED} more" if len(silent) > NAMED else ""
    said = "; ".join(each.sentence for each in silent[:NAMED])
    return Finding("silence", "warn", f"{said}{more} ({as_of})", ADVICE)
