"""A fragment loses no letter of its visible text, whatever its elements, classes and depth."""

import os
from random import Random

import made_fragments
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_fragments import CLASSES

from rerank_core.prepare import fragment
from rerank_core.prepare.cleaning import Cleaning, Tally, clean

P1 = "The council approved the new tram line on Monday after a debate that lasted four hours and forty minutes."
P2 = "Work on the first section is to begin in March, and the mayor expects the trams to run within three years."
P3 = "Critics said that the cost had doubled since the plan was first shown to the public in the spring."


def plain_text(raw: str, tally: Tally | None = None) -> str:
    return clean(raw, cleaning=Cleaning(), tally=tally or Tally())


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (f"{P1}<p>{P2}</p>", (P1, P2)),
        (f"<p>{P1}</p>{P2}", (P1, P2)),
        (f"{P1}<p>{P2}</p><p>{P3}</p>", (P1, P2, P3)),
        (f"{P1}<h2>Head</h2><p>{P2}</p>", (P1, "Head", P2)),
        (
            "<b>LONDON</b> The line was approved in four hours.<p>It opens in March.</p>",
            ("LONDON The line was approved in four hours.", "It opens in March."),
        ),
        (
            "Three things approved:<ul><li>tram</li><li>bus</li></ul>",
            ("Three things approved:", "- tram", "- bus"),
        ),
        (
            "The mayor said:<blockquote>We will build it.</blockquote>",
            ("The mayor said:", "We will build it."),
        ),
        (
            'The mayor tweeted: <blockquote class="twitter-tweet"><p>We will build it</p></blockquote>',
            ("The mayor tweeted:", "We will build it"),
        ),
        (
            '<img src="a.jpg"/>The line was approved.<p>It opens in March.</p>',
            ("The line was approved.", "It opens in March."),
        ),
        (f"<figure><img src=x></figure>{P1}<p>{P2}</p>", (P1, P2)),
        (f"<figure><figcaption>{P1}</figcaption></figure><p>{P2}</p>", (P1, P2)),
        (f"{P1}<div>{P2}</div>", (P1, P2)),
        (f"{P1}<table><tr><td>{P2}</td></tr></table>", (P1, P2)),
        (f"{P1}<pre>{P2}</pre>", (P1, P2)),
        (f"{P1}<br><br><p>{P2}</p>", (P1, P2)),
        (f"<span>{P1}</span><p>{P2}</p>", (P1, P2)),
        (f"<div>{P1}<p>{P2}</p></div>", (P1, P2)),
        (f"<section>{P1}<p>{P2}</p></section>", (P1, P2)),
        (
            f"<div>{P1}</div><div>{P2}</div><p>The author is a reporter.</p>",
            (P1, P2, "The author is a reporter."),
        ),
        (
            f"<section><span>{P1}</span></section><section><span>{P2}</span></section><p>{P3}</p>",
            (P1, P2, P3),
        ),
        (
            "市议会星期一批准了新的电车线路。<p>工程将于三月开始。</p>",
            ("市议会星期一批准了新的电车线路。", "工程将于三月开始。"),
        ),
        (f"<html><body>{P1}<p>{P2}</p><p>{P3}</p></body></html>", (P1, P2, P3)),
        (f"<html><body><div id=x>{P1}<p>{P2}</p><p>{P3}</p></div></body></html>", (P1, P2, P3)),
        (f"<html><body><article>{P1}<p>{P2}</p></article></body></html>", (P1, P2)),
        (f"<header>{P1}</header><p>{P2}</p><p>{P2}</p>", (P1, P2, P2)),
        (f"{P1}<p>{P2}<p>{P3}", (P1, P2, P3)),
    ],
)
def test_text_beside_blocks_stays_in_its_order(raw: str, lines: tuple[str, ...]) -> None:
    assert plain_text(raw) == "\n".join(lines)


@pytest.mark.parametrize("name", CLASSES)
def test_no_class_takes_a_paragraph_away(name: str) -> None:
    assert plain_text(f'<p>{P3}</p><div class="{name}"><p>{P1}</p><p>{P2}</p></div>') == f"{P3}\n{P1}\n{P2}"
    assert plain_text(f'<p>{P3}</p><p class="{name}" id="{name}">{P1}</p>') == f"{P3}\n{P1}"


