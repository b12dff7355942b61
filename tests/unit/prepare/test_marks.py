"""Marks keep stories in the same words apart, however a number is written; corrections say so. All texts are invented."""

import time

import pytest

from rerank_core.prepare.marks import FIGURES, is_correction, marks


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Three dead in harbour fire", "Four dead in harbour fire"),
        ("Index falls 1.5 percent", "Index falls 1.8 percent"),
        ("Loan of 40 million agreed", "Loan of 40 billion agreed"),
        ("Town wins 3-1", "Town wins 1-3"),
        ("Weather for Monday", "Weather for Tuesday"),
        ("The week of March 3", "The week of March 4"),
        ("The talks of October", "The talks of November"),
        ("The Ledger, Vol. 3", "The Ledger, Vol. 4"),
        ("The long march, part II", "The long march, part III"),
        ("The long march", "The long march, part II"),
        ("Episode five: the quay", "Episode six: the quay"),
        ("Harbour diary (2)", "Harbour diary (3)"),
        ("Harbour wars II", "Harbour wars III"),
        ("Ledger #12", "Ledger #13"),
        ("读书周刊第12期", "读书周刊第13期"),
        ("读书周刊第十二期", "读书周刊第十三期"),
        ("海港旧事（上）", "海港旧事（下）"),
        ("海港旧事之二", "海港旧事之三"),
        ("港口火灾三人死亡", "港口火灾四人死亡"),
        ("星期一天气", "星期二天气"),
        ("十月八日新闻摘要", "十月九日新闻摘要"),
        ("投资3万元", "投资3亿元"),
        ("2024年年报", "2025年年报"),
    ],
)
def test_marks_that_differ_in_the_title_keep_texts_apart(one: str, other: str) -> None:
    body = "\n\nNobody on the quay could say more."
    first, second = marks(one + body), marks(other + body)
    assert first.contradict(second)
    assert second.contradict(first)
    assert not first.contradict(first)


@pytest.mark.parametrize(
    ("lang", "one", "other"),
    [
        ("en", "Twenty-one people died in the fire.", "Twenty-two people died in the fire."),
        ("en", "Thirty people died in the fire.", "Forty people died in the fire."),
        ("de", "Drei Menschen starben bei dem Brand.", "Vier Menschen starben bei dem Brand."),
        ("fr", "L'incendie a fait trois morts.", "L'incendie a fait onze morts."),
        ("es", "La reunión es en marzo.", "La reunión es en abril."),
        ("it", "Tre persone sono morte d'agosto.", "Quattro persone sono morte d'agosto."),
        ("ru", "Встреча пройдёт в марте.", "Встреча пройдёт в апреле."),
        ("uk", "П’ять людей загинули.", "Дев'ять людей загинули."),
        ("pl", "Trzy osoby zginęły w pożarze.", "Cztery osoby zginęły w pożarze."),
        ("tr", "Yangında üç kişi öldü.", "Yangında beş kişi öldü."),
        ("hi", "आग में पाँच लोग मरे।", "आग में सात लोग मरे।"),
        ("ko", "화재로 세 명이 숨졌다.", "화재로 네 명이 숨졌다."),
    ],
)
def test_numbers_and_months_in_words_of_any_language_keep_texts_apart(
    lang: str, one: str, other: str
) -> None:
    first, second = marks(one, lang=lang), marks(other, lang=lang)
    assert first.contradict(second)
    assert second.contradict(first)


@pytest.mark.parametrize(
    ("lang", "one", "other"),
    [
        ("de", "Drei Tote, 4 Verletzte", "3 Tote, vier Verletzte"),
        ("fr", "Onze morts le 3 mai", "11 morts le 3 mai"),
        ("fr", "Six morts", "6 morts"),
        ("es", "Once muertos", "11 muertos"),
        ("nl", "De brand ten oosten van de stad", "De brand bij de stad"),
    ],
)
def test_a_number_in_words_of_any_language_is_its_digits(lang: str, one: str, other: str) -> None:
    assert not marks(one, lang=lang).contradict(marks(other, lang=lang))


