"""Pictures and clips for the sample, drawn here: charts, flags and scenes. Nothing of them is kept in the repository.

`MEDIA=1 make demo` gives a dozen articles a picture and two a clip, with captions as a newsroom writes them.
"""

import json
import random
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

SIZE = (960, 540)
SETTING = '["captions", "pictures"]'  # RERANK_MEDIA of such a demo
FRAMES = 48  # of a clip, 12 a second

# Article → drawing and caption.
DRAWINGS: Mapping[str, tuple[str, str]] = {
    "zh-0001": ("chart", "国务院发布会现场：新一代人工智能发展规划的三步走目标"),
    "en-0001": (
        "chart",
        "Targets of China's artificial intelligence development plan for 2020, 2025 and 2030",
    ),
    "en-0005": ("phone", "The new iPhone in three sizes, with the larger battery"),
    "en-0011": ("chart", "The Federal Reserve's interest rate since 2022"),
    "en-0012": ("flag", "The flag above the Bank of Canada, which holds its key rate"),
    "en-0017": ("chart", "Electric cars and petrol models sold in Europe, by month"),
    "zh-0018": ("chart", "新能源汽车月度销量与渗透率"),
    "en-0022": ("rocket", "The heavy rocket on its way to orbit"),
    "zh-0027": ("water", "洪水漫过沿江城市的街道"),
    "en-0031": ("flag", "Northgate United fans wave the club's flag"),
    "zh-0049": ("train", "西部山区首条高速铁路的列车驶出隧道"),
    "en-0053": ("chart", "Semiconductor exports before and after the controls"),
}
CLIPS: Mapping[str, tuple[str, str]] = {
    "en-0026": ("water", "Flash floods rise in a hill town, seen from a roof"),
    "en-0047": ("train", "The first high-speed train crosses the western mountains"),
}


def with_media(articles: Path, folder: Path) -> Path:
    """Draw the media into `folder`, and write the articles beside it, each naming its own; returns that file."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, list[dict[str, str]]] = {}
    for article, (what, caption) in DRAWINGS.items():
        name = f"{article}.png" if what in {"chart", "flag"} else f"{article}.jpg"
        draw(what, seed=article).save(folder / name)
        files[article] = [{"file": name, "caption": caption}]
    for article, (what, caption) in CLIPS.items() if find_spec("av") else ():
        _film(folder / f"{article}.webm", what, seed=article)
        files[article] = [{"file": f"{article}.webm", "caption": caption}]
    written = folder.parent / articles.name
    with articles.open(encoding="utf-8") as lines, written.open("w", encoding="utf-8") as made:
        for line in lines:
            fields = json.loads(line)
            media = files.get(fields["article_id"])
            made.write(
                json.dumps({**fields, **({"media": media} if media else {})}, ensure_ascii=False) + "\n"
            )
    return written


def draw(what: str, *, seed: str, at: float = 0.4) -> Image.Image:
    """A "chart", "flag", "phone", "rocket", "water" or "train". `at` is how far a moving thing is, from 0 to 1."""
    rng = random.Random(seed)
    wide, high = SIZE
    tone = tuple(rng.randrange(60, 200) for _ in range(3))
    made = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(made)
    if what == "chart":
        for place in range(12):
            tall = rng.randrange(60, 380)
            pen.rectangle((80 + place * 68, high - 60 - tall, 124 + place * 68, high - 60), fill=tone)
        pen.line((60, 40, 60, high - 60, wide - 40, high - 60), fill="black", width=3)
        return made
    if what == "flag":
        for stripe in range(3):
            colour = tuple(rng.randrange(256) for _ in range(3))
            pen.rectangle((0, stripe * high // 3, wide, (stripe + 1) * high // 3), fill=colour)
        return made
    if what == "phone":
        for place, size in enumerate((300, 350, 400)):
            left = 150 + place * 240
            pen.rounded_rectangle(
                (left, high - 60 - size, left + size // 2, high - 60),
                24,
                fill=(40, 40, 46),
                outline=tone,
                width=8,
            )
        return made
    for row in range(high):  # a sky
        pen.line((0, row, wide, row), fill=(120 + row // 6, 170 + row // 9, 235))
    pen.polygon(
        [(0, high), *((x, 330 + rng.randrange(-90, 60)) for x in range(0, wide + 1, 120)), (wide, high)],
        fill=(70, 110, 80),
    )
    if what == "rocket":
        tip = int(high * (0.7 - 0.6 * at))
        pen.polygon(
            [(470, tip), (440, tip + 60), (440, tip + 190), (500, tip + 190), (500, tip + 60)],
            fill="white",
            outline="black",
        )
        pen.polygon([(445, tip + 190), (470, tip + 280), (495, tip + 190)], fill=(250, 160, 30))
    elif what == "water":
        level = int(high * (0.95 - 0.5 * at))
        pen.rectangle((180, 250, 330, 470), fill=(190, 150, 110))
        pen.polygon([(160, 250), (255, 180), (350, 250)], fill=(150, 60, 50))
        pen.rectangle((0, level, wide, high), fill=(110, 120, 110))
    else:
        front = int(wide * at)
        pen.line((0, 430, wide, 430), fill=(60, 60, 60), width=6)
        pen.rounded_rectangle((front - 420, 370, front + 120, 428), 26, fill="white", outline=tone, width=6)
    return made


def _film(file: Path, what: str, *, seed: str) -> None:
    """A clip in which the drawing moves: WebM, VP9."""
    import av

    to_frame: Any = av.VideoFrame.from_image
    with av.open(str(file), "w", format="webm") as made:
        stream = made.add_stream("libvpx-vp9", rate=12, options={"deadline": "realtime", "cpu-used": "8"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.gop_size = 6
        for number in range(FRAMES):
            made.mux(stream.encode(to_frame(draw(what, seed=seed, at=number / FRAMES))))
        made.mux(stream.encode())
