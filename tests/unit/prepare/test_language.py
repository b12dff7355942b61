"""A text has a language, told with a confidence."""

import pytest

from rerank_core.prepare.language import TOLD, language, script_of
from rerank_core.storage.languages import canonical

ENGLISH = (
    "The ministry of transport said on Monday that the new line between the two cities would open in the spring. "
    "Tickets go on sale in January, and the first trains leave before dawn. Engineers have tested the bridges "
    "through the winter, and the inspectors found no fault with them."
)
SPANISH = (
    "El ministerio de transporte anunció el lunes que la nueva línea entre las dos ciudades abrirá en primavera. "
    "Los billetes se venden desde enero y los primeros trenes salen antes del amanecer. Los ingenieros probaron "
    "los puentes durante el invierno y los inspectores no encontraron ningún defecto."
)
NORWEGIAN = (
    "Samferdselsministeren sa på mandag at den nye linjen mellom de to byene skal åpne til våren. Billettene blir "
    "lagt ut for salg i januar, og de første togene går før det blir lyst. Ingeniørene har prøvd broene gjennom "
    "hele vinteren, og kontrollørene fant ingen feil ved dem."
)
CHINESE = "交通部门周一表示，两座城市之间的新线路将于春季开通，车票一月起发售，首班列车清晨出发。" * 6


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
    assert language(text, claimed=claimed).code == lang


@pytest.mark.parametrize(
    ("text", "claimed", "lang"),
    [(SPANISH, "en", "es"), (CHINESE, "en", "zh"), (ENGLISH, "zh", "en"), (ENGLISH, "ig", "en")],
)
def test_a_text_that_plainly_contradicts_the_claim_overrules_it(text: str, claimed: str, lang: str) -> None:
    found = language(text, claimed=claimed)
    assert (found.code, found.overruled) == (lang, True)
    assert found.confidence >= 0.95


@pytest.mark.parametrize(
    ("text", "claimed"),
    [
        (SPANISH[:90], "en"),  # short: names and quotations can be all of it
        (NORWEGIAN, "nb"),  # the statistics know it by another code
        (NORWEGIAN, "nn"),  # near relatives
        (CHINESE[:60] + ENGLISH, "zh"),
        (ENGLISH, "en-GB"),
        ("", "zh"),
    ],
)
def test_a_claim_that_the_text_does_not_plainly_contradict_stands(text: str, claimed: str) -> None:
    found = language(text, claimed=claimed)
    assert (found.code, found.overruled) == (canonical(claimed), False)


def test_the_confidence_is_that_of_the_text_in_the_language_that_is_kept() -> None:
    assert language(ENGLISH, claimed="en").confidence > 0.9
    assert language("solar power", claimed="en").confidence < 0.9
    assert language(CHINESE, claimed=None).confidence == 1.0
    assert language("2026 · 11 · 22", claimed="de").confidence == 0.0


def test_a_text_without_letters_has_no_language() -> None:
    assert language("2026-11-22", claimed=None).code == "und"


@pytest.mark.parametrize(
    ("text", "claimed", "lang"),
    [
        ("서울시, 새 배수펌프장 검사 통과", "en", "ko"),
        ("John Miller和Anna Keller在Reuters发表报道", "en", "zh"),
        ("कोर्ट ने फैसला सुनाया है और सरकार को आदेश दिया", "en", "hi"),
        ("МОСКВА ОТКРЫЛА НОВУЮ ЛИНИЮ", "en", "ru"),
        ("کتاب‌های تازه در تهران", "en", "fa"),
        ("Ο πρωθυπουργός", "en", "el"),
        ("衆院選、自民党圧勝", "en", "ja"),
        ("Oil prices rise as talks stall in Geneva", "zh", "en"),
        ("Le maire de Paris inaugure une nouvelle ligne de tram", "ar", "fr"),
    ],
)
def test_the_script_overrules_a_claim_at_any_length(text: str, claimed: str, lang: str) -> None:
    found = language(text, claimed=claimed)
    assert (found.code, found.overruled) == (lang, True)


@pytest.mark.parametrize(
    ("text", "claimed", "lang"),
    [
        ("Samsung Galaxy Unpacked 2026 행사", None, "ko"),
        ("衆院選、自民党圧勝", None, "ja"),
        ("衆院選、自民党圧勝", "jpn", "ja"),
        ("市議會通過新電車路線", None, "zh"),
        ("市議會通過新電車路線", "cmn-Hant", "zh"),
        ("Apple iPhone 17 Pro Max", "zh", "zh"),
        ("Apple iPhone 17 Pro Max review", "zh", "zh"),
        ("Dilli mein aaj bhari barish hui aur sadkon par pani bhar gaya", "hi", "hi"),
        ("Beograd danas otvara novi most na reci", "sr", "sr"),
        ("What is Hangul (한글)?", "en", "en"),
        ("Regjeringen la fram budsjett", "nb-NO", "no"),
        ("Presiden tinjau banjir Jakarta", "in_ID", "id"),
        ("Shalom", "iw", "he"),
        ("Man dies", "eng", "en"),
        ("Man dies", "English", "en"),
        ("2026", "zho", "zh"),
    ],
)
def test_names_in_latin_letters_do_not_hide_the_language(text: str, claimed: str | None, lang: str) -> None:
    found = language(text, claimed=claimed)
    assert (found.code, found.overruled, found.unknown) == (lang, False, False)


@pytest.mark.parametrize(
    "text", ["Oil rises", "Tesla recall", "Real Madrid gana", "PSG bat le Real", "future"]
)
def test_a_weak_guess_is_no_language(text: str) -> None:
    found = language(text, claimed=None)
    assert (found.code, found.unknown) == ("und", False)
    assert found.confidence < TOLD


@pytest.mark.parametrize("claimed", ["xx", "klingonese", "q", "x-default", "EN*"])
def test_a_claim_that_is_not_understood_is_said(claimed: str) -> None:
    assert language(ENGLISH, claimed=claimed).unknown
    assert language(ENGLISH, claimed=claimed).code == "en"
    assert language("Oil rises", claimed=claimed).code == "und"


@pytest.mark.parametrize(
    ("text", "script"),
    [("芯片", "Han"), ("選挙の", "Kana"), ("выборы", "Cyrillic"), ("iPhone", None), ("苹果 iPhone", "Han"), ("1984", None)],
)  # fmt: skip
def test_the_script_of_a_term_is_told(text: str, script: str | None) -> None:
    assert script_of(text) == script
