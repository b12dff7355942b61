"""Invented stories: texts that differ in names alone, and reprints of one text, in several languages.

The folder `stories` has a file a language: names, the sentences of kinds of stories ({a} and {b} are names), and
sentences without names that fill a text of any kind. All of it is invented; no text is of a publisher.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "stories"
LANGUAGES = tuple(sorted(file.stem for file in FOLDER.glob("*.yaml")))
UNSPACED = {"zh", "ja", "th"}


@dataclass(frozen=True)
class Article:
    """A story as a source would send it: a title, and the paragraphs of its body."""

    lang: str
    title: str
    paragraphs: tuple[tuple[str, ...], ...]  # sentences each

    def __str__(self) -> str:
        blank = "" if self.lang in UNSPACED else " "
        return "\n".join([self.title, "", *(blank.join(paragraph) for paragraph in self.paragraphs)])


@dataclass(frozen=True)
class Pair:
    """Two articles, and what is between them: the kind of story, or of reprint."""

    kind: str
    one: Article
    other: Article


@cache
def words_of(lang: str) -> Mapping[str, Any]:
    """The file of a language."""
    found: Mapping[str, Any] = yaml.safe_load((FOLDER / f"{lang}.yaml").read_text(encoding="utf-8"))
    return found


def two_stories(lang: str, *, rounds: int = 4, seed: int = 1) -> Iterator[Pair]:
    """Pairs of stories of one kind, in the same words, that differ in names, or in the outcome, alone.

    Half of them have no name in the title. The number of sentences with a name, and of those without, differs.
    """
    rng = random.Random(f"{seed} {lang}")
    for kind in words_of(lang)["kinds"]:
        for number in range(rounds):
            one, other = _made(rng, lang, kind, is_plain=number % 2 == 1, leads=1 + number % 3)
            yield Pair(kind, one, other)


def _made(
    rng: random.Random,
    lang: str,
    kind: str,
    *,
    is_plain: bool = False,
    leads: int = 3,
    fill: int | None = None,
) -> tuple[Article, Article]:
    words = words_of(lang)
    form = words["kinds"][kind]
    of = words[form["of"]]
    a, b, c, d = (rng.sample(range(len(of)), len(of)) * 2)[:4] if len(of) > 2 else (0, 1, 1, 0)
    if form.get("swap"):
        c, d = b, a
    sentences = rng.sample(words["fill"], fill or rng.choice([5, 6, 7]))
    return tuple(  # type: ignore[return-value]
        Article(
            lang,
            _filled(form["plain" if is_plain else "title"], *names),
            tuple(
                tuple(part)
                for part in (
                    [_filled(sentence, *names) for sentence in form["lead"][:leads]],
                    sentences[:3],
                    sentences[3:],
                )
            ),
        )
        for names in ((of[a], of[b]), (of[c], of[d]))
    )


def _filled(form: str, a: str, b: str) -> str:
    values = {}
    for name, forms in (("a", a.split("/")), ("b", b.split("/"))):
        values |= {name: forms[0], name + "2": forms[-1]}
    return form.format(**values)


# ── Reprints ────────────────────────────────────────────────────────────────────────────────────

CREDITS = {
    "zh": "（来源：海港日报）",
    "ja": "（海港新聞）",
    "en": "Copyright 2026 The Harbour Post. All rights reserved.",
}
BYLINES = {
    "en": ("By Dora Quill", "By Max Penner"),
    "de": ("Von Dora Quill", "Von Max Penner"),
    "es": ("Por Dora Quill", "Por Max Penner"),
    "ru": ("Дора Квилл", "Макс Пеннер"),
    "zh": ("本报记者 钱小楼", "通讯员 孙大海"),
    "hi": ("संवाददाता दोरा शर्मा", "संवाददाता मैक्स सिंह"),
    "ar": ("دورا كويل", "ماكس بينر"),
    "ja": ("記者 海野太郎", "記者 山川次郎"),
    "ko": ("기자 홍길동", "기자 임꺽정"),
    "th": ("ผู้สื่อข่าว ดอรา", "ผู้สื่อข่าว แมกซ์"),
}


def _cut_to(article: Article, share: float) -> Article:
    """The article without its last sentences: about this share of its letters is left."""
    paragraphs = [list(paragraph) for paragraph in article.paragraphs]
    whole = sum(len(sentence) for paragraph in paragraphs for sentence in paragraph)
    while len(paragraphs[-1]) == 0 or sum(len(s) for p in paragraphs for s in p) > whole * share + 20:
        if paragraphs[-1]:
            paragraphs[-1].pop()
        else:
            paragraphs.pop()
    return replace(article, paragraphs=tuple(map(tuple, paragraphs)))


def _with_byline(article: Article, number: int = 0) -> Article:
    return replace(article, paragraphs=((BYLINES[article.lang][number],), *article.paragraphs))


def _with_credit(article: Article) -> Article:
    credit = CREDITS.get(article.lang, "(The Harbour Post)")
    return replace(article, paragraphs=(*article.paragraphs, (credit,)))


def _mapped(article: Article, change: Callable[[str], str]) -> Article:
    return replace(
        article,
        title=change(article.title),
        paragraphs=tuple(tuple(change(one) for one in paragraph) for paragraph in article.paragraphs),
    )


def _quoted(article: Article, marks: str) -> Article:
    """The last sentence of each paragraph in quotation marks."""
    return replace(
        article,
        paragraphs=tuple((*part[:-1], f"{marks[0]}{part[-1]}{marks[1]}") for part in article.paragraphs),
    )


@cache
def _converter(name: str) -> Any:
    import opencc

    return opencc.OpenCC(name)


def converted(text: str, configuration: str | None) -> str:
    """Simplified Chinese as OpenCC writes it otherwise; unchanged without a configuration's name."""
    return text if configuration is None else str(_converter(configuration).convert(text))