@pytest.mark.parametrize(
    "element",
    "center label address fieldset dialog menu marquee aside footer header main article section font button object output"
    " big nobr bdi dfn acronym dir hgroup legend meter progress search slot map ins tt strike details summary u mark".split(),
)
def test_no_element_of_content_takes_its_text_away(element: str) -> None:
    assert plain_text(f"<div><{element}>{P1}</{element}></div><p>{P3}</p>") == f"{P1}\n{P3}"


NO_CONTENT = (
    "annotation annotation-xml audio canvas datalist head iframe nav noembed noframes noscript rp rt rtc script select style"
    " svg template textarea title video"
).split()


@pytest.mark.parametrize("element", NO_CONTENT)
def test_elements_that_are_no_content_are_hidden_and_their_neighbours_stay(element: str) -> None:
    text = plain_text(f"<p>{P1}</p><{element}>secret <i>words</i></{element}><p>{P2}</p>")
    assert text == f"{P1}\n{P2}"


@pytest.mark.parametrize("element", NO_CONTENT)
def test_a_hidden_element_that_is_never_closed_hides_nothing(element: str) -> None:
    text = plain_text(f"<p>{P1}</p><{element}><p>{P2}</p>")
    assert text.startswith(P1)
    assert P2 in text


@pytest.mark.parametrize(
    "element", ["script", "iframe", "textarea", "style", "noscript", "video", "template", "select"]
)
def test_an_element_that_closes_itself_hides_nothing_else(element: str) -> None:
    assert plain_text(f"<p>{P1}</p><{element}/><p>{P2}</p>") == f"{P1}\n{P2}"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("<p>She said <q>we will not pay</q> and left.</p>", 'She said "we will not pay" and left.'),
        ("<p>10<sup>6</sup> and 10<sub>2</sub></p>", "10^6 and 10_2"),
        ("<p>10<sup>-6</sup>, 10<sup>−9</sup> and 10<sup><b> 3</b></sup></p>", "10^-6, 10^−9 and 10^3"),
        ("<p>H<sub>2</sub>O on the 1<sup>st</sup></p>", "H2O on the 1st"),
        ("<p>a word<sup>1</sup> with a note</p>", "a word^1 with a note"),
        ("<ruby>東京<rt>とうきょう</rt></ruby>で地震", "東京で地震"),
        ("<ruby>東京<rp>(<rt>とうきょう<rp>)</ruby>で地震", "東京で地震"),
        ("Donau<wbr>dampfschiff", "Donaudampfschiff"),
        ("<bdi>Ali</bdi> wins", "Ali wins"),
        ("<dfn>GDP</dfn> falls", "GDP falls"),
        ("100<nobr> km</nobr>", "100 km"),
        ("<big>Breaking</big>", "Breaking"),
        ("<math><mi>x</mi><mo>=</mo><mn>2</mn><annotation>x=2</annotation></math> holds", "x=2 holds"),
        ("<hl2>Trams by spring</hl2><p>It opens.</p>", "Trams by spring\nIt opens."),
        ("<p>oil<o:p></o:p> rises</p>", "oil rises"),
        ("<p>STANDARD OIL <SRD> TO FORM</p>", "STANDARD OIL <SRD> TO FORM"),
        ("<p>write to <ann@example.com></p>", "write to <ann@example.com>"),
        ("<p>see <https://example.com/a> now</p>", "see <https://example.com/a> now"),
        ("<p>Using <script> tags safely</p>", "Using <script> tags safely"),
        ("<p>Inside <!-- all is safe</p>", "Inside <!-- all is safe"),
        ('<a title="5" tall" href="x">A link</a> stays', "A link stays"),
        ("<p>It opens.</p><p style='display: none'>trap</p><p hidden>trap</p>", "It opens."),
        ("<p>It <a title='The hidden cost' href=x>opens</a>.</p>", "It opens."),
        ("<p>It opens.</p><div class='mt-4 hidden md:block'>It closes.</div>", "It opens.\nIt closes."),
        ("<p>Write <code title='display: none'>none</code>.</p>", "Write none."),
        ("<p aria-hidden=true data-x=hidden>It opens.</p>", "It opens."),
        ("<p hidden>trap<p>It opens.</p></p>", "It opens."),
        ("<p style='display:none'>trap<div>It opens.</div></p>", "It opens."),
        ("<p>It <!--> opens <!--->in <!-- a --!>March.<!-- b --></p>", "It opens in March."),
        ("<p>İstanbul'da<SCRIPT>trap</SCRIPT> açıldı</p>", "İstanbul'da açıldı"),
        ("<p>It opens in March. <a href='https://cut", "It opens in March."),
        ("<pre>one\n two</pre>", "one\ntwo"),
        ("First, <b>a</b>.\n\nSecond, b.", "First, a.\nSecond, b."),
    ],
)
def test_elements_within_a_line(raw: str, text: str) -> None:
    assert plain_text(raw) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (
            f"<table><tr><td><table><tr><td>{P1}</td></tr></table></td></tr><tr><td>{P2}</td></tr></table>",
            f"{P1}\n{P2}",
        ),
        (
            "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td></td></tr></table>end",
            "| a | b |\n| 1 | |\nend",
        ),
        ("<table><tr><td>a<td>b<tr><td>c<td>d</table>", "| a | b |\n| c | d |"),
        ("<table><tr><td><ul><li>10:00</li></ul></td><td>x</td></tr></table>", "| - 10:00 | x |"),
        (f"<table><tr><td>{P1} {P2} {P3}</td><td>side</td></tr></table>", f"{P1} {P2} {P3}\nside"),
        ("<table><caption>Votes</caption><tr><td>a</td><td>b</td></tr></table>", "Votes\n| a | b |"),
        ("<table><tr><td>a</td><td>b</td></tr>never closed", "| a | b never closed |"),
        ("<ul><li>a</li><li><p>b</p><p>c</p></li><li>d<ul><li>e</ul><li></ul>f", "- a\n- b\nc\n- d\n- e\nf"),
        ("<dl><dt>a<dd>b</dl>", "- a\n- b"),
    ],
)
def test_tables_and_lists_keep_their_order(raw: str, text: str) -> None:
    assert plain_text(raw) == text


