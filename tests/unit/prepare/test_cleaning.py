"""Raw text of the web becomes clean text, step by step; each step can be left out."""

import pytest

from rerank_core.prepare.cleaning import MAX_RAW, STEPS, Cleaning, Tally, clean


def plain_text(raw: str | None) -> str:
    return clean(raw, cleaning=Cleaning(), tally=Tally())


PAGE = """<!doctype html><html><head><title>Chips</title><style>p {color: red}</style>
<script>var tracker = "spy"</script></head><body><article><h1>Chip exports rise</h1>
<p>Exports of chips rose by a tenth last year, the ministry said on Monday in its report.</p>
<p>Makers &amp; buyers welcomed it.</p></article><script>alert("late")</script></body></html>"""


def test_a_page_gives_its_article_without_scripts_and_styles() -> None:
    text = plain_text(PAGE)
    assert "Exports of chips rose by a tenth" in text
    assert "Makers & buyers welcomed it." in text
    for hidden in ("tracker", "spy", "alert", "color", "<"):
        assert hidden not in text


def test_a_fragment_keeps_every_block_on_a_line_of_its_own() -> None:
    raw = "<p>One &lt; two.</p><p>Three</p><ul><li>four</li></ul><script>five()</script><style>six{}</style>"
    assert plain_text(raw) == "One < two.\nThree\n- four"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (None, ""),
        ("", ""),
        ("plain text stays", "plain text stays"),
        ("AT&amp;T &quot;up&quot;", 'AT&T "up"'),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<b>bold</b> tail", "bold tail"),
        ("  many   spaces \t and\r\n\r\n\r\nlines  ", "many spaces and\nlines"),
        ("nul\x00 bell\x07 gone", "nul bell gone"),
        ("one\x0btwo\x1fthree", "one two three"),
        ("<![cdata[<p>A & B</p>]]>", "A & B"),
        ("cafe\u0301", "café"),
        ("it’s “quoted”", "it’s “quoted”"),
        ("voilÃ  l’Ã©tÃ©", "voilà l’été"),
        ("<p></p>", ""),
        ("<script>only()</script>", ""),
        ("<!-- only -->", ""),
    ],
)
def test_plain_text_of(raw: str | None, text: str) -> None:
    assert plain_text(raw) == text


def test_chinese_full_width_punctuation_is_kept() -> None:
    sentence = "国务院印发《规划》，提出：到２０３０年“领先”！（完）"
    assert plain_text(sentence) == sentence
    assert plain_text(f"<p>{sentence}</p>") == sentence


@pytest.mark.parametrize(
    "raw",
    [
        "<div>" * 20_000 + "deep",
        "<p" * 10_000,
        "&" * 10_000,
        "<![CDATA[ x ]]>",
        "<a href='",
        "<a " + "=" * 500_000,
    ],
)
def test_broken_markup_does_no_harm(raw: str) -> None:
    assert isinstance(plain_text(raw), str)


def without(*steps: str) -> Cleaning:
    return Cleaning(without=frozenset(steps))


def changed(raw: str) -> set[str]:
    """Steps that did something to this text."""
    tally = Tally()
    clean(raw, cleaning=Cleaning(), tally=tally)
    return tally.changed


@pytest.mark.parametrize(
    ("raw", "steps"),
    [
        ("plain text stays", set()),
        ("<![CDATA[<p>late</p>]]>", {"decode", "extract"}),
        ("1 < 2 &amp; 3", {"decode"}),
        ("<b>bold</b>", {"extract"}),
        ("lâ€™Ã©tÃ©", {"repair"}),
        ("cafe\u0301", {"normalise"}),
        ("zero\u200bwidth", {"normalise"}),
        ("One sentence.\nSubscribe now", {"boilerplate"}),
    ],
)
def test_each_step_does_its_own_work_and_is_counted(raw: str, steps: set[str]) -> None:
    assert changed(raw) == steps
    for step in steps:
        assert clean(raw, cleaning=without(step), tally=Tally()) != plain_text(raw)


def test_a_step_that_is_left_out_leaves_the_text_to_the_others() -> None:
    raw = "<p>voilÃ&nbsp; l’Ã©tÃ©</p>"
    assert clean(raw, cleaning=without("repair"), tally=Tally()) == "voilÃ  l’Ã©tÃ©".replace("  ", " ")
    assert clean("<b>x</b>", cleaning=without("extract"), tally=Tally()) == "<b>x</b>"


def test_what_postgres_cannot_hold_goes_even_where_no_step_is_taken() -> None:
    assert clean("a\x00b\ud800c", cleaning=without(*STEPS), tally=Tally()) == "abc"


def test_bytes_that_were_misread_are_mended_before_the_parser_loses_them() -> None:
    assert plain_text("<p>itâ\x80\x99s cafÃ© time</p>") == "it’s café time"
    assert plain_text("<p>up to 33\u00c2\u00a0hours, voil\u00c3\u00a0</p>") == "up to 33 hours, voilà"


