"""A text has BM25 terms, by the script that it is written in."""

import unicodedata

import pytest

from rerank_core.prepare import terms as terms_module
from rerank_core.prepare.terms import folded, simplified, terms, words
from rerank_core.storage.languages import canonical


@pytest.mark.parametrize(
    ("text", "lang", "expected"),
    [
        ("Solar power, SOLAR Power!", "en", ["solar", "power", "solar", "power"]),
        ("café 3.5 don't", "fr", ["caf", "3.5", "don", "t"]),
        ("人工智能", "zh", ["人工", "智能", "人工智能", "工智"]),
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


@pytest.mark.parametrize(
    ("text", "lang", "expected"),
    [
        ("नमस्ते दुनिया", "hi", ["नमस्ते", "दुनिया"]),
        ("ప్రధానమంత్రిని", "te", ["ప్రధానమంత్రిని"]),
        ("தமிழ்நாடு முதல்வர்", "ta", ["தமிழ்நாடு", "முதல்வர்"]),
        ("প্রধানমন্ত্রী ঢাকায়", "bn", ["প্রধানমন্ত্রী", "ঢাকায়"]),
        ("ગુજરાત", "gu", ["ગુજરાત"]),
        ("ਪੰਜਾਬ", "pa", ["ਪੰਜਾਬ"]),
        ("ಕರ್ನಾಟಕ", "kn", ["ಕರ್ನಾಟಕ"]),
        ("കേരളം", "ml", ["കേരളം"]),
        ("ප්‍රධාන", "si", ["ප්රධාන"]),
    ],
)
def test_words_keep_their_combining_marks(text: str, lang: str, expected: list[str]) -> None:
    wanted = [unicodedata.normalize("NFKC", word) for word in expected]
    assert list(terms(text, lang=lang)) == wanted


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("ไม่มีน้ำ", "th"),
        ("ພາສາລາວ", "lo"),
        ("မြန်မာ", "my"),
        ("ខ្មែរ", "km"),
        ("กรุงเทพมหานคร", "th"),
    ],
)
def test_scripts_without_spaces_are_cut_into_pairs_of_graphemes(text: str, lang: str) -> None:
    found = list(terms(text, lang=lang))
    assert found
    assert all(unicodedata.category(term[0])[0] == "L" for term in found)
    assert set(found) <= set(terms(f"ก{text}", lang=lang) if lang == "th" else found)
    assert len(found) < len(text)


@pytest.mark.parametrize(
    ("one", "other", "lang"),
    [
        ("مُحَمَّد", "محمد", "ar"),
        ("שָׁלוֹם", "שלום", "he"),
        ("İstanbul", "istanbul", "tr"),
        ("كتــاب", "كتاب", "ar"),
        ("ＧＰＴ", "gpt", "en"),
        ("Zoe\u0308", "Zoë", "fr"),
        ("क्\u200dष", "क्ष", "hi"),
        ("شهر\u200f", "شهر", "fa"),
        ("葛\U000e0100", "葛", "ja"),
        ("U.S", "U.S.", "en"),
        ("vaccines", "vaccine", "en"),
        ("children", "child", "en"),
        ("Moody’s", "Moody's", "en"),
        ("發展計畫", "发展计划", "zh"),
        ("wolves", "wolf", "en"),
        ("\u00b4Tis `tis ’tis", "'tis 'tis 'tis", "en"),
        ("ISPARTA IŞIK", "ısparta ışık", "tr"),
        ("cœur", "coeur", "fr"),
        ("n’ayez", "n'ayez", "fr"),
        ("п’ять", "п'ять", "uk"),
        ("oʻzbek", "o'zbek", "uz"),
        ("צה״ל", 'צה"ל', "he"),
        ("צה״ל", "צהל", "he"),
        ("בית־ספר", "בית ספר", "he"),
        ("हिन्दी पाँच क़ानून", "हिंदी पांच कानून", "hi"),
        ("ന്\u200d", "ൻ", "ml"),
        ("นํ้า", "น้ำ", "th"),
        *((digits, "2026", "en") for digits in ("٢٠٢٦", "۲۰۲۶", "२०२६", "২০২৬", "๒๐๒๖", "၂၀၂၆", "២០២៦")),
    ],
)
def test_spellings_of_one_word_are_one_term(one: str, other: str, lang: str) -> None:
    assert list(terms(one, lang=lang)) == list(terms(other, lang=lang))


