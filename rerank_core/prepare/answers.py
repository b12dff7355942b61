"""What a helper may answer. A text of a stranger may have taken the helper over, so nothing but these forms is believed."""

import hashlib
from typing import Annotated

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from rerank_core.prepare.captions import LONGEST
from rerank_core.prepare.documents import MAX_TEXT, MAX_TITLE
from rerank_core.prepare.near_copies import PLACES
from rerank_core.records import Document
from rerank_core.storage.rendition_names import LONGEST_SIDE, MOST_FRAMES, rendition_path
from rerank_core.storage.renditions import Rendition

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]  # Postgres refuses NUL


class NoAnswer(Exception):
    """A helper has no answer, and is ended. The message is the reason, for the quarantine."""

    def __init__(self, reason: str, *, is_certain: bool = False) -> None:
        super().__init__(reason)
        self.is_certain = is_certain  # the article is to blame: another try would end as this one did


class Form(BaseModel):
    """A message of a helper."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Ready(Form):
    """The helper has loaded what it needs."""


class Made(Form):
    """A document. Its digest is made here, so that no helper can pass one text off as another."""

    title: Annotated[Text, Field(max_length=MAX_TITLE)]
    text: Annotated[Text, Field(max_length=MAX_TEXT)]
    lang: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,35}$")]
    terms: Text
    lang_confidence: Annotated[float, Field(ge=0, le=1)]
    flags: tuple[Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")], ...]
    signature: Annotated[Base64Bytes, Field(min_length=4 * PLACES, max_length=4 * PLACES)] | None
    letters_in: Annotated[int, Field(ge=0, lt=1 << 31)]
    letters_out: Annotated[int, Field(ge=0, lt=1 << 31)]

    def to_document(self) -> Document:
        return Document(digest=hashlib.sha256(self.text.encode("utf-8")).digest(), **dict(self))


class Prepared(Form):
    """What became of an article: it is a document, or it is refused."""

    document: Made | None = None
    refused: Annotated[Text, Field(min_length=1, max_length=500)] | None = None  # reason, for the quarantine
    failure: Annotated[str, Field(max_length=4_000)] | None = None  # traceback of a parser that broke
    counts: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")], Annotated[int, Field(ge=0)]] = {}


class Looked(Form):
    """What became of a medium: it is made small, or it is refused; and its clean caption."""

    caption: Annotated[Text, Field(max_length=LONGEST)]
    refused: Annotated[Text, Field(pattern=r"^[a-z_]{1,40}: ", max_length=500)] | None = None
    content: Annotated[Base64Bytes, Field(max_length=4 << 20)] | None = None
    width: Annotated[int, Field(ge=1, le=LONGEST_SIDE)] = 1
    height: Annotated[int, Field(ge=1, le=LONGEST_SIDE)] = 1
    frames: Annotated[int, Field(ge=1, le=MOST_FRAMES)] = 1

    def to_rendition(self, *, is_clip: bool) -> Rendition | None:
        """The rendition, named here by its content. None if there is none, or if it does not begin as its kind does."""
        content = self.content or b""
        begins = content[:4] + content[8:12] == b"RIFFWEBP" if is_clip else content[:3] == b"\xff\xd8\xff"
        if not begins:
            return None
        path = rendition_path(hashlib.sha256(content).hexdigest(), is_clip=is_clip)
        return Rendition(path, content, self.width, self.height, self.frames)


class Traced(Form):
    """What every step did to an article."""

    steps: dict[str, list[str]]  # step → a line for each change, in order; no line: the step changed nothing
    digest: (
        Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    )  # of the document; null: the article is refused