def test_every_line_of_figures_has_values_and_no_word_of_two_values() -> None:
    lines = [
        line
        for line in FIGURES.read_text(encoding="utf-8").splitlines()
        if ":" in line and not line.startswith("//")
    ]
    assert len(lines) > 20
    for line in lines:
        words = [word for value in line.partition(":")[2].split(",") for word in value.split()[1:]]
        assert len(words) == len(set(words)), line


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Two dead in fire", "2 dead in fire"),
        ("Sales of 1,204 units", "Sales of 1204 units"),
        ("Part II: the quay", "Part 2: the quay"),
        ("Vol. 3", "Volume three"),
        ("第十二期", "第12期"),
        ("二〇二四年十月八日", "2024年10月08日"),
        ("The week of March 3", "The week of 3 March"),
        ("Loan of 40 million", "Loan of 40 mln"),
        ("Bridge opens", "Bridge opens after 4 years"),  # what only one of them tells contradicts nothing
        ("一些人的意见", "一个人的意见"),
    ],
)
def test_other_ways_of_writing_a_number_keep_nothing_apart(one: str, other: str) -> None:
    body = "\n\nThe work took 4 years, from 一些 to 一个."
    assert not marks(one + body).contradict(marks(other + body))


@pytest.mark.parametrize(
    "title",
    [
        "CORRECTED: Jury finds banker not guilty",
        "Correction: Jury finds banker not guilty",
        "CORRECTION Jury finds banker not guilty",
        "UPDATE 2-CORRECTED-Jury finds banker not guilty",
        "[Corrected] Jury finds banker not guilty",
        "Jury finds banker not guilty (corrected)",
        "Jury finds banker not guilty – correction",
        "更正：陪审团裁定前银行家无罪",
        "【更正】陪审团裁定前银行家无罪",
        "陪审团裁定前银行家无罪（更正）",
        "更正启事：陪审团裁定前银行家无罪",
        "勘誤：陪審團裁定前銀行家無罪",
        "訂正：元銀行家に無罪の評決",
        "정정: 전 은행가에 무죄 평결",
        "Berichtigung: Bankier nicht schuldig",
        "Corrección: banquero no culpable",
        "Исправление: банкир невиновен",
        "सुधार: बैंकर निर्दोष",
        "(Corrects verdict) Jury finds banker not guilty",
        "Erratum: Jury finds banker not guilty",
        "Korrigierte Fassung: Bankier nicht schuldig",
        "Fe de errores: banquero no culpable",
        "정정보도: 전 은행가에 무죄 평결",
        "Jury finds banker not guilty\n\n(Corrects verdict in headline and first paragraph)",
    ],
)
def test_a_correction_says_so_in_its_title_or_above_its_body(title: str) -> None:
    assert is_correction(title + "\n\nA jury found the former banker not guilty on Monday.")


@pytest.mark.parametrize(
    "title",
    [
        "Correction in the stock market deepens",
        "Corrected forecasts lift shares",
        "Correcto: el árbitro acierta",
        "Rettet die Bienen: Volksbegehren beginnt",
        "Prisons: corrections officer held",
        "Korrektur der Prognose erwartet",
        "正式更正的消息让市场回升",
        "Jury finds banker guilty\n\nCorrection of the record took the court two hours.",
    ],
)
def test_a_title_that_speaks_of_a_correction_is_none(title: str) -> None:
    assert not is_correction(title + "\n\nNobody on the quay could say more.")


@pytest.mark.parametrize("sign", ["1", "五", "㊿"])
def test_a_text_that_is_one_long_number_is_read_once(sign: str) -> None:
    # Read again from each of its digits, it took ten seconds or more.
    begun = time.process_time()
    marks(sign * 19_000)
    assert time.process_time() - begun < 2


def test_a_number_before_its_date_may_have_twenty_digits() -> None:
    assert "99999999999999999999日" in marks("title\n\nbody 99999999999999999999日").figures
