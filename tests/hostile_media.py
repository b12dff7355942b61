"""Hostile media, made by code from a seed: bombs, cut files, headers that lie, polyglots, endless animations, playlists."""

import io
import random
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec

from made_media import clip, picture
from PIL import Image

TRAP = "/etc/hostname"  # a file that a playlist, a list or a reference asks for
URL = "http://127.0.0.1:9/x"


def png(
    width: int, height: int, *, data: bytes = b"", chunks: bytes = b"", depth: int = 8, colour: int = 2
) -> bytes:
    """A PNG whose header says what it likes."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunks + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def endless_gif(frames: int) -> bytes:
    """A GIF of so many frames of 2,000 × 2,000 pixels that repeats for ever."""
    buffer = io.BytesIO()
    Image.new("P", (2000, 2000)).save(buffer, "GIF")
    single = buffer.getvalue()
    body = single[single.index(b"\x2c") : -1]
    return (
        single[: single.index(b"\x2c")] + b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0" + body * frames + b"\x3b"
    )


@cache
def _good() -> tuple[tuple[str, bytes], ...]:
    found = [
        ("picture", picture(form=form, size=(320, 200))) for form in ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
    ]
    if find_spec("av"):
        found += [("video", clip(frames=12, size=(160, 90)))]
        found += [("video", clip(codec="libx264", form="mp4", frames=12, size=(160, 90)))]
    return tuple(found)


def fixed() -> Iterator[tuple[str, bytes]]:
    """Kind and content of what was thought of."""
    zeros = zlib.compress(bytes(64 << 20), 9)
    yield "picture", png(50_000, 50_000, data=zeros)
    yield "picture", png(7_000, 7_000, data=zeros)  # within the limit of pixels
    yield "picture", png(0, 0)
    yield "picture", png(2**31 - 1, 1, data=b"x")
    yield "picture", png(640, 360, data=zlib.compress(b"too short"))
    yield (
        "picture",
        png(640, 360, chunks=_chunk(b"zTXt", b"a\0\0" + zeros) + _chunk(b"iCCP", b"a\0\0" + zeros)),
    )
    yield "picture", png(640, 360, depth=16, colour=6, data=zlib.compress(bytes(640 * 360 * 9), 1))
    yield "picture", endless_gif(3_000)
    for name, body in (
        (
            "svg",
            f"<svg xmlns='http://www.w3.org/2000/svg'><image href='{URL}'/><image href='file://{TRAP}'/></svg>",
        ),
        ("svg", f'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file://{TRAP}">]><svg>&x;</svg>'),
        (
            "hls",
            f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\n{URL}\n#EXTINF:1,\nfile://{TRAP}\n#EXT-X-ENDLIST",
        ),
        ("concat", f"ffconcat version 1.0\nfile '{TRAP}'\n"),
        ("dash", f'<?xml version="1.0"?><MPD><BaseURL>{URL}</BaseURL></MPD>'),
        ("pdf", "%PDF-1.7\n1 0 obj<</URI(" + URL + ")>>endobj"),
        ("eps", f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n({TRAP}) run"),
        ("mvg", f"push graphic-context\nimage over 0,0 0,0 'url({URL})'"),
        ("html", f"<html><img src='{URL}'></html>"),
    ):
        yield "picture", body.encode()
        yield "video", body.encode()
        yield "video", b"\0\0\0\x18ftypmp42" + body.encode() + name.encode()
    for head in (
        b"",
        b"\0",
        b"GIF89a",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\xff\xff\xff\xffWEBP",
        b"\x1a\x45\xdf\xa3",
    ):
        yield "picture", head
        yield "video", head
    for head in (
        b"\0\0\0\x18ftypheic",
        b"\0\0\0\x1cftypavif" + bytes(16),
        b"II*\0" + bytes(99),
        b"MM\0*" + bytes(99),
    ):
        yield "picture", head
        yield "video", head
    yield (
        "picture",
        picture() + b"PK\x03\x04" + b"<script>alert(1)</script>",
    )  # a polyglot: its pixels are a picture's
    yield "picture", b"GIF89a/*" + b"\0" * 20 + b"*/=1;alert(1)"
    yield (
        "picture",
        b"BM" + struct.pack("<IHHI", 2**31, 0, 0, 54) + struct.pack("<IiiHHI", 40, 30_000, 30_000, 1, 24, 0),
    )
    exif = Image.Exif()
    exif[0x0112] = 99
    yield "picture", picture(exif=exif.tobytes() + b"\xff" * 60_000)
    yield "picture", picture(comment=b"x" * 60_000)


def drawn(number: int, *, seed: int = 20_261_129) -> Iterator[tuple[str, bytes]]:
    """Kind and content of `number` files: those that were thought of, then good files cut, changed and mixed."""
    rng = random.Random(seed)
    thought_of = list(fixed())
    yield from thought_of[:number]
    for _ in range(number - len(thought_of)):
        kind, content = rng.choice(_good())
        match rng.randrange(5):
            case 0:
                content = content[: rng.randrange(len(content))]
            case 1 | 2:
                changed = bytearray(content)
                for _ in range(rng.choice((1, 4, 30))):
                    changed[rng.randrange(min(len(changed), rng.choice((40, 400, 1 << 30))))] = rng.randrange(
                        256
                    )
                content = bytes(changed)
            case 3:
                start = rng.randrange(len(content))
                content = content[:start] + rng.choice(_good())[1][start:]
            case 4:
                kind = rng.choice(("picture", "video"))
                content = rng.randbytes(rng.randrange(12)) + content
        yield kind, content
