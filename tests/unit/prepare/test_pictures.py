"""What becomes of one picture or clip: small, upright, and nothing but pixels."""

import io
import math
import struct

import pytest
from made_media import clip, picture
from PIL import Image

from rerank_core.prepare.formats import MOST_BYTES, Refused
from rerank_core.prepare.pictures import small
from rerank_core.storage.rendition_names import LONGEST_SIDE, MOST_FRAMES


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_each_format_that_is_taken_becomes_a_small_jpeg(form: str) -> None:
    made = small("picture", picture(size=(1200, 600), form=form))
    shown = opened(made.content)
    assert (shown.format, shown.size, made.frames) == ("JPEG", (LONGEST_SIDE, 384), 1)
    red = shown.getpixel((700, 20))
    assert red[0] > 150 > max(red[1:]), "its colour is kept"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_each_kind_of_pixel_is_understood(mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (64, 40)).save(buffer, "JPEG" if mode == "CMYK" else "PNG")
    assert opened(small("picture", buffer.getvalue()).content).size == (64, 40)


def test_what_is_transparent_becomes_white() -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(buffer, "PNG")
    assert opened(small("picture", buffer.getvalue()).content).getpixel((9, 9)) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_and_is_dropped(orientation: int) -> None:
    """The red corner of an upright picture is at the upper left, whatever way the camera was held."""
    upright = Image.new("RGB", (80, 48), "white")
    upright.paste((220, 0, 0), (0, 0, 24, 24))
    back = {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}  # transpositions that undo the turn
    held = upright
    for turn in back.get(orientation, []):
        held = held.transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "secret place"
    buffer = io.BytesIO()
    held.save(buffer, "JPEG", exif=exif, comment=b"secret comment", quality=95)
    made = small("picture", buffer.getvalue())
    shown = opened(made.content)
    assert shown.size == (80, 48)
    corner = shown.getpixel((8, 8))
    assert corner[0] > 150 > corner[1]
    assert b"secret" not in made.content
    assert not shown.getexif()


def test_a_noisy_picture_stays_within_its_bytes() -> None:
    noise = Image.effect_noise((900, 900), 120).convert("RGB")
    buffer = io.BytesIO()
    noise.save(buffer, "PNG")
    assert len(small("picture", buffer.getvalue()).content) <= MOST_BYTES


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue", "green")]
    for form in ("GIF", "WEBP", "PNG"):
        buffer = io.BytesIO()
        frames[0].save(buffer, form, save_all=True, append_images=frames[1:])
        assert opened(small("picture", buffer.getvalue()).content).getpixel((9, 9))[0] > 200


@pytest.mark.parametrize(
    ("codec", "form"),
    [
        ("libvpx-vp9", "webm"),
        ("libx264", "mp4"),
        pytest.param("libvpx", "webm", marks=pytest.mark.long),
        pytest.param("libsvtav1", "mp4", marks=pytest.mark.long),
    ],
)
def test_a_clip_becomes_evenly_spaced_frames(codec: str, form: str) -> None:
    made = small("video", clip(codec=codec, form=form, frames=80))
    shown = opened(made.content)
    assert (shown.format, made.frames, getattr(shown, "n_frames", 1)) == ("WEBP", MOST_FRAMES, MOST_FRAMES)
    widths = []
    for frame in range(MOST_FRAMES):
        shown.seek(frame)
        widths.append(sum(shown.convert("RGB").getpixel((x, 90))[0] > 120 for x in range(320)))
    assert widths == sorted(widths), "the bar grows"
    assert widths[0] < 60 < 260 < widths[-1]


@pytest.mark.parametrize(("degrees", "size"), [(90, (432, 768)), (45, (768, 432)), (30, (768, 432))])
def test_a_clip_is_turned_by_right_angles_alone(degrees: int, size: tuple[int, int]) -> None:
    content = clip(codec="libx264", form="mp4", frames=6, size=(1280, 720))
    matrix = content.index(b"tkhd") + 4 + 40
    cosine, sine = (round(of(math.radians(degrees)) * 65_536) for of in (math.cos, math.sin))
    turned = struct.pack(">9i", cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 30)
    made = small("video", content[:matrix] + turned + content[matrix + len(turned) :])
    assert (made.width, made.height) == size


@pytest.mark.parametrize(("codec", "form"), [("mpeg4", "mp4")])
def test_a_codec_that_is_not_taken_is_refused_by_name(codec: str, form: str) -> None:
    with pytest.raises(Refused, match="format: its codec mpeg4 is not taken"):
        small("video", clip(codec=codec, form=form))


def test_without_pyav_a_clip_is_refused_and_a_picture_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from rerank_core.prepare import clips

    content = clip()
    monkeypatch.setattr(clips, "has_decoder", False)
    with pytest.raises(Refused, match="no_decoder: clips need the extra `video`"):
        small("video", content)
    assert small("picture", picture()).frames == 1
