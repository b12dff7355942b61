"""What the marks of a rule stand for: names and times are told from prose by their form."""

import pytest

from rerank_core.prepare.patterns import Line, Rules, cased, folded, is_sentence, sentences
from rerank_core.prepare.slots import are_names, is_date, is_phrase, is_time


@pytest.mark.parametrize(
    "text",
    [
        "Jane Doe",
        "Will Dunham",
        "Jane Doe / Reuters",
        "dpa-infocom",
        "Getty Images",
        "The Guardian",
        "Le Monde",
        "John R. Smith",
        "Ann de Vries",
        "Mary Jane Doe, Koh Gui Qing and Tom Brown",
        "Jane Doe in London; Tom Brown in Paris",
        "新华社",
        "北岸日报客户端、新华社",
        "王小明 SN117",
        "共同通信社",
        "36氪",
    ],
)
def test_names(text: str) -> None:
    assert are_names(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a minister",
        "The minister never smiles",
        "Minister Never Smiles",
        "Mayor Opens New School",
        "der Minister",
        "Ein Minister, der nie lächelt",
        "unknown",
        "中国的稀土从哪里来",
        "不明",
        "笑わない大臣",
        "成绩，考生可登录官网",
        ", ".join(["Jane Doe"] * 11),
    ],
)
def test_no_names(text: str) -> None:
    assert not are_names(text)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("王小明", True),
        ("欧阳修远 李某", True),
        ("阿依古丽·买买提", True),
        ("一场骗局", False),
        ("骗局揭秘", False),
    ],
)
def test_a_person_in_chinese_has_a_surname(text: str, is_one: bool) -> None:
    assert are_names(text, persons=True) == is_one


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20",
        "20.11.2026, 18:05 uhr",
        "nov. 20, 2026 at 10:02 a.m. est",
        "20 de noviembre de 2026 a las 10:02",
        "19/11/2026 à 10:02",
        "2026年11月20日 18时05分",
        "11/19(木) 10:15",
        "monday, november 20, 2026",
    ],
)
def test_times(text: str) -> None:
    assert is_time(text)


@pytest.mark.parametrize(
    "text", ["", "3.07 3.08 -- 3.10 3.70", "2026 rules", "1 2 3", "the minister", "12", "10:02 tram"]
)
def test_no_times(text: str) -> None:
    assert not is_time(text)


def test_a_clock_alone_is_no_date() -> None:
    assert is_time("10:02 p.m")
    assert not is_date("10:02 p.m")
    assert is_date("2026-11-20 10:02")


def test_a_phrase_is_a_few_words_of_one_clause() -> None:
    assert is_phrase("match reports every Monday")
    assert is_phrase("管理员删除")
    for text in ("", "a b c d e f g h", "first, second", "管理员，我们将删除", "字" * 15):
        assert not is_phrase(text)


@pytest.mark.parametrize(
    ("line", "ends"),
    [
        ("It opened.", True),
        ("“It opened.”", True),
        ("It opened!", True),
        ("It opened…", True),
        ("大桥今天通车。（完）", False),
        ("大桥今天通车。", True),
        ("大桥通车！", True),
        ("यह खुला।", True),
        ("هل فتح؟", True),
        ("It opens", False),
        ("© Harbour Gazette Inc.", False),
        ("Photo: Jane D.", False),
        ("Vitamin is good.", True),
    ],
)
def test_the_end_of_a_sentence(line: str, ends: bool) -> None:
    assert is_sentence(line) == ends


def test_sentences_of_a_line() -> None:
    assert sentences("© Harbour Inc. All rights reserved. Log in? 通车。完工！") == [
        "© Harbour Inc. All rights reserved.",
        "Log in?",
        "通车。",
        "完工！",
    ]


@pytest.mark.parametrize(
    "line",
    ["Straße Groß / dpa", "ﬁne ﬂow", "İstanbul", "ＡＢＣ責任編輯", "“Quoted” (x)", "版 权 所 有，未 经"],
)
def test_a_line_with_capitals_is_as_long_as_the_folded_line(line: str) -> None:
    assert len(cased(line)) == len(folded(line))
    assert cased(line).casefold() == folded(line)


@pytest.mark.parametrize(
    ("rule", "line", "goes"),
    [
        ("foto: <name>", "Foto: Jörg Groß / dpa", True),
        ("编辑：<person> 校对：<person>", "编辑：王小明 校对：李某", True),
        ("<time> 来源：<name>", "2026-11-20 10:02来源：新华社", True),
        ("版权所有 <name>", "版权所有者胜诉", False),
        ("from * to * by <word>", "From here to there to anywhere by tram", True),
        ("from * to * by <word>", "From here to there", False),
        ("責任編輯：<name>", "责任编辑：王小明", True),
        ("# views", "1,204 views", True),
        ("related: <title>", "Related: Two men", True),
        ("related: <title>", "Related: two men", False),
    ],
)
def test_a_rule_describes_a_whole_line(rule: str, line: str, goes: bool) -> None:
    assert Rules([rule]).match(Line(line)) == goes
