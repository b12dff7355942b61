"""A text has BM25 terms, by the script that it is written in."""

import pytest

from rerank_core.prepare.terms import terms


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
