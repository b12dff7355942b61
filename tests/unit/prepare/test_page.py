"""Of a whole page the article is kept, and its navigation, its comments and other news are not."""

import pytest

from rerank_core.prepare.cleaning import Cleaning, Tally, clean
from rerank_core.prepare.documents import Unpreparable, to_document

P1 = "The council approved the new tram line on Monday after a debate that lasted four hours and forty minutes."
P2 = "Work on the first section is to begin in March, and the mayor expects the trams to run within three years."
P3 = "Critics said that the cost had doubled since the plan was first shown to the public in the spring."
P4 = "The mayor left the hall at noon, followed by reporters who asked about the cost of the new line."
P5 = "Trams were decorated with flags on the day of the vote, and passengers rode free of charge until midnight."
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


NEWS = "".join(
    f"<li><a href=/{number}>{title}</a> <span>2026-11-2{number}</span> <em>{section}</em></li>"
    for number, (title, section) in enumerate(
        (
            ("Storm passes the coast", "Weather"),
            ("Mayor opens a school", "City"),
            ("Harbour reopens after repairs", "Business"),
            ("Ferry timetable changes", "Transport"),
        )
    )
)


@pytest.mark.parametrize(
    "body",
    [
        f"<ul><li><h2>Tram</h2>{STORY}</li>{NEWS}</ul>",
        f"<ol><li><div>{STORY}</div></li><li>Weather · 3 hours ago · <a href=/x>Storm passes the coast</a></li></ol>",
        f"<ul><li><h2>Tram</h2>{STORY}</li><li><h3><a href=/x>Storm passes the coast</a></h3><p>It left two dead.</p>"
        "<span>2026-11-21</span> Weather</li><li><h3><a href=/y>Mayor opens a school</a></h3><p>It has 600 pupils.</p>"
        "<span>2026-11-20</span> City</li></ul>",
        f"<article>{STORY}<ul>{NEWS}</ul></article>",
        f"<div>{STORY}</div><div>{NEWS.replace('li>', 'div>')}</div>",
    ],
)
def test_other_news_with_date_and_section_is_no_part_of_the_story(body: str) -> None:
    assert plain_text(page(body)) == TEXT


def test_a_list_that_tells_dates_of_the_story_stays() -> None:
    stages = "".join(
        f"<li>{date}: <a href=/{date}>{what}</a></li>"
        for date, what in (("3 May 2022", "the study is shown"), ("20 November 2026", "the council votes"))
    )
    text = plain_text(page(f"<article>{STORY}<p>The stages:</p><ul>{stages}</ul></article>"))
    assert (
        text
        == f"{TEXT}\nThe stages:\n- 3 May 2022: the study is shown\n- 20 November 2026: the council votes"
    )


COMMENT = "<b>reader{n}</b> <span>{time}</span><p>I do not believe a word of it, they said so last year.</p>"


@pytest.mark.parametrize(
    ("item", "times", "name"),
    [
        ("<ol><li>{}</li></ol>", ("2 hours ago", "3 hours ago", "yesterday"), "opinions"),
        ("<ul><li>{}</li></ul>", ("an hour ago", "5 days ago"), "x"),
        ("<ul><li>{}</li></ul>", ("3小时前", "刚刚"), "x"),
        ("<ul><li>{}</li></ul>", ("2026-11-20 10:30", "2026-11-21 11:02"), "comments"),
        ("<ol><li>{}</li></ol>", ("2 hours ago",), "opinions"),
        ("<div class=one>{}</div>", ("2 hours ago", "3 hours ago"), "x"),
        ("<dl><dt>{}</dt></dl>", ("vor 2 Stunden", "vor 3 Tagen"), "Leserbriefe"),
    ],
)
def test_comments_of_readers_are_no_part_of_the_story(item: str, times: tuple[str, ...], name: str) -> None:
    comments = [COMMENT.format(n=number, time=time) for number, time in enumerate(times)]
    start, end = item.split("{}")
    together = start + f"{end}{start}".join(comments) + end
    if item.startswith(("<ol>", "<ul>")):
        together = start + "</li><li>".join(comments) + end
    text = plain_text(page(f"<div class=story>{STORY}<div class={name}>{together}</div></div>"))
    assert text == TEXT


def test_entries_with_a_heading_are_a_live_blog_and_no_comments() -> None:
    entries = "".join(
        f"<li><h3>Entry {at}</h3><time>{at} minutes ago</time><p>{text}</p></li>"
        for at, text in enumerate((P1, P2, P3))
    )
    text = plain_text(page(f"<article><ul>{entries}</ul></article>"))
    assert all(sentence in text for sentence in (P1, P2, P3))


CAPTIONS = ("Trams at the depot in the morning", "The mayor cuts the ribbon", "Passengers ride the new line")


