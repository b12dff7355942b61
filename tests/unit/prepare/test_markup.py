"""What is markup and what is text; what a field loses before it is cut; how escapes are resolved."""

from collections import Counter

import pytest

from rerank_core.prepare.cleaning import MAX_RAW, READ_AHEAD, Cleaning, Tally, clean
from rerank_core.prepare.documents import MAX_RAW_OF, to_document
from rerank_core.prepare.markup import is_markup, is_page, readable, resolved

P1 = "The council approved the new tram line on Monday after a debate that lasted four hours and forty minutes."


def plain_text(raw: str, tally: Tally | None = None) -> str:
    return clean(raw, cleaning=Cleaning(), tally=tally or Tally())


@pytest.mark.parametrize(
    "text",
    [
        "Using <script> tags safely in 2026",
        *(
            f"Browsers run what is inside {mark} at once.\n{P1}"
            for mark in "<script> <style> <!-- <iframe> <textarea> <noscript> <select> <title> <template>".split()
        ),
        "The <p> element is old",
        "A <b> tag makes letters bold",
        "if a <b and c> d",
        "x <3 y",
        "<SRD> rises",
        "<unknown>tag</unknown>",
        "write to <ann@example.com>",
        "see <https://w.example/a=b>",
        "1 < 2 and 3 > 2",
    ],
)
def test_angle_brackets_of_prose_are_text(text: str) -> None:
    assert not is_markup(text)
    assert plain_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "A <b>tag</b>",
        "One<br>two",
        "Donau<wbr>dampf",
        "<img src=x>",
        "<p>It opens.",
        "It opens.<p>It is long.",
        "It opens. <p> It is long.",
        "<li>one <li>two",
        "<div><div>deep",
        "<font color=red>x",
        "<!doctype html>x",
        "x <!-- a comment --> y",
        "It opens. <a href='https://cut",
        "<ruby>東京<rt>とうきょう</rt></ruby>",
        "<iframe src=x></iframe>",
        "<br/>",
    ],
)
def test_tags_of_html_are_markup(text: str) -> None:
    assert is_markup(text)


def test_a_tag_of_every_element_of_html_is_known() -> None:
    names = (
        "acronym area base bdi bdo big canvas col colgroup data datalist dfn dialog dir fieldset frame frameset hgroup"
        " legend map marquee menu meter nobr optgroup output param progress rb rp rt rtc ruby search slot track wbr"
    )
    assert [name for name in names.split() if not is_markup(f"x <{name} class=y>")] == []


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("A free guide to &lt;head&gt; elements", "A free guide to <head> elements"),
        ("AT&amp;T &quot;up&quot;", 'AT&T "up"'),
        ("AT&amp;amp;amp;T", "AT&T"),
        ("&amp;amp;lt;p&amp;amp;gt;It opens.&amp;amp;lt;/p&amp;amp;gt;", "It opens."),
        ("&lt;p&gt;It opens.&lt;/p&gt;", "It opens."),
        ("<p>Fish &amp;amp; chips &amp;quot;now&amp;quot;</p>", 'Fish & chips "now"'),
        ("<![CDATA[Tram line: council votes]]>", "Tram line: council votes"),
        ("<![CDATA[<p>It opens.</p>]]>", "It opens."),
        ("<p>One.</p><![CDATA[<p>Two.</p>]]>", "One.\nTwo."),
        ("&lt;![CDATA[A]]&gt;", "A"),
        ("It opens. ]]>", "It opens."),
    ],
)
def test_escapes_and_marks_of_cdata_are_resolved(raw: str, text: str) -> None:
    assert plain_text(raw) == text


def test_any_number_of_escapes_is_one() -> None:
    assert resolved("&" + "amp;" * 100_000 + "lt;") == "<"


IMAGE = "<p><img src='data:image/png;base64," + "A" * 1_100_000 + "'></p>"


@pytest.mark.parametrize(
    "before",
    [
        "<p><img src='data:image/png;base64," + "A" * 2_100_000 + "'></p>",
        IMAGE * 2,
        f"<svg><path d='{'M 1 2 ' * 366_000}'/></svg>",
        f"<style>{'p {color: red} ' * 140_000}</style>",
        f"<SCRIPT type='x'>{'x = 1; ' * 300_000}</script >",
        f"<!-- {'x = 1; ' * 300_000}-->",
        f"<template>{'<b>x</b>' * 300_000}</template>",
        f"<img src='data:image/svg+xml;utf8,{'<path/>' * 300_000}'>",
        f"<img src=data:image/svg+xml,{'%3Cpath' * 300_000}>",
        f'<img src="data:image/png;base64,{"A-_=" * 20 * 26_000}">',
        f'<div data-state="{"{x: 1}, " * 270_000}">',
    ],
    ids=[
        *("an image", "two images", "a drawing", "a style", "a script", "a comment", "a template"),
        *("a drawing in a link", "an escaped drawing", "an image in letters of links", "a long attribute"),
    ],
)
def test_the_text_behind_an_inline_image_script_or_style_is_read(before: str) -> None:
    counts: Counter[str] = Counter()
    document = to_document(title="Tram", summary=None, body=f"{before}<p>{P1}</p>", lang="en", counts=counts)
    assert document.text == f"Tram\n\n{P1}"
    assert counts["raw_cut"] == 0


@pytest.mark.parametrize("field", ["title", "summary", "body"])
def test_each_field_is_cut_to_its_own_bound_and_counted(field: str) -> None:
    counts: Counter[str] = Counter()
    fields = {"title": "Tram", "summary": None, "body": None} | {
        field: "word " * (MAX_RAW_OF[field] // 5 + 1)
    }
    to_document(**fields, lang="en", counts=counts)
    assert counts["raw_cut"] == 1


def test_a_field_within_its_bound_is_left_as_it_is() -> None:
    text = "data:image/png;base64,AAAA"
    assert readable(text, len(text)) == (text, False)


def test_a_script_that_is_cut_does_not_become_text() -> None:
    tally = Tally()
    assert plain_text(f"<p>{P1}</p><script>{'x = 1; ' * MAX_RAW}", tally) == P1
    assert tally.raw_cut == 1
    assert len("x = 1; ") * MAX_RAW > READ_AHEAD


def test_the_frame_of_a_page_alone_makes_no_page() -> None:
    assert not is_page("<html><body><p>x</p></body></html>")
    assert is_page("<html><head><title>x</title></head><body><p>x</p></body></html>")
