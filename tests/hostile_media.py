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
    for comments in (
        b"<!---->" * 500,
        b"<!--" * 900,
        b"<?xml" + b"<!DOCTYPE svg" * 300,
        b"<!-- -->" * 400 + b"<svg/>",
    ):
        yield "picture", comments  # a pattern may go through them in many ways
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
    yield from siblings()


def siblings() -> Iterator[tuple[str, bytes]]:
    """Kind and content of files that are nearly right, or misuse what a format permits."""
    zeros = zlib.compress(bytes(8 << 20), 9)
    small = zlib.compress(bytes(64 * (1 + 64 * 3)))
    for text in (b"iTXt" + b"a\0\1\0\0\0" + zeros, b"zTXt" + b"a\0\0" + zeros, b"eXIf" + _looping_exif()):
        chunk = _chunk(text[:4], text[4:])
        yield "picture", png(64, 64, data=small, chunks=chunk * 12)
        yield "picture", png(64, 64, data=small)[:-12] + chunk * 12 + _chunk(b"IEND", b"")
    frames = _chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)) + _chunk(
        b"fcTL", struct.pack(">6I", 0, 64, 64, 0, 0, 0) + b"\0\1\0\1\0\0"
    )
    yield "picture", png(64, 64, data=small, chunks=frames)
    yield "picture", png(64, 64, chunks=frames, data=small) + png(64, 64, data=small) * 3
    for depth, colour, length, clear in (
        (16, 0, 128, b"\0\0"),
        (16, 2, 384, b"\0" * 6),
        (1, 3, 8, b"\0"),
        (8, 3, 64, b"\0\xff"),
    ):
        chunks = _chunk(b"PLTE", b"\1\2\3\4\5\6") if colour == 3 else b""
        data = zlib.compress(bytes(64 * (1 + length)))
        yield (
            "picture",
            png(64, 64, depth=depth, colour=colour, chunks=chunks + _chunk(b"tRNS", clear), data=data),
        )
    yield "picture", png(64, 64, depth=8, colour=3, data=zlib.compress(b"\0" + b"\xff" * 64))  # no palette

    good = picture(size=(320, 200))
    for segment in (
        b"\xff\xe1" + _segment(b"Exif\0\0" + _looping_exif()),
        b"\xff\xe1" + _segment(b"Exif\0\0MM\0*" + b"\xff" * 40),
        b"\xff\xee" + _segment(b"Adobe\0d\0\0\0\0\2"),  # a transform of four colours, and there are three
        b"\xff\xe2" + _segment(b"ICC_PROFILE\0\1\xff" + b"\0" * 60_000),
        b"\xff\xe2" + _segment(b"MPF\0II*\0\x08\0\0\0" + b"\1\0\1\xb0\7\0\4\0\0\0" + b"\xff" * 40),
    ):
        yield "picture", good[:2] + segment * 40 + good[2:]
    yield "picture", b"\xff\xd8" + b"II*\0\x08\0\0\0" + good  # TIFF behind the mark of a JPEG
    for width, height in ((65_535, 65_535), (65_535, 700), (0, 9)):
        start = good.index(b"\xff\xc0")
        yield "picture", good[: start + 5] + struct.pack(">HH", height, width) + good[start + 9 :]
    yield "picture", many_scans(4_000)
    buffer = io.BytesIO()
    Image.new("CMYK", (64, 64)).save(buffer, "JPEG")
    yield "picture", buffer.getvalue()
    yield "picture", buffer.getvalue().replace(b"Adobe\0d\0\0\0\0\0", b"Adobe\0d\0\0\0\0\1")

    gif = picture(form="GIF", size=(64, 64))
    place = gif.index(b"\x2c", 13 + (6 << (gif[10] & 7)))  # behind the palette
    for left, top, width, height in ((60_000, 60_000, 5000, 5000), (1000, 1000, 64, 64), (0, 0, 0, 0)):
        yield "picture", gif[: place + 1] + struct.pack("<4H", left, top, width, height) + gif[place + 9 :]
    buffer = io.BytesIO()
    frames_of = [Image.new("RGB", (64, 64), (shade, 0, 0)) for shade in range(200)]
    frames_of[0].save(buffer, "WEBP", save_all=True, append_images=frames_of[1:])
    yield "picture", buffer.getvalue()
    yield (
        "picture",
        buffer.getvalue().replace(
            b"VP8X\x0a\0\0\0\x02\0\0\0\x3f\0\0\x3f\0\0", b"VP8X\x0a\0\0\0\x02\0\0\0\xff\x3f\0\xff\x3f\0"
        ),
    )
    avif = picture(form="AVIF", size=(320, 200))
    size = avif.index(b"ispe") + 8
    for width, height in ((60_000, 60_000), (7_000, 7_000), (0, 1)):
        yield "picture", avif[:size] + struct.pack(">II", width, height) + avif[size + 8 :]
    yield from _clips(good)