@pytest.mark.parametrize(
    "picture",
    [
        "<figure><img src=a.jpg><figcaption>{}</figcaption></figure>",
        "<div class=gallery-item><a href=a.jpg><img src=a.jpg></a><p class=wp-caption-text>{}</p></div>",
        "<p><img src=a.jpg></p><p>{}</p>",
    ],
)
def test_of_a_gallery_the_captions_are_kept(picture: str) -> None:
    pictures = "".join(map(picture.format, CAPTIONS))
    text = plain_text(
        page(f"<div id=content><h1>Trams in pictures</h1><div class=gallery>{pictures}</div></div>")
    )
    assert text == "\n".join(("Trams in pictures", *CAPTIONS))


@pytest.mark.parametrize(
    "body",
    [
        "<main><h1>Tram</h1><p>The tram line opened on Monday.</p></main>",
        "<div class=story><h1>Tram</h1><div class=summary>The tram line opened on Monday.</div></div>",
        "<div class=a><div class=b><h1>Tram</h1><span>The tram line opened on Monday.</span></div><div class=side>"
        "<a href=/1>Storm passes the coast</a><a href=/2>Mayor opens a school</a></div></div>",
        "<article><h1>Tram</h1><p>The tram line opened on Monday.</p><div class=pay><p>Subscribe to continue reading.</p>"
        "<a href=/s>Subscribe</a></div></article>",
    ],
)
def test_a_teaser_is_kept_in_lines_and_without_what_stands_beside_it(body: str) -> None:
    assert plain_text(page(body)) == "Tram\nThe tram line opened on Monday."


LEAD = "市議会は20日、路面電車の新線計画を賛成多数で承認した。総事業費は約320億円。"
NOTICES = (
    "<p>この記事は有料会員限定です。残り1234文字</p><p>有料会員に登録すると続きをお読みいただけます。</p><a href=/l>ログインする</a>",
    "<p>この記事は有料記事です。残り842文字有料会員になると続きをお読みいただけます。</p>",
    "<p>（残り：842文字／本文：1234文字）</p><p>ログインして続きを読む</p>",
)


@pytest.mark.parametrize("notice", NOTICES)
def test_of_a_page_behind_a_paywall_the_lead_is_kept_and_the_notice_is_not(notice: str) -> None:
    raw = page(f"<article><h1>新線承認</h1><p>{LEAD}</p><div class=pay>{notice}</div></article>")
    assert plain_text(raw) == f"新線承認\n{LEAD}"
    alone = page(f"<article><div class=pay>{notice}</div></article>")
    with pytest.raises(Unpreparable, match="empty: no letter .*, once rules took its lines of notices"):
        to_document(title=None, summary=None, body=alone, lang="ja")


def test_the_entries_of_a_live_blog_are_kept() -> None:
    entries = "".join(
        f"<article><h2>10:0{at}</h2><p>{text}</p></article>" for at, text in enumerate((P1, P2, P3, P4, P5))
    )
    text = plain_text(page(entries))
    assert all(text.count(sentence) == 1 for sentence in (P1, P2, P3, P4, P5))


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
        '<?xml version="1.0" encoding="gb2312"?><meta charset=gb2312>',
        "<meta charset=shift_jis>",
        '<meta http-equiv="Content-Type" content="text/html; charset=shift_jis">',
        "\ufeff",
    ],
)
def test_a_declared_encoding_does_not_matter_to_text_in_unicode(declaration: str) -> None:
    sentence = "市议会星期一批准了新的电车线路，辩论持续了四个多小时。"
    before, head = (declaration, "") if declaration[:2] in ("<?", "\ufeff") else ("", declaration)
    raw = before + page(f"<article><p>{sentence}</p><p>{P1}</p></article>", head)
    assert plain_text(raw) == f"{sentence}\n{P1}"


@pytest.mark.parametrize("lines", [("The tram opens.", "It is long."), (P1, P2), (P1,)])
@pytest.mark.parametrize("start", ["", "<br>"])
def test_a_line_behind_a_line_break_is_not_doubled(lines: tuple[str, ...], start: str) -> None:
    text = plain_text(page(f"<main><article><div>{start}{'<br>'.join(lines)}</div></article></main>"))
    assert text == "\n".join(lines)


def test_a_list_in_a_cell_of_a_table_is_kept() -> None:
    table = "<table><tr><th>Tram</th><th>Runs</th></tr><tr><td>7</td><td><ul><li>10:00</li><li>11:00</li></ul></td></tr></table>"
    text = plain_text(page(f"<article>{STORY}{table}</article>"))
    assert text == f"{TEXT}\n| Tram | Runs |\n| 7 | 10:00, 11:00 |"


@pytest.mark.parametrize("element", ["script", "iframe", "textarea"])
@pytest.mark.parametrize("attribute", ["", " src=x "])
def test_an_element_that_closes_itself_hides_nothing_of_a_page(element: str, attribute: str) -> None:
    body = f"<article><p>{P1}</p><{element}{attribute}/><p>{P2}</p><p>{P3}</p></article>"
    assert plain_text(page(body)) == TEXT


def test_the_marks_of_a_text_processor_are_no_text() -> None:
    body = "".join(f"<p class=MsoNormal>{line}<o:p>&nbsp;</o:p></p>" for line in (P1, P2, P3))
    assert plain_text(page(f"<article>{body}</article>")) == TEXT
