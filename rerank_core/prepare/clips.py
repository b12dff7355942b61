"""A clip of a stranger → a WebP of at most MOST_FRAMES of its key frames, evenly spaced. Only a helper calls this.

PyAV decodes, from bytes in memory: no protocol is allowed, so that nothing inside a clip can name a file or an address. Two containers and
five codecs are taken, by name: a playlist is never tried as a clip. PyAV is the extra `video`. Its wheel contains FFmpeg with libx264
and libx265, which are under the GPL: whoever passes that wheel on has to follow the GPL; using it asks for nothing.
"""

from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pkgutil import walk_packages
from typing import Any

from PIL import Image

from rerank_core.prepare.formats import (
    MOST_BYTES,
    QUALITIES,
    Refused,
    Small,
    check_size,
    container,
    what_it_is,
)
from rerank_core.storage.rendition_names import LONGEST_SIDE, MOST_FRAMES

CODECS = {"h264", "hevc", "vp8", "vp9", "av1", "libdav1d", "libvpx", "libvpx-vp9"}
MOST_KEYS = 20_000  # key frames of a clip that are counted; an hour has about 3,600
FRAME_MILLISECONDS = 1_000  # that a reader sees each frame

has_decoder = find_spec("av") is not None


def load_decoder() -> None:
    """Load all of PyAV, if it is installed: it imports its own parts late, when no file may be opened any more."""
    if has_decoder:
        import av

        for part in walk_packages(av.__path__, "av."):
            if not part.name.endswith("__main__"):
                import_module(part.name)


def small(content: bytes) -> Small:
    """What is made of a clip. Raises Refused, and MemoryError."""
    form = container(content)
    if form is None:
        raise Refused(f"format: it is {what_it_is(content)}; clips are taken as MP4 or WebM")
    if not has_decoder:
        raise Refused("no_decoder: clips need the extra `video`, which is not installed here")
    import av

    try:
        with av.open(
            BytesIO(content), format=form, container_options={"protocol_whitelist": ""}, metadata_errors="replace"
        ) as opened:  # fmt: skip
            frames = list(_frames(opened))
    except (Refused, MemoryError):
        raise
    except Exception as error:  # a decoder raises what it likes
        raise Refused(f"broken: {type(error).__name__} while it was decoded") from error
    if not frames:
        raise Refused("broken: it has no frame that can be decoded")
    return _encoded(frames)


def _frames(opened: Any) -> Iterator[Image.Image]:
    if not opened.streams.video:
        raise Refused("format: it has no moving picture")
    stream = opened.streams.video[0]
    codec = stream.codec_context
    if codec is None or codec.name not in CODECS:
        raise Refused(f"format: its codec {codec.name if codec else 'unknown'} is not taken")
    check_size(codec.width, codec.height)
    codec.thread_type, codec.thread_count, codec.skip_frame = "NONE", 1, "NONKEY"
    keys = sorted({packet.pts for packet in _key_packets(opened, stream)})
    wanted = [keys[(2 * place + 1) * len(keys) // (2 * MOST_FRAMES)] for place in range(MOST_FRAMES)]
    for pts in dict.fromkeys(wanted if keys else []):
        opened.seek(pts, stream=stream, backward=True)
        with suppress(StopIteration):
            frame = next(opened.decode(stream))
            check_size(frame.width, frame.height)
            scale = min(1.0, LONGEST_SIDE / max(frame.width, frame.height))
            width, height = (max(1, round(side * scale)) for side in (frame.width, frame.height))
            shown = frame.reformat(width=width, height=height, format="rgb24").to_image()
            # A lying matrix asks for other angles.
            yield shown.rotate(round(frame.rotation / 90) * 90, expand=True)


def _key_packets(opened: Any, stream: Any) -> Iterator[Any]:
    found = 0
    for packet in opened.demux(stream):
        if packet.is_keyframe and packet.pts is not None:
            yield packet
            found += 1
            if found == MOST_KEYS:
                return


def _encoded(frames: list[Image.Image]) -> Small:
    """The frames as WebP: all of the size of the first."""
    first = frames[0]
    rest = [frame if frame.size == first.size else frame.resize(first.size) for frame in frames[1:]]
    for quality in QUALITIES:
        buffer = BytesIO()
        first.save(
            buffer,
            "WEBP",
            save_all=True,
            append_images=rest,
            duration=FRAME_MILLISECONDS,
            loop=0,
            quality=quality,
            method=1,
        )
        if buffer.tell() <= MOST_BYTES * len(frames):
            break
    with Image.open(buffer, formats=["WEBP"]) as made:  # equal frames have become one
        return Small(buffer.getvalue(), *made.size, frames=getattr(made, "n_frames", 1))
