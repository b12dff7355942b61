"""The doctor on media: whether their view keeps its contract, and what this host can decode."""

from rerank_core.operations.doctor.finding import Finding
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import media_source
from rerank_core.storage.source import Source


def check_media(settings: Settings) -> Finding | None:
    """Whether the view of media may be read, and clips can be decoded here; None if the settings use no media."""
    if not settings.media:
        return None
    view = settings.media_view
    with Source.of(settings).reading() as connection:
        media_source.check(connection, settings)
        readable = db.the(connection, "source.readable", view=view)["readable"]
    if not readable:
        advice = f"GRANT SELECT ON {view} TO the role that RERANK_DATABASE_URL or RERANK_SOURCE_URL names"
        return Finding("media", "fail", f"{view} may not be read", advice)
    found = f"{view} has every column, with its type"
    from rerank_core.prepare import clips  # a pipeline of texts alone loads no decoder

    if set(settings.media) - {"captions"} and not clips.has_decoder:
        advice = "install the extra `video` on every worker, or leave it: pictures need nothing more"
        return Finding("media", "warn", f"{found}; clips are dropped, because PyAV is not installed", advice)
    return Finding("media", "ok", found)
