"""A term of `must` or `must_not` is found as a word of its own script, however it is written."""

import pytest

from rerank_core.recall.filters import has_term


@pytest.mark.parametrize(
    ("term", "text", "found"),
    [
        ("AI", "new AI rules", True),
        ("AI", "he said again", False),
        ("AI", "AI芯片出口", True),
        ("ai", "GenAI", False),
        ("3.5", "version 3.5 is out", True),
        ("3.5", "version 345 is out", False),
        ("C++", "in C++, and", True),
        ("American football", "an American football team", True),
        ("智能", "人工智能", True),
        ("(a|b)*", "a", False),
        ("(a|b)*", "regex (a|b)* here", True),
    ],
)
def test_a_term_is_matched_as_it_stands_and_latin_ones_as_whole_words(
    term: str, text: str, found: bool
) -> None:
    assert has_term(text, term) == found


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("AI", "Vành đai 3 thông xe"),
        ("TS", "Så möts de igen"),
        ("ber", "Über die Brücke"),
        ("gal", "égal"),
        ("elk", "elkészítése"),
        ("vue", "prévue"),
        ("express", "expressão"),
        ("café", "cafés"),
        ("кот", "который"),
        ("मत", "हिम्मत"),
        ("नमस", "नमस्ते"),
        ("C", "the language C++"),
        ("C++", "the language C"),
        ("gal", "e\u0301gal"),
    ],
)
def test_a_letter_of_any_script_and_a_mark_belong_to_the_word(term: str, text: str) -> None:
    assert not has_term(text, term)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("Moody's", "Moody’s cuts rating"),
        ("Moody’s", "Moody's cuts rating"),
        ("Moody", "Moody’s cuts rating"),
        ("COVID-19", "COVID‑19 cases"),
        ("Zoe\u0308", "Zoë wins"),
        ("Zoë", "Zoe\u0308 wins"),
        ("GPT", "ＧＰＴ发布"),
        ("ＧＰＴ", "GPT发布"),
        ("istanbul", "İSTANBUL"),
        ("new york", "New\nYork"),
        ("new  york", "New\u00a0York"),
        ("کتاب‌ها", "نمایش کتاب‌ها"),
        ("کتاب‌ها", "نمایش کتابها"),
        ("کتابها", "نمایش کتاب‌ها"),
        ("کتاب", "نمایش کتاب‌ها"),
        ("москва", "МОСКВА ОТКРЫЛА НОВУЮ ЛИНИЮ"),
        ("STRASSE", "die Straße"),
        ("محمد", "مُحَمَّد"),
        ("น้ำท่วม", "กรุงเทพน้ำท่วมหนัก"),
        ("한국", "한국은"),
        ("Moody's", "Moody´s and Moody`s"),
        ("ısparta", "ISPARTA"),
        ('צה"ל', "צה״ל הודיע"),
        ("o'zbek", "oʻzbek tili"),
        ("2026", "२०२६ में"),
        ("coeur", "Cœur de ville"),
        ("हिंदी", "हिन्दी में"),
        ("น้ำ", "นํ้าท่วม"),
        ("ൻ", "ന്\u200d"),
    ],
)
def test_spellings_of_a_term_are_the_same(term: str, text: str) -> None:
    assert has_term(text, term)