def test_a_word_with_a_zero_width_non_joiner_meets_each_of_its_spellings() -> None:
    found = set(terms("کتاب‌های تازه", lang="fa"))
    for query in ("کتاب‌های", "کتابهای", "کتاب های", "کتاب"):
        assert found & set(terms(query, lang="fa"))
    assert set(terms("می‌خواهم", lang="fa")) == {folded("میخواهم"), folded("می"), folded("خواهم")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C++", ["c++"]),
        ("C#", ["c#"]),
        ("F# and C", ["f#", "c"]),
        ("3.6.3", ["3.6.3"]),
        ("v2.0b1,", ["v2.0b1"]),
        ("GPT-5.4", ["gpt-5.4", "gpt", "5.4"]),
        ("COVID‑19", ["covid-19", "covid", "19"]),
        ("The U.S. vote", ["u.s.", "vote"]),
        ("rock'n'roll", ["rock'n'rol"]),
        ("5,000 trees.", ["5,000", "tree"]),
        ("2026. 11", ["2026", "11"]),
        ("a well-known man", ["well", "known", "man"]),
    ],
)
def test_names_with_signs_are_words(text: str, expected: list[str]) -> None:
    assert list(terms(text, lang="en")) == expected


@pytest.mark.parametrize(
    ("text", "lang", "expected"),
    [
        ("п'ять комп’ютерів", "be", ["пять", "компютерів"]),
        ('ב"הארץ" נכתב', "he", ["ב", "הארץ", "נכתב"]),
        ("l'élysée", "gl", ["l", "élysée"]),
    ],
)
def test_an_apostrophe_parts_words_in_some_languages_alone(text: str, lang: str, expected: list[str]) -> None:
    assert list(terms(text, lang=lang)) == expected


def test_an_english_query_meets_other_forms_of_its_words() -> None:
    query, text = terms("vaccines for children", lang="en"), terms("The vaccine for a child", lang="en")
    assert list(query) == list(text)


@pytest.mark.parametrize(
    ("query", "text", "lang"),
    [
        ("выборы президента", "выборов президент", "ru"),
        ("Wahlen", "die Wahl", "de"),
        ("élections municipales", "l'élection municipale", "fr"),
        ("elecciones", "elección", "es"),
        ("εκλογές", "εκλογών", "el"),
        ("الرئيس", "رئيس", "ar"),
        ("kitaplar", "kitap", "tr"),
        ("valgene", "valg", "no"),
        ("избори", "izbori", "sr"),
    ],
)
def test_a_query_meets_other_forms_of_its_words(query: str, text: str, lang: str) -> None:
    assert set(terms(query, lang=lang)) <= set(terms(text, lang=lang))


@pytest.mark.parametrize("lang", ["und", "vi", "fa"])
def test_control_words_of_other_languages_stay_as_they_are(lang: str) -> None:
    assert list(terms("les vaccines the", lang=lang)) == ["les", "vaccines", "the"]


def test_stop_words_are_left_out_in_english_alone() -> None:
    assert list(terms("the at", lang="fr")) == ["the", "at"]
    assert list(terms("the at", lang="en")) == []


def test_every_stemmer_has_the_code_that_documents_have_and_stems_no_word_to_nothing() -> None:
    for lang in terms_module._STEMMERS:
        assert canonical(lang) == lang
        for letter in "aeiousnтиы":
            assert list(terms(letter, lang=lang)) not in ([""], []) or lang == "en"


def test_a_simplified_query_meets_a_traditional_text() -> None:
    text = "立法院通過人工智慧發展計畫"
    assert simplified(text) == "立法院通过人工智慧发展计划"
    assert set(terms("人工智慧发展计划", lang="zh")) <= set(terms("人工智慧發展計畫", lang="zh"))
    assert simplified("unchanged") == "unchanged"


def test_japanese_keeps_its_own_characters() -> None:
    assert list(terms("東京", lang="ja")) == ["東京"]


def test_one_japanese_letter_in_a_chinese_text_does_not_change_how_its_words_are_cut() -> None:
    assert {"人工智能", "发展"} <= set(terms("鲜の每日：人工智能发展", lang="zh"))


def test_a_japanese_query_without_kana_shares_its_terms_with_a_text_that_has_some() -> None:
    assert set(terms("東京都知事選", lang="ja")) <= set(terms("東京都知事選の結果", lang="ja"))


@pytest.mark.parametrize(
    ("text", "lang", "expected"),
    [
        ("The solar panels of GPT-5.4", "en", ("the", "solar", "panels", "of", "gpt-5.4")),
        ("人工智能规划 iPhone", "zh", ("人工智能", "规划", "iphone")),
        ("日本の選挙", "ja", ("日本", "の選挙")),
        ("삼성전자 실적", "ko", ("삼성전자", "실적")),
        ("……！", "zh", ()),
    ],
)
def test_words_of_a_query_are_those_that_people_read(text: str, lang: str, expected: tuple[str, ...]) -> None:
    assert tuple(words(text, lang=lang)) == expected


@pytest.mark.parametrize("lang", ["en", "zh", "ja", "ko", "th", "de"])
def test_the_words_of_a_query_have_no_other_terms_than_the_query(lang: str) -> None:
    text = "The 人工智能 panels, 삼성전자 ประเทศไทย don't C++ U.S. の規制"
    found = words(text, lang=lang)
    assert {term for of_word in found.values() for term in of_word} <= set(terms(text, lang=lang))
    assert (found["the"] == ()) is (lang == "en")
