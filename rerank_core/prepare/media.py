"""The media of the articles that are prepared: each picture and clip becomes a rendition, or is dropped with a reason.

1. Read what the claim kept of each article's media (`listed`). Nothing is fetched from any URL, ever.
2. Read a medium's bytes: from the claim, or from a file below the one folder of the store that the settings name. They
   must have the digest that the source gives (`_content`).
3. Have a helper make it small, with the limits of time and memory of an article (`Desk.look`).
4. Write the renditions and what became of each medium in the transaction that keeps the document (`save`).

A medium that is dropped never costs its article anything. Each medium of an article lands in one counted bucket.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from rerank_core.errors import CorruptError
from rerank_core.prepare.answers import Looked, NoAnswer
from rerank_core.prepare.captions import Told
from rerank_core.prepare.formats import container
from rerank_core.prepare.messages import looked_at
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import renditions
from rerank_core.storage.database import Database
from rerank_core.storage.renditions import Rendition
from rerank_core.storage.store import Store

USED = "used"


@dataclass(frozen=True)
class Medium:
    """A picture or a clip of a revision, as it was claimed."""

    place: int  # among the article's media, from 1
    kind: str  # "picture" or "video", as the source says
    sha256: str  # of the content, as the source says
    path: str | None  # a file of the store, as the source says; None: the claim kept the content
    caption: str | None  # raw
    alt: str | None  # raw

    @property
    def told(self) -> Told | None:
        """What is said of it: its caption, or what stands for it."""
        said = self.caption if self.caption and self.caption.strip() else self.alt
        return (self.kind, said) if said and said.strip() else None


@dataclass(frozen=True)
class Seen:
    """What became of a medium."""

    place: int
    outcome: str  # USED, or a code, a colon and why it was dropped
    caption: str | None  # clean; None: it has none
    rendition: Rendition | None

    @property
    def bucket(self) -> str:
        """The counter that it lands in."""
        return "media_" + self.outcome.partition(":")[0]


Ask = Callable[[bytes], Looked | NoAnswer]


@dataclass(frozen=True)
class Desk:
    """Where media are looked at; None of its methods writes."""

    database: Database
    store: Store
    settings: Settings

    @property
    def shows(self) -> bool:
        """Whether pictures are made small."""
        return bool({"pictures", "score"} & set(self.settings.media))

    def for_model(self, seen: Sequence[Seen]) -> tuple[str, ...]:
        """Paths of the renditions that the model reads with the article; none if it reads texts alone."""
        if "score" not in self.settings.media:
            return ()
        return tuple(each.rendition.path for each in seen if each.rendition)

    def told(self, media: Sequence[Medium]) -> tuple[Told, ...] | None:
        """What joins the article's text; None if captions do not."""
        if "captions" not in self.settings.media:
            return None
        return tuple(medium.told for medium in media if medium.told)

    def listed(self, connection: Connection, revision_ids: Sequence[int]) -> Mapping[int, tuple[Medium, ...]]:
        """The media of these revisions that nobody has looked at, in their order."""
        found: dict[int, list[Medium]] = defaultdict(list)
        for row in db.rows(connection, "media.listed", revision_ids=list(revision_ids)):
            values = dict(row)
            found[values.pop("revision_id")].append(Medium(**values))
        return {revision_id: tuple(media) for revision_id, media in found.items()}

    def look(self, revision_id: int, medium: Medium, ask: Ask) -> Seen:
        """What becomes of a medium. Raises StoreUnavailable, DatabaseUnavailable, HelperUnavailable."""
        content = self._content(revision_id, medium) if self.shows else "unused: pictures are not shown"
        return _seen(medium.place, medium.kind, content, (medium.told or ("", None))[1], ask)

    def _content(self, revision_id: int, medium: Medium) -> bytes | str:
        """The bytes of a medium, or why they are not used."""
        if medium.path is None:
            with self.database.transaction(read_only=True) as connection:
                row = db.one(connection, "media.content", revision_id=revision_id, place=medium.place)
            content = None if row is None or row["content"] is None else bytes(row["content"])
            if content is None:
                return _too_large(self.settings)
        else:
            prefix = self.settings.media_prefix
            if not medium.path.startswith(prefix):
                return f"path: it is not below {prefix} (RERANK_MEDIA_PREFIX)"
            try:
                found = self.store.read_delivered(medium.path, self.settings.media_mib << 20)
            except CorruptError:
                return "path: it is no path of a store"
            if found is None:
                return "missing: the store has no such file, a link is in the way, or it may not be read"
            content = found
        if len(content) > self.settings.media_mib << 20:
            return _too_large(self.settings)
        if hashlib.sha256(content).hexdigest() != medium.sha256:
            return "altered: its content has not the sha256 that the source gives"
        return content


def look_at_file(content: bytes, settings: Settings, ask: Ask) -> Seen:
    """What becomes of a file that somebody gives by hand: what would become of it as an article's medium.

    Raises HelperUnavailable.
    """
    within = content if len(content) <= settings.media_mib << 20 else _too_large(settings)
    return _seen(1, "video" if container(content) else "picture", within, None, ask)


def _seen(place: int, kind: str, content: bytes | str, caption: str | None, ask: Ask) -> Seen:
    """What a helper makes of a medium and its raw caption. The `content` is a text if it is not used: that says why."""
    answer = ask(looked_at(kind, content if isinstance(content, bytes) else None, caption))
    if isinstance(answer, NoAnswer):
        return Seen(place, str(answer), None, None)
    shown_caption = answer.caption or None
    if isinstance(content, str):
        return Seen(place, content, shown_caption, None)
    rendition = answer.to_rendition(is_clip=kind == "video")
    outcome = USED if rendition else answer.refused or "unreadable: its helper made nothing of it"
    return Seen(place, outcome, shown_caption, rendition)


def _too_large(settings: Settings) -> str:
    return f"too_large: it has more than {settings.media_mib} MiB (RERANK_MEDIA_MIB)"


def save(connection: Connection, store: Store, seen: Mapping[int, Sequence[Seen]]) -> None:
    """Keep what became of the media of some revisions, with their renditions: revision → media."""
    every = [(revision_id, each) for revision_id, media in seen.items() for each in media]
    made = {each.rendition.path: each.rendition for _, each in every if each.rendition}
    renditions.keep(connection, store, made)
    if every:
        db.execute(
            connection,
            "media.looked",
            revision_ids=[revision_id for revision_id, _ in every],
            places=[each.place for _, each in every],
            outcomes=[each.outcome for _, each in every],
            captions=[each.caption for _, each in every],
            paths=[each.rendition.path if each.rendition else None for _, each in every],
        )
