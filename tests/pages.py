"""The pages for people, taken apart: their links, their blocks of code and the commands that they show."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Words that a shell command of a page may begin with. `make`, `rerank`, `airflow` and `python` are looked at further.
KNOWN = frozenset(
    {
        "airflow",
        "apt-get",
        "cd",
        "cp",
        "createdb",
        "curl",
        "docker",
        "dropdb",
        "echo",
        "export",
        "git",
        "helm",
        "make",
        "mkdir",
        "pg_dump",
        "pg_restore",
        "pip",
        "printf",
        "psql",
        "python",
        "rerank",
        "runuser",
        "service",
        "source",
        "tee",
    }
)
ENDS = frozenset({"|", "||", "&&", "&", ";"})
NAMED = re.compile(r"[A-Z][A-Z_]*(?:\.[a-z]+(?:\.gz)?)?$")  # RUN, TOPIC, FILE.jsonl.gz: what a reader puts in


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int  # of its fence, from 1
    language: str  # "" if the fence names none
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_shell(self) -> bool:
        """Whether it shows commands: its language says so, or its first word is a command's."""
        if self.language in {"sh", "bash", "shell"}:
            return True
        first = next(iter(self.text.split()), "")
        return self.language == "" and (first in KNOWN or re.match(r"[A-Z_]+=", first) is not None)


@dataclass(frozen=True)
class Command:
    """A command that a page shows, in a block or within a sentence."""

    page: Path
    line: int
    words: tuple[str, ...]
    is_whole: bool  # False within a sentence, which may name a command without its arguments

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {shlex.join(self.words)}"


def all_pages() -> list[Path]:
    """Every page for people, in order of path."""
    found = set(ROOT.glob("*.md"))
    for folder in ("deploy", "dags", "plugins", "rerank_core", "sql", "tests"):
        found |= {
            page
            for page in (ROOT / folder).rglob("*.md")
            if not {"results", "node_modules"} & set(page.parts) and page.name != "contract_page.md"
        }
    return sorted(found)


@cache
def read(page: Path) -> str:
    """The text of a page."""
    return page.read_text(encoding="utf-8")


@cache
def _parts(page: Path) -> tuple[tuple[Block, ...], str]:
    """Blocks, and the text with an empty line for each line of a block."""
    blocks, kept, fence, begun, inside = [], [], "", 0, []
    for number, line in enumerate(read(page).splitlines(), 1):
        mark = re.match(r"\s*(```+)\s*(\S*)\s*$", line)
        if not fence and mark:
            fence, language, begun, inside = mark[1], mark[2], number, []
        elif fence and mark and mark[1] == fence and not mark[2]:
            margin = min((len(row) - len(row.lstrip()) for row in inside if row.strip()), default=0)
            text = "\n".join(row[margin:] for row in inside) + "\n"
            blocks.append(Block(page, begun, language, text))
            fence = ""
        elif fence:
            inside.append(line)
        kept.append("" if fence or mark else line)
    assert not fence, f"{page}:{begun}: this block has no end"
    return tuple(blocks), "\n".join(kept)


def blocks(page: Path) -> tuple[Block, ...]:
    """The fenced blocks of a page."""
    return _parts(page)[0]


def blocks_below(page: Path, heading: str) -> list[Block]:
    """The fenced blocks between a heading, with its marks, and the next heading that is not below it."""
    lines = prose(page).splitlines()
    first = lines.index(heading) + 1
    level = heading.partition(" ")[0]
    ends = [
        number
        for number, line in enumerate(lines[first:], first + 1)
        if re.match(rf"#{{1,{len(level)}}} ", line)
    ]
    return [block for block in blocks(page) if first < block.line < min(ends, default=len(lines) + 1)]


def prose(page: Path) -> str:
    """The text of a page without its blocks; lines keep their numbers."""
    return _parts(page)[1]


def links(page: Path) -> list[str]:
    """Targets of a page's links and pictures."""
    text = re.sub(r"`[^`]*`", "", prose(page))
    return [target.strip("<>") for target in re.findall(r"\]\(([^)\s]+)\)", text)]


def anchors(page: Path) -> set[str]:
    """What a link to a part of this page may name, as GitHub makes it of headings; and explicit ids."""
    found: set[str] = set(re.findall(r'<a (?:id|name)="([^"]+)"', prose(page)))
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(page), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        again = 0
        while slug in found:
            again += 1
            slug = f"{slug.removesuffix(f'-{again - 1}')}-{again}"
        found.add(slug)
    return found


def broken_links(page: Path) -> list[str]:
    """Links of a page to files or headings that do not exist."""
    broken = []
    for link in links(page):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and (target.suffix != ".md" or anchor not in anchors(target))):
            broken.append(link)
    return broken


def commands(page: Path) -> Iterator[Command]:
    """Every shell command of a page: lines of shell blocks, and code within sentences that begins with `make` or `rerank`."""
    for block in blocks(page):
        if block.is_shell:
            lines = block.text.replace("\\\n", "  ").splitlines()
            for number, line in enumerate(lines, block.line + 1):
                for words in _split(line):
                    yield Command(page, number, words, is_whole=True)
    for number, line in enumerate(prose(page).splitlines(), 1):
        for span in re.findall(r"`([^`]+)`", line):
            if re.match(r"([A-Z_]+=\S+ )*(make|rerank|airflow) [a-z]", span):
                # A sentence brackets what may be left out.
                for words in _split(re.sub(r"(?<= )\[|\](?= |$)", "", span)):
                    yield Command(page, number, words, is_whole=False)


def _split(line: str) -> Iterator[tuple[str, ...]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in ENDS:
            words.append(word)
        elif words:
            yield tuple(words)
            words = []


def without_environment(words: tuple[str, ...]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The variables before a command, and the command."""
    given: dict[str, str] = {}
    rest = list(words)
    while rest and re.match(r"[A-Z_]+=", rest[0]):
        name, _, value = rest.pop(0).partition("=")
        given[name] = value
    return given, tuple(rest)


def sentences(page: Path) -> list[str]:
    """The sentences of a page: of its paragraphs and lists, and each cell of its tables."""
    found: list[str] = []
    paragraph: list[str] = []

    def end() -> None:
        text = " ".join(paragraph)
        found.extend(part for part in re.split(r"(?<=[.!?:])\**\s+", text) if part.strip())
        paragraph.clear()

    for line in [*prose(page).splitlines(), ""]:
        stripped = line.strip()
        is_item = re.match(r"([-*]|\d+\.) ", stripped) is not None
        if not stripped or is_item or stripped[0] in "|#<!":
            end()
        if stripped.startswith("|"):
            found.extend(cell for cell in re.split(r"(?<!\\)\|", stripped) if re.search(r"[a-z]", cell))
        elif stripped and stripped[0] not in "#<!":
            paragraph.append(re.sub(r"^([-*]|\d+\.) ", "", stripped))
    return found


def words_of(text: str) -> int:
    """Words of a text, as a reader counts them: code and links are a word for each of their words."""
    return len(re.findall(r"[\w`'’$€%./_-]*\w[\w`'’%./_-]*", re.sub(r"\]\([^)]*\)", "]", text)))