@pytest.mark.parametrize(
    "text", ["STANDARD OIL <SRD> TO FORM UNIT", "if a <b and c> d", "x <3 y", "<unknown>tag</unknown>"]
)
def test_angle_brackets_that_are_no_html_are_text(text: str) -> None:
    assert plain_text(text) == text


def test_lines_that_were_broken_at_a_fixed_width_become_paragraphs() -> None:
    raw = (
        "The harbour company said that it would sell all of its\n500,000 shares.\n    The price was not told, and the mayor made"
        " no\ncomment.\n    Net profit 1.2 mln\n    Sales 3.4 mln\nThe company has owned the shares since the harbour was built"
    )
    assert plain_text(raw) == (
        "The harbour company said that it would sell all of its 500,000 shares.\n"
        "The price was not told, and the mayor made no comment.\n"
        "Net profit 1.2 mln\nSales 3.4 mln\nThe company has owned the shares since the harbour was built"
    )


def test_other_line_breaks_of_plain_text_stay() -> None:
    poem = "The ferry sails\nat nine\nand the harbour\nis quiet"
    assert plain_text(poem) == poem


def test_letters_without_width_and_overrides_of_direction_are_left_out() -> None:
    assert plain_text("so\u00adlar\u200b po\ufeffwer\u202egnp\u202c\U000e0041") == "solar powergnp"


def test_a_list_that_is_all_links_is_left_out_and_one_that_says_something_stays() -> None:
    links = "<ul><li><a href='/1'>Harbour reopens</a></li><li><a href='/2'>Storm passes</a></li></ul>"
    facts = "<ul><li>Length: <a href='/3'>three</a> kilometres</li><li>Lanes: six</li></ul>"
    assert plain_text(f"<p>The bridge opened on Monday.</p>{links}") == "The bridge opened on Monday."
    assert "Lanes: six" in plain_text(f"<p>The bridge opened on Monday.</p>{facts}")


BODY = (
    "<p>The bridge over the river opened on Monday after four years of work.</p><p>It has six lanes, two of them for"
    " buses, and a path for those who walk. The old ferry, which took a quarter of an hour to cross, makes its last"
    " trip on Sunday; its crew of nine will work in the harbour.</p>"
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<p>1,204 views</p>", "<p>1,377 views</p>"),
        ("<p>By the desk | 12 comments</p>", "<p>By the desk | 13 comments</p>"),
        ("<span>阅读 1.2万+</span>", "<span>阅读 1.3万+</span>"),
        ("<p>3 hours ago</p>", "<p>5 hours ago</p>"),
        (
            "<h3>Related articles</h3><p>Storm passes</p><p>Harbour reopens</p>",
            "<h3>Related articles</h3><p>Is the tunnel next?</p>",
        ),
        (
            "<ul><li><a>Storm passes</a></li><li><a>A ferry sinks</a></li></ul>",
            "<ul><li><a>Other</a></li><li><a>Ones</a></li></ul>",
        ),
        (
            "<h4>相关阅读</h4><p><a>港口重新开放</a></p>",
            "<h4>相关阅读</h4><p><a>隧道动工</a></p><p><a>台风来了</a></p>",
        ),
    ],
)
@pytest.mark.parametrize("frame", ["{}", "<html><body><article>{}</article></body></html>"])
def test_a_counter_or_a_list_of_links_does_not_change_the_text(before: str, after: str, frame: str) -> None:
    texts = {plain_text(frame.format(BODY + extra)) for extra in (before, after)}
    assert len(texts) == 1
    assert "opened on Monday" in texts.pop()


def test_a_short_fragment_keeps_its_lines() -> None:
    raw = "<div><p>It opened.</p><p>Subscribe now</p><p>It is long.</p></div>"
    assert plain_text(raw) == "It opened.\nIt is long."


def test_of_a_page_that_says_little_the_lists_of_links_go_too() -> None:
    page = "<html><body><p>The bridge opened on Monday.</p><ul><li><a>{}</a></li><li><a>Two</a></li></ul></body></html>"
    assert (
        plain_text(page.format("One")) == plain_text(page.format("Other")) == "The bridge opened on Monday."
    )


def test_of_a_text_without_end_only_the_beginning_is_read() -> None:
    assert clean("word " * MAX_RAW, cleaning=without(*STEPS), tally=Tally()) == ("word " * MAX_RAW)[:MAX_RAW]


def test_the_article_below_much_script_is_found() -> None:
    script = f"<script>{'x = 1; ' * 100_000}</script>"
    page = f"<html><head>{script}</head><body><article>{BODY}</article></body></html>"
    assert "opened on Monday" in plain_text(page)
