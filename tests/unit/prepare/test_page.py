"""Of a whole page the article is kept, and its navigation, its comments and other news are not."""

import pytest

from rerank_core.prepare.cleaning import Cleaning, Tally, clean
from rerank_core.prepare.documents import Unpreparable, to_document

P1 = "The council approved the new tram line on Monday after a debate that lasted four hours and forty minutes."
P2 = "Work on the first section is to begin in March, and the mayor expects the trams to run within three years."
P3 = "Critics said that the cost had doubled since the plan was first shown to the public in the spring."
STORY = f"<p>{P1}</p><p>{P2}</p><p>{P3}</p>"
TEXT = f"{P1}\n{P2}\n{P3}"


def plain_text(raw: str) -> str:
    return clean(raw, cleaning=Cleaning(), tally=Tally())


def page(body: str, head: str = "") -> str:
    """A page with navigation and a script around its body."""
    return (
        f"<html><head><title>Tram</title><script>track()</script>{head}</head><body>"
        f"<nav><ul><li><a href=/a>Home</a></li><li><a href=/b>Sports</a></li></ul></nav>{body}"
        "<footer>About us</footer></body></html>"
    )


@pytest.mark.parametrize(
    "body",
    [
        STORY,
        f"{P1}<p>{P2}</p><p>{P3}</p>",
        f"<div id=x>{P1}<p>{P2}</p><p>{P3}</p></div>",
        f"<div><p>{P1}</p>{P2}<p>{P3}</p></div>",
        f"<section>{P1}<div>{P2}</div><p>{P3}</p></section>",
        f"<form id=aspnetForm><div>{STORY}</div></form>",
        f"<main><article>{STORY}</article></main>",
        f"<ul><li><h2>Tram</h2>{STORY}</li><li><a href=/x>Storm passes the coast</a> 2026-11-21 Weather</li>"
        "<li><a href=/y>Mayor opens a school</a> 2026-11-20 City</li></ul>",
    ],
)
def test_the_story_is_kept_wherever_it_stands(body: str) -> None:
    assert plain_text(page(body)) == TEXT


@pytest.mark.parametrize("ago", ["2 hours ago", "an hour ago", "3小时前"])
def test_comments_of_readers_are_no_part_of_the_story(ago: str) -> None:
    comments = "".join(
        f"<li><b>reader{number}</b> <span>{ago}</span><p>I do not believe a word of it, they said so last year.</p></li>"
        for number in range(3)
    )
    text = plain_text(page(f"<div class=story>{STORY}<div class=opinions><ol>{comments}</ol></div></div>"))
    assert text == TEXT


def test_the_entries_of_a_live_blog_are_kept() -> None:
    entries = "".join(
        f"<article><h2>10:0{at}</h2><p>{text}</p></article>" for at, text in enumerate((P1, P2, P3))
    )
    text = plain_text(page(entries))
    assert all(sentence in text for sentence in (P1, P2, P3))


LINKS = [f"<a href=/{number}>Section number {number}</a>" for number in range(30)]


@pytest.mark.parametrize(
    "navigation",
    [
        f"<div class=menu>{' '.join(LINKS)}</div>",
        "".join(f"<div>{link}<span>Nov</span></div>" for link in LINKS),
        f"<header><ul>{''.join(f'<li>{link}</li>' for link in LINKS)}</ul></header><p>Please wait</p>",
    ],
)
def test_a_page_that_a_script_fills_is_refused_and_its_title_is_kept(navigation: str) -> None:
    raw = page(f"{navigation}<div id=root></div><script>run()</script>")
    with pytest.raises(Unpreparable, match="no_article: a script fills the page"):
        to_document(title=None, summary=None, body=raw, lang=None)
    assert to_document(title="Tram line opens", summary=None, body=raw, lang="en").text == "Tram line opens"


def test_an_article_that_only_its_metadata_holds_is_found() -> None:
    data = f'<script type="application/ld+json">{{"@type":"NewsArticle","articleBody":"{P1} {P2}"}}</script>'
    raw = f"<html><head>{data}</head><body><div id=root></div></body></html>"
    assert plain_text(raw) == f"{P1} {P2}"


def test_joiners_of_a_page_stay() -> None:
    sentence = "می‌خواهم کتاب‌های تازه را در تهران ببینم."
    body = f"<article><p>{sentence}</p><p>می&zwnj;آیند و {P1}</p></article>"
    assert plain_text(page(body)) == f"{sentence}\nمی\u200cآیند و {P1}"


@pytest.mark.parametrize("depth", [300, 3_000])
def test_depth_costs_a_page_no_paragraph(depth: int) -> None:
    text = plain_text(page("<div>" * depth + f"<p>{P1}</p>" + "</div>" * depth + f"<p>{P2}</p>"))
    assert P1 in text
    assert P2 in text


@pytest.mark.parametrize(
    "declaration",
    [
        '<?xml version="1.0" encoding="gb2312"?>',
        "<meta charset=gb2312>",
        "<meta charset=shift_jis>",
        "\ufeff",
    ],
)
def test_a_declared_encoding_does_not_matter_to_text_in_unicode(declaration: str) -> None:
    sentence = "市议会星期一批准了新的电车线路，辩论持续了四个多小时。"
    before, head = (declaration, "") if declaration[:2] in ("<?", "\ufeff") else ("", declaration)
    raw = before + page(f"<article><p>{sentence}</p><p>{P1}</p></article>", head)
    assert plain_text(raw) == f"{sentence}\n{P1}"


def test_a_line_behind_a_line_break_is_not_doubled() -> None:
    text = plain_text(page(f"<main><article><div>{P1}<br>{P2}</div></article></main>"))
    assert text.count(P1) == text.count(P2) == 1
