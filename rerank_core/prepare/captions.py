"""Captions: what an article's captions and alt texts say of its pictures, as lines of its document.

A line states what it is of: `Picture: The new bridge at dusk`. The lines stand before the body, so that a model which reads only the
beginning of a document reads them. They are few, so that they push little of the body out of what the model reads.
"""

import html
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from rerank_core.prepare.cleaning import LINE_STEPS, MAX_RAW, Cleaning, Tally, clean
from rerank_core.prepare.markup import TAG, is_markup

MOST_CHARACTERS = 400  # of all lines of an article, in all about a fifth of what the model reads by default
LONGEST = 200  # characters of one caption
MOST_RAW = 5_000  # characters of one caption that are read
MOST_ALTS = 16  # alt texts of a body that are read
LABELS = {"zh": {"picture": "图片：", "video": "视频："}}
ENGLISH = {"picture": "Picture: ", "video": "Video: "}

_LINE = re.compile(
    "|".join(re.escape(label) for labels in (ENGLISH, *LABELS.values()) for label in labels.values())
)

Told = tuple[str, str]  # kind of the medium ("picture" or "video"), and what is said of it

_ALT = re.compile(r"""(?<![\w-])alt\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_FILE_NAME = re.compile(r"\S+\.(?:jpe?g|png|gif|webp|avif|svg|mp4|webm)", re.IGNORECASE)


def lines(told: Sequence[Told], body: str | None, *, text: str, lang: str, cleaning: Cleaning) -> str:
    """The lines of an article's captions and of the alt texts in its raw body; "" if there are none.

    What `text` says already is left out, and so is what no reader can read.
    """
    labels, written = LABELS.get(lang, ENGLISH), dict[str, None]()
    left = MOST_CHARACTERS
    for kind, raw in (*told, *(("picture", alt) for alt in islice(alts(body), MOST_ALTS))):
        said = cleaned(raw, cleaning=cleaning)
        line = labels[kind] + said
        if not said or said in text or line in written or _FILE_NAME.fullmatch(said):
            continue
        if len(line) > left:
            break
        written[line] = None
        left -= len(line)
    return "\n".join(written)


def without(text: str) -> str:
    """A document's text without its captions, as it would be if they did not join it."""
    blocks = text.split("\n\n")
    return "\n\n".join(block for block in blocks if not all(map(_LINE.match, block.split("\n"))))


def cleaned(raw: str | None, *, cleaning: Cleaning) -> str:
    """A caption as one clean line of at most LONGEST characters; "" if a parser breaks on it: it must not cost the article."""
    try:
        line = clean(raw, cleaning=cleaning, tally=Tally(), steps=LINE_STEPS, characters=MOST_RAW)
    except MemoryError:
        raise
    except Exception:
        return ""
    line = line.replace("\n", " ")
    return line[:LONGEST].rstrip() if any(map(str.isalnum, line)) else ""


def alts(body: str | None) -> Iterator[str]:
    """The alt texts of a raw body's pictures, in their order."""
    read = (body or "")[:MAX_RAW]
    if "<" not in read or not is_markup(read):
        return
    for tag in TAG.finditer(read):
        if tag["name"].lower() == "img" and (found := _ALT.search(tag["attributes"])):
            yield html.unescape(found[1] or found[2] or "")
