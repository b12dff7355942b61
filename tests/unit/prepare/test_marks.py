"""Marks keep stories in the same words apart, however a number is written. All texts are invented."""

import pytest

from rerank_core.prepare.marks import Marks, marks


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


def test_what_marks_say_comes_back_from_their_text() -> None:
    for text in (
        "Bridge over the Lys opens\n\nThe town counted 9,000 cars on the first day, a Monday, after four years.",
        "常务会议\n\n新华社北京10月8日电 会议听取了第三轮检查的汇报。",
        "No. 3, part II of the 4 stories\n\nin 2024",
        "nothing\n\nat all",
    ):
        assert Marks.of_text(marks(text).to_text()) == marks(text)
