"""A picture of a stranger → a small JPEG; a clip → a WebP of a few of its frames. Only a helper calls this.

Nothing of the stranger's file reaches the store but pixels: EXIF, comments, profiles, and what follows the picture are left behind.

- The content decides what a file is: neither its name nor what the source says of it does. Formats that are not taken (SVG, HEIC, HLS, PDF,
  TIFF, …) are refused by their names, and no code of theirs runs.
- Size is read from the header, before any pixel is: a file that claims too many pixels is refused.
- Of an animated picture the first frame counts. A picture that breaks off is dropped. EXIF turns the picture, and is dropped.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from rerank_core.storage.renditions import LONGEST_SIDE

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
MOST_PIXELS = 50_000_000
LEAST_SIDE = 32  # pixels; smaller pictures count readers, or are bullets
MOST_BYTES = 256 << 10  # of one picture or frame
QUALITIES = (85, 60, 35, 10)  # the first that is not too large

_ORIENTATION = 0x0112  # the EXIF tag: CIPA DC-008
_TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}
# What a file is that is not taken, by its beginning.
_OTHERS = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), name)
    for pattern, name in (
        (rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml.{0,2000}?)?(?:<!--.{0,2000}?-->\s*)*(?:<!DOCTYPE svg.{0,2000}?)?<svg", "SVG"),
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


def load_decoders() -> None:
    """Load what the first picture needs, so that no picture pays for it, and none is loaded while nothing may be opened."""
    from rerank_core.prepare import clips

    white = Image.new("RGB", (LEAST_SIDE, LEAST_SIDE), "white")
    for name in FORMATS:
        buffer = BytesIO()
        white.save(buffer, name)
        _small_picture(buffer.getvalue())
    clips.load_decoder()


class Refused(Exception):
    """The medium is dropped. The message is the reason: a code for its counter, a colon, and a sentence."""


@dataclass(frozen=True)
class Small:
    """What was made of a medium."""

    content: bytes  # JPEG, or WebP if it is a clip
    width: int  # pixels
    height: int
    frames: int


def small(kind: str, content: bytes) -> Small:
    """What is made of a medium, a "picture" or a "video". Raises Refused, and MemoryError."""
    if not content:
        raise Refused("broken: the file is empty")
    if kind == "video":
        from rerank_core.prepare import clips

        return clips.small(content)
    return _small_picture(content)


def what_it_is(content: bytes) -> str:
    """The name of a format that is not taken, by how the file begins."""
    head = content[:4096]
    return next((name for pattern, name in _OTHERS if pattern.match(head)), "of no format that is known here")


def check_size(width: int, height: int) -> None:
    """Raise Refused for a picture that is too large to be decoded or too small to show anything."""
    if width * height > MOST_PIXELS:
        raise Refused(f"too_large: it claims {width:,} × {height:,} pixels; {MOST_PIXELS:,} are the most")
    if min(width, height) < LEAST_SIDE:
        raise Refused(f"too_small: {width} × {height} pixels; each side needs {LEAST_SIDE}")


def _small_picture(content: bytes) -> Small:
    Image.MAX_IMAGE_PIXELS = None  # check_size asks first, and refuses less
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as picture:
            check_size(*picture.size)
            orientation = 1
            with suppress(Exception):  # EXIF that cannot be read turns nothing
                orientation = picture.getexif().get(_ORIENTATION, 1)
            made = _flat(picture)
    except UnidentifiedImageError:
        raise Refused(
            f"format: it is {what_it_is(content)}; pictures are taken as JPEG, PNG, WebP, GIF or AVIF"
        ) from None
    except (Refused, MemoryError):
        raise
    except Exception as error:  # a decoder raises what it likes
        raise Refused(f"broken: {type(error).__name__} while it was decoded") from error
    for turn in _TURNS.get(orientation, ()):
        made = made.transpose(turn)
    return Small(encoded(made), *made.size, frames=1)


def _flat(picture: Image.Image) -> Image.Image:
    """The picture in RGB, at most LONGEST_SIDE wide and high; what is transparent becomes white."""
    picture.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # JPEG alone: it decodes fewer pixels
    if picture.mode.startswith("I;16"):
        picture = picture.point(lambda value: value / 256, "L")
    elif picture.has_transparency_data:
        clear = picture.convert("RGBA")
        clear.thumbnail((LONGEST_SIDE, LONGEST_SIDE), reducing_gap=2)
        flat = Image.new("RGB", clear.size, "white")
        flat.paste(clear, mask=clear.getchannel("A"))
        return flat
    if picture.mode == "P":  # its numbers are no brightness
        picture = picture.convert("RGB")
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), reducing_gap=2)
    return picture.convert("RGB")


def encoded(picture: Image.Image) -> bytes:
    """The picture as JPEG, with nothing but its pixels."""
    picture.info.clear()  # a comment would be written again
    for quality in QUALITIES:
        buffer = BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= MOST_BYTES:
            break
    return buffer.getvalue()
