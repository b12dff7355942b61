"""Names and bounds of renditions, for those who read them without a database, too."""

import re

from rerank_core.errors import CorruptError

RENDITIONS = "shared.media/"  # no pipeline's folder: its name has a dot
LONGEST_SIDE = 768  # pixels
MOST_FRAMES = 8  # of a clip

NAME = rf"{re.escape(RENDITIONS)}[0-9a-f]{{2}}/(?P<sha256>[0-9a-f]{{64}})\.(?:jpg|webp)"
_NAME = re.compile(NAME)


def rendition_path(sha256: str, *, is_clip: bool) -> str:
    """A picture that was made small, or the frames of a clip: all pipelines share them, by their content."""
    return f"{RENDITIONS}{sha256[:2]}/{sha256}.{'webp' if is_clip else 'jpg'}"


def digest_of(path: str) -> str:
    """The sha256 of a rendition, which its path says. Raises CorruptError if this is no path of a rendition."""
    found = _NAME.fullmatch(path)
    if found is None:
        raise CorruptError(f"{path[:80]!r} is no path of a rendition; correct whatever names it")
    return found["sha256"]


def is_clip(path: str) -> bool:
    """Whether a rendition has the frames of a clip."""
    return path.endswith(".webp")