LINKS = "<ul><li><a href=/1>Harbour reopens</a></li><li><a href=/2>Storm passes</a></li></ul>"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (f"<p>{P1}</p>{LINKS}<p>{P2}</p>", f"{P1}\n{P2}"),
        (f"<ul><li>{P1}{LINKS}</li><li>{P2}</li></ul>", f"- {P1}\n- {P2}"),
        ("<ul><li><a href=/1>Harbour reopens</a></li></ul>x", "- Harbour reopens\nx"),
        (
            f"{LINKS.removesuffix('</ul>')}<li>Three kilometres long</li></ul>",
            "- Harbour reopens\n- Storm passes\n- Three kilometres long",
        ),
        ("<p><a href=/1>One</a> <a href=/2>Two</a></p>", "One Two"),
    ],
)
def test_only_lists_that_are_all_links_go(raw: str, text: str) -> None:
    assert plain_text(raw) == text


@pytest.mark.parametrize("element", ["div", "font", "b", "span", "blockquote", "section", "ul", "table"])
@pytest.mark.parametrize("depth", [300, 20_000])
def test_depth_costs_no_letter(element: str, depth: int) -> None:
    raw = f"<{element}>" * depth + f"<p>{P1}</p>" + f"</{element}>" * depth + f"<p>{P2}</p>"
    assert plain_text(raw) == f"{P1}\n{P2}"


def test_elements_that_are_never_closed_cost_no_letter() -> None:
    raw = "".join(f"<p><font size=2>Paragraph {number}: the trams run." for number in range(300))
    assert plain_text(raw).split("\n") == [f"Paragraph {number}: the trams run." for number in range(300)]


def test_joiners_and_marks_of_direction_stay() -> None:
    for word in ("می‌خواهم کتاب‌ها", "क्‍ष", "ශ්‍රී", "👨‍👩‍👧 four", "שלום\u200f!"):
        assert plain_text(f"<p>{word}</p>") == word == plain_text(word)


def test_letters_that_the_writer_loses_are_put_back_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragment, "_written", lambda table: ["| lost |"])
    tally = Tally()
    raw = f"{P1}<table><tr><td>{P2}</td><td>x</td></tr></table><p>{P3}</p>"
    assert plain_text(raw, tally) == f"{P1}\n{P2}\nx\n{P3}"
    assert tally.restored == 1


# ── Generated fragments ─────────────────────────────────────────────────────────────────────────────


@settings(
    max_examples=int(os.environ.get("FRAGMENT_EXAMPLES", "300")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.randoms(use_true_random=False))
def test_no_letter_of_a_generated_fragment_is_lost(random: Random) -> None:
    made_fragments.check(*made_fragments.made(random))