def _traditional(text: str) -> str:
    return converted(text, "s2tw")


def _taiwanese(text: str) -> str:
    """In traditional characters, and in Taiwan's words for what has another name there."""
    return converted(text, "s2twp")


def reprints(lang: str, *, rounds: int = 2, seed: int = 1) -> Iterator[Pair]:
    """Pairs of prints of one story: each kind of change by itself, then the usual ones together."""
    rng = random.Random(f"{seed} {lang} reprints")
    for kind, form in words_of(lang)["kinds"].items():
        for _ in range(rounds):
            article, _other = _made(rng, lang, kind, fill=7)
            headline = replace(article, title=_headline(article, form, words_of(lang)[form["of"]]))
            changes = {
                "credit": _with_credit(article),
                "byline": _with_byline(article),
                "other headline": headline,
                "quotes": _quoted(
                    article, "«»" if lang in {"de", "ru"} else "「」" if lang in UNSPACED else "“”"
                ),
                "last paragraph cut": _cut_to(article, 0.8),
                "cut to two thirds": _cut_to(article, 0.67),
                "all of it": _with_credit(_with_byline(replace(_cut_to(article, 0.8), title=headline.title))),
            }
            if lang in {"en", "de", "es", "ru"}:
                changes["capitals"] = _mapped(article, str.upper)
                changes["title in capitals"] = replace(article, title=article.title.upper())
            if lang == "zh":
                changes["traditional characters"] = _mapped(article, _traditional)
                changes["traditional, cut to two thirds"] = _mapped(_cut_to(article, 0.67), _traditional)
                changes["in the words of Taiwan"] = _mapped(article, _taiwanese)
            for change, reprint in changes.items():
                first = _quoted(article, '""') if change == "quotes" else article
                yield Pair(change, first, reprint)
            yield Pair(
                "a credit and a byline each",
                _with_byline(article, 0),
                _with_credit(_with_byline(article, 1)),
            )


def _headline(article: Article, form: Mapping[str, Any], names: list[str]) -> str:
    """Another headline for the article, with the names of its own title."""
    for a in names:
        for b in names:
            if _filled(form["title"], a, b) == article.title:
                return _filled(form["headline"], a, b)
    raise ValueError(f"no names of {article.title!r} are known")


def capitalised(title: str) -> str:
    """A headline in the style of American papers: Each Long Word With a Capital."""
    return re.sub(r"\b(\w)(\w{3,})", lambda match: match[1].upper() + match[2], title)
