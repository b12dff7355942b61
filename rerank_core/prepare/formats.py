"""What pictures and clips have in common: what a file is, what is too large, what was made of it, and why it is refused."""

import re
from dataclasses import dataclass

MOST_PIXELS = 50_000_000
LEAST_SIDE = 32  # pixels; smaller pictures count readers, or are bullets
MOST_BYTES = 256 << 10  # of one picture or frame
QUALITIES = (85, 60, 35, 10)  # the first that is not too large

# What a file is that is not taken, by its beginning.
_OTHERS = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), name)
    for pattern, name in (
        (rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml.{0,2000}?)?(?:<!--(?:(?!-->).){0,2000}-->\s*)*(?:<!DOCTYPE svg.{0,2000}?)?<svg", "SVG"),
        (rb"\x1f\x8b", "gzip, maybe compressed SVG"),
        (rb".{4}ftyp(?:hei|hev|mif1|msf1)", "HEIC"),
        (rb"(?:\xef\xbb\xbf)?\s*#EXTM3U", "an HLS playlist"),
        (rb"(?:\xef\xbb\xbf)?\s*ffconcat", "a list of files"),
        (rb".{0,4}.{0,1020}%PDF-", "PDF"),
        (rb"II[*+]\0|MM\0[*+]", "TIFF"),
        (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript"),
        (rb"BM", "BMP"),
        (rb"8BPS", "Photoshop"),
        (rb"\0\0\x01\0", "an icon"),
        (rb"\xff\x0a|\0\0\0\x0cJXL", "JPEG XL"),
        (rb"\0\0\0\x0cjP|\xff\x4f\xff\x51", "JPEG 2000"),
        (rb"\s*<(?:!DOCTYPE html|html|head|body|script)", "a web page"),
        (rb"\s*<\?xml", "XML"),
        (rb"PK\x03\x04", "ZIP"),
        (rb"RIFF.{4}AVI |\0\0\x01\xba|FLV|OggS|\x47.{187}\x47", "a video of another container than MP4 and WebM"),
        (rb".{4}ftyp|\x1a\x45\xdf\xa3", "a video"),
        (rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF.{4}WEBP", "a picture"),
    )
)  # fmt: skip


class Refused(Exception):
    """The medium is dropped. The message is the reason: a code for its counter, a colon, and a sentence."""


@dataclass(frozen=True)
class Small:
    """What was made of a medium."""

    content: bytes  # JPEG, or WebP if it is a clip
    width: int  # pixels
    height: int
    frames: int


def what_it_is(content: bytes) -> str:
    """The name of a format that is not taken, by how the file begins."""
    head = content[:4096]
    return next((name for pattern, name in _OTHERS if pattern.match(head)), "of no format that is known here")


def container(content: bytes) -> str | None:
    """The demuxer of a clip that is taken, by the container's own mark; None if it is another one, or no clip."""
    if content[4:8] == b"ftyp" and content[8:11] not in {b"hei", b"hev", b"mif", b"msf", b"avi"}:
        return "mp4"
    return "matroska" if content[:4] == b"\x1a\x45\xdf\xa3" else None


def check_size(width: int, height: int) -> None:
    """Raise Refused for a picture that is too large to be decoded or too small to show anything."""
    if width * height > MOST_PIXELS:
        raise Refused(f"too_large: it claims {width:,} × {height:,} pixels; {MOST_PIXELS:,} are the most")
    if min(width, height) < LEAST_SIDE:
        raise Refused(f"too_small: {width} × {height} pixels; each side needs {LEAST_SIDE}")