def _segment(data: bytes) -> bytes:
    return struct.pack(">H", len(data) + 2) + data


def _looping_exif() -> bytes:
    """EXIF whose directory is its own next directory, and whose sub-directories are itself."""
    pointers = b"".join(struct.pack("<HHII", tag, 4, 1, 8) for tag in (0x8769, 0x8825, 0xA005))
    return b"II*\0" + struct.pack("<IH", 8, 3) + pointers + struct.pack("<I", 8)


def many_scans(number: int, *, size: tuple[int, int] = (6000, 6000)) -> bytes:
    """A progressive JPEG of many pixels, whose last scan comes again and again: each makes a decoder go through all blocks."""
    plain = io.BytesIO()
    Image.new("L", (64, 64)).save(plain, "JPEG", progressive=True)
    content = plain.getvalue()
    frame, scan = content.index(b"\xff\xc2"), content.rindex(b"\xff\xda")
    head = content[: frame + 5] + struct.pack(">HH", size[1], size[0]) + content[frame + 9 : scan]
    return head + content[scan:-2] * number + b"\xff\xd9"


def _clips(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Clips that name files, lie about time and size, or are something else."""
    yield "video", good
    if not find_spec("av"):
        return
    import av

    moving = clip(codec="libx264", form="mp4", frames=12, size=(160, 90))
    yield "picture", moving
    for name, place, data in (
        (b"mdhd", 12, bytes(4)),  # no time scale
        (b"mvhd", 12, bytes(4)),
        (b"tkhd", 76, struct.pack(">II", 2**31, 2**31)),
        (b"avc1", 24, struct.pack(">HH", 65_535, 65_535)),
        (b"stsz", 8, struct.pack(">I", 2**31 - 1)),
        (b"stco", 4, struct.pack(">I", 2**32 - 1)),
        (b"elst", 4, struct.pack(">III", 2**32 - 1, 2**32 - 1, 2**31)),
        (b"stts", 4, struct.pack(">III", 2**32 - 1, 2**32 - 1, 2**32 - 1)),
    ):
        found = moving.index(name) + 4 + place
        yield "video", moving[:found] + data + moving[found + len(data) :]
    for kind, where in (
        (b"url ", URL.encode() + b"\0"),
        (b"url ", f"file://{TRAP}\0".encode()),
        (b"alis", TRAP.encode()),
    ):
        entry = struct.pack(">I", 12 + len(where)) + kind + bytes(4) + where
        yield (
            "video",
            _with_box(
                moving, [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"], bytes(7) + b"\1" + entry
            ),
        )
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as made:
        made.add_attachment("run.sh", "application/x-sh", b"#!/bin/sh\n" * 9000)
        stream = made.add_stream("libvpx", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(3):
            made.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        made.mux(stream.encode())
    yield "video", buffer.getvalue()
    yield "picture", buffer.getvalue()


def _with_box(content: bytes, path: list[bytes], body: bytes) -> bytes:
    """An MP4 whose box at this path has another body; the boxes around it grow."""
    made, place = b"", 0
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        name, inside = content[place + 4 : place + 8], content[place + 8 : place + length]
        if name == path[0]:
            inside = _with_box(inside, path[1:], body) if path[1:] else body
        made += struct.pack(">I", 8 + len(inside)) + name + inside
        place += length
    return made


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
