"""How inputs are drawn and changed. Everything comes from a `Random`, so that a seed gives the same input again."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random

PIECES = Path(__file__).parent / "pieces.txt"
LONG = ("a" * 70, "的" * 70, "0" * 30, "9" * 4400)  # longer than what is read as one word, or one number


@cache
def pieces(section: str) -> tuple[str, ...]:
    """The pieces of a section of pieces.txt, one a line, with the escapes of Python."""
    part = PIECES.read_text(encoding="utf-8").partition(f"\n[{section}]\n")[2].partition("\n\n[")[0]
    return tuple(
        line.encode("latin-1", "backslashreplace").decode("unicode_escape") for line in part.splitlines()
    )


@cache
def odd() -> tuple[str, ...]:
    """Pieces of text that programs mistake for something else."""
    return (*pieces("odd"), *LONG)


@cache
def as_bytes(*sections: str) -> tuple[bytes, ...]:
    """Pieces of these sections, and the odd ones, for texts that are changed as bytes."""
    found = [*odd(), *(piece for section in sections for piece in pieces(section))]
    return tuple(piece.encode("utf-8", "surrogatepass") for piece in found)


def language(random: Random) -> str | None:
    """What a source may claim as the language of an article."""
    return random.choice((None, "", "z" * 300, *pieces("languages")))


def text(random: Random, words: Sequence[str], *, most: int = 40) -> str:
    """A text of these words and odd pieces."""
    pieces = [
        random.choice(odd()) if random.random() < 0.2 else random.choice(words)
        for _ in range(random.randint(0, most))
    ]
    return random.choice((" ", " ", " ", "", "\n")).join(pieces)


def pumped(random: Random, parts: Sequence[str], *, length: int) -> str:
    """A text of about so many characters in which a few pieces come again and again."""
    unit = "".join(random.choice(parts) for _ in range(random.randint(1, 4))) or "a"
    if random.random() < 0.3:  # pieces that open first, and close then
        close = "".join(random.choice(parts) for _ in range(random.randint(1, 2))) or "b"
        times = max(1, length // (len(unit) + len(close)))
        middle = unit * times + random.choice(parts) + close * times
    else:
        middle = unit * max(1, length // len(unit))
    return random.choice(parts) + middle + random.choice(parts)


def changed(random: Random, content: bytes, dictionary: Sequence[bytes], *, most: int) -> bytes:
    """Content of at most so many bytes that is like this content."""
    made = bytearray(content)
    for _ in range(1 + int(random.expovariate(0.5))):
        at = random.randint(0, len(made))
        end = min(len(made), at + int(random.expovariate(1 / 20)))
        kind = random.randrange(8)
        if kind == 0:
            del made[at:end]
        elif kind == 1:
            made[at:at] = random.choice(dictionary)
        elif kind == 2:
            made[at:end] = random.choice(dictionary)
        elif kind == 3:
            made[at:at] = made[at:end] * random.choice((1, 1, 2, 10, 1000))
        elif kind == 4 and at < len(made):
            made[at] = random.randrange(256)
        elif kind == 5 and at < len(made):
            made[at] ^= 1 << random.randrange(8)
        elif kind == 6:
            start = random.randint(0, len(made))
            made[at:at] = made[start : start + (end - at)]
        elif random.random() < 0.2:
            del made[at:]
    return bytes(made[:most])
