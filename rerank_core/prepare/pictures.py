"""A picture of a stranger → a small JPEG; a clip → a WebP of a few of its frames. Only a helper calls this.

Nothing of the stranger's file reaches the store but pixels: EXIF, comments, profiles, and what follows the picture are left behind.

- The content decides what a file is: neither its name nor what the source says of it does. Formats that are not taken (SVG, HEIC, HLS, PDF,
  TIFF, …) are refused by their names, and no code of theirs runs.
- Size is read from the header, before any pixel is: a file that claims too many pixels is refused.
- Of an animated picture the first frame counts. A picture that breaks off is dropped. EXIF turns the picture, and is dropped.
"""

from contextlib import suppress
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from rerank_core.prepare import clips
from rerank_core.prepare.formats import (
    LEAST_SIDE,
    MOST_BYTES,
    QUALITIES,
    Refused,
    Small,
    check_size,
    what_it_is,
)
from rerank_core.storage.rendition_names import LONGEST_SIDE

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
MOST_SCANNED = 5_000_000_000  # pixels of a JPEG times its scans; a good one has about ten
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


def load_decoders() -> None:
    """Load what the first picture needs, so that no picture pays for it, and none is loaded while nothing may be opened."""
    white = Image.new("RGB", (LEAST_SIDE, LEAST_SIDE), "white")
    for name in FORMATS:
        buffer = BytesIO()
        white.save(buffer, name)
        _small_picture(buffer.getvalue())
    clips.load_decoder()


def small(kind: str, content: bytes) -> Small:
    """What is made of a medium, a "picture" or a "video". Raises Refused, and MemoryError."""
    if not content:
        raise Refused("broken: the file is empty")
    if kind == "video":
        return clips.small(content)
    return _small_picture(content)


def _small_picture(content: bytes) -> Small:
    Image.MAX_IMAGE_PIXELS = None  # check_size asks first, and refuses less
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as picture:
            check_size(*picture.size)
            _check_scans(picture, content)
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


def _check_scans(picture: Image.Image, content: bytes) -> None:
    """Raise Refused for a JPEG whose decoder would go through its pixels again and again: a few bytes each time."""
    scans = content.count(b"\xff\xda") if picture.format in {"JPEG", "MPO"} else 1
    pixels = picture.size[0] * picture.size[1]
    if scans * pixels > MOST_SCANNED:
        raise Refused(f"too_large: it claims {scans:,} scans of {pixels:,} pixels")


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
