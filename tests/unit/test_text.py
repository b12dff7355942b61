"""Raw text of the web becomes clean text, a language and BM25 terms."""

import pytest

from rerank_core.text import language, plain_text, terms

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
    "raw", ["<div>" * 20_000 + "deep", "<p" * 10_000, "&" * 10_000, "<![CDATA[ x ]]>", "<a href='"]
)
def test_broken_markup_does_no_harm(raw: str) -> None:
    assert isinstance(plain_text(raw), str)


@pytest.mark.parametrize(
    ("text", "claimed", "lang"),
    [
        ("whatever", "zh-CN", "zh"),
        ("whatever", "EN", "en"),
        ("whatever", "pt_BR", "pt"),
        ("中国发布新一代人工智能发展规划", None, "zh"),
        ("中国发布新一代人工智能发展规划", "chinese", "zh"),
        ("東京でAIの新しい規制が発表されました", None, "ja"),
        ("삼성전자 실적 발표", "", "ko"),
        ("The minister said that the plan would be published on Monday.", None, "en"),
        ("Le ministre a déclaré que le plan serait publié lundi.", None, "fr"),
    ],
)
def test_the_language_is_the_sources_claim_where_it_is_one_else_told_from_the_text(
    text: str, claimed: str | None, lang: str
) -> None:
    assert language(text, claimed=claimed) == lang


@pytest.mark.parametrize(
    ("text", "lang", "expected"),
    [
        ("Solar power, SOLAR Power!", "en", ["solar", "power", "solar", "power"]),
        ("café 3.5 don't", "fr", ["café", "3", "5", "don", "t"]),
        ("人工智能", "zh", ["人工", "智能", "人工智能"]),
        ("东京都", "ja", ["东京", "京都"]),
        ("AIの規制", "ja", ["ai", "の規", "規制"]),
        ("삼성전자 실적", "ko", ["삼성", "성전", "전자", "실적"]),
        ("한", "ko", ["한"]),
        ("苹果iPhone发布", "zh", ["苹果", "iphone", "发布"]),
        ("ＡＩ２０３０", "zh", ["ai2030"]),
        ("……！", "zh", []),
        ("", "en", []),
    ],
)
def test_terms_of(text: str, lang: str, expected: list[str]) -> None:
    assert list(terms(text, lang=lang)) == expected


def test_one_japanese_letter_in_a_chinese_text_does_not_change_how_its_words_are_cut() -> None:
    assert {"人工智能", "发展"} <= set(terms("鲜の每日：人工智能发展", lang="zh"))


def test_a_japanese_query_without_kana_shares_its_terms_with_a_text_that_has_some() -> None:
    assert set(terms("東京都知事選", lang="ja")) <= set(terms("東京都知事選の結果", lang="ja"))
