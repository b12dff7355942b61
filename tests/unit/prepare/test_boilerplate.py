"""Lines that rules describe are left out, if their form, their neighbours and their list allow it. Shipped rules: test_rules.py."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from rerank_core.errors import SettingsError
from rerank_core.prepare import boilerplate
from rerank_core.prepare.cleaning import Cleaning, Tally, clean

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data"
SHIPPED = boilerplate.load()


def stripped(text: str, rules: boilerplate.Boilerplate = SHIPPED) -> str:
    return rules.strip(text)[0]


@pytest.mark.parametrize(
    "sentence",
    [
        "责任编辑王小明在会上介绍了经验。",
        "市民扫码支付乘车费用已成常态。",
        "这款应用上线首日下载量突破百万次，客户端一度瘫痪。",
        "外交部发言人强调，此举不代表本国立场有任何变化。",
        "日本网友转载了这段视频。",
        "央视网消息（新闻联播）：大桥今天通车。",
        "阅读是他一生的爱好。",
        "评论认为，谈判仍有空间。",
        "Readers can subscribe now to the city's new alert service, the mayor said.",
        "He signed up for the army at eighteen.",
        "The video had 1,204 views by noon.",
        "Three comments were removed by the court.",
        "Share prices fell by a tenth.",
        "Advertisement revenue fell at the broadcaster last year.",
        "Read more slowly, the teacher told them.",
        "All rights were reserved by the estate, said the judge.",
        "It happened 3 hours ago, the police said.",
        "Follow the money, the auditor said.",
    ],
)
def test_an_ordinary_sentence_stays(sentence: str) -> None:
    assert SHIPPED.strip(sentence) == (sentence, 0)


def test_of_a_line_in_pieces_only_those_that_a_rule_describes_are_left_out() -> None:
    assert stripped("By Jane Doe | 1,204 views | Harbour desk · 3 comments") == "By Jane Doe | Harbour desk"


def test_a_bar_in_a_sentence_is_left_alone() -> None:
    assert stripped("The pipe sign | is a bar.") == "The pipe sign | is a bar."


def test_a_bracket_at_the_end_of_a_sentence_is_cut_off_where_a_rule_describes_it() -> None:
    assert SHIPPED.strip("大桥今天通车。（责任编辑：王小明）") == ("大桥今天通车。", 1)
    assert stripped("大桥今天通车（全长三公里）") == "大桥今天通车（全长三公里）"


def test_below_a_heading_of_links_the_short_lines_go_until_a_sentence_comes() -> None:
    text = "The bridge opened.\nRelated articles\nHarbour reopens\nIs the tunnel next?\nThe mayor spoke at length.\nA list"
    assert SHIPPED.strip(text) == ("The bridge opened.\nThe mayor spoke at length.\nA list", 3)


def test_a_heading_of_links_in_chinese() -> None:
    assert stripped("大桥通车。\n相关阅读\n港口重新开放\n隧道何时动工") == "大桥通车。"


def test_a_very_long_line_is_prose_whatever_it_begins_with() -> None:
    line = "责任编辑：" + "大桥今天通车，" * 60
    assert stripped(line) == line


def written(tmp_path: Path, text: str, name: str = "ours.txt") -> Path:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_user_adds_rules_by_a_file_or_a_folder(tmp_path: Path) -> None:
    line = "Brought to you by the harbour pilots"
    assert stripped(line) == line
    file = written(tmp_path, "// our own\n[lines]\nbrought to you by *\n")
    assert stripped(line, boilerplate.load(file)) == ""
    assert stripped(line, boilerplate.load(tmp_path)) == ""
    assert stripped("责任编辑：王小明", boilerplate.load(file)) == ""


def test_numbers_and_any_text_are_all_that_a_rule_can_leave_open(tmp_path: Path) -> None:
    rules = boilerplate.load(written(tmp_path, "[lines]\n(a.c) is # of *\nplain.\n"))
    assert [stripped(line, rules) for line in ("(a.c) is 1,000 of those", "PLAIN")] == ["", ""]
    for line in ("(abc) is 1 of those", "(a.c) is one of those", "plain words"):
        assert stripped(line, rules) == line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("subscribe\n", r"line 1: rule 'subscribe' has no kind; put a mark such as \[lines\] above it"),
        ("[line]\n", r"line 1: expected one of \[lines\], \[beside\], .*, \[sections\], found \[line\]"),
        ("[lines]\n\n*\n", "line 3: rule '\\*' would remove almost any line"),
        ("[lines]\n* a *\n", "line 2: .* would remove almost any line"),
        ("[lines]\n…\n", "line 2: .* would remove almost any line"),
        ("[lines]\n<name>\n", "line 2: .* would remove almost any line"),
        (
            "[lines]\nwe use *.\n",
            "line 2: .* ends as a sentence, and takes none, because it is open at an end",
        ),
        ("[lines]\n*の記事。\n", "line 2: .* ends as a sentence, and takes none"),
    ],
)
def test_a_fault_in_a_users_rules_is_named_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        boilerplate.load(written(tmp_path, text))


RULES = """
[lines]
advert
share on <name>
we use * on this site.
photo: <name>
updated: <time>
[beside]
help
share
print
[headings]
more news
[sections]
weather
city
"""


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> boilerplate.Boilerplate:
    """These rules and no others."""
    monkeypatch.setattr(boilerplate, "RULES", tmp_path / "none")
    return boilerplate.load.__wrapped__(written(tmp_path, RULES))


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("Help\nThe bridge opened.", "Help\nThe bridge opened."),
        ("A first word\nHelp", "A first word\nHelp"),
        ("It opened.\nAdvert\nHelp\nIt is long.", "It opened.\nIt is long."),
        ("It opened.\nHelp\nAdvert\nIt is long.", "It opened.\nIt is long."),
        ("It opened.\nHelp\nShare\nIt is long.", "It opened.\nHelp\nShare\nIt is long."),
        ("It opened.\nHelp\nShare\nPrint\nIt is long.", "It opened.\nIt is long."),
        ("It opened.\nHelp!\nAdvert", "It opened.\nHelp!"),
        ("It opened.\n___\nHelp", "It opened.\nHelp"),
        ("It opened.\nHelp Share Print\nIt is long.", "It opened.\nIt is long."),
        ("It opened.\nHelp Share\nIt is long.", "It opened.\nHelp Share\nIt is long."),
    ],
)
def test_a_word_of_buttons_goes_in_company_and_stays_alone(
    text: str, rest: str, ours: boilerplate.Boilerplate
) -> None:
    assert stripped(text, ours) == rest


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("The app can:\n- Advert\n- Share on Facebook", "The app can:\n- Advert\n- Share on Facebook"),
        ("It opened.\n- tram\n- Advert\n- bus", "It opened.\n- tram\n- Advert\n- bus"),
        ("It opened.\n- Advert\n- Share on Facebook\nEnd.", "It opened.\nEnd."),
        ("Advert:\n- Share on Facebook\n- Advert", ""),
        (
            "More news\n- Harbour reopens today\n- Storm passes the coast\nWhat comes next\nIt is long.",
            "What comes next\nIt is long.",
        ),
        ("More news\n- tram\n- bus\nIt is long.", "More news\n- tram\n- bus\nIt is long."),
        ("我们同意：\n- Advert\n- Advert", "我们同意：\n- Advert\n- Advert"),
    ],
)
def test_a_list_that_is_content_stays_whole(text: str, rest: str, ours: boilerplate.Boilerplate) -> None:
    assert stripped(text, ours) == rest


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (
            "It opened.\nStorm passes the coast 2026-11-21 Weather\nMayor opens a school 2026-11-20 City",
            "It opened.",
        ),
        (
            "It opened.\nWeather | Storm passes the coast | 21 November 2026\nCity | Mayor opens a school | 20 November 2026",
            "It opened.",
        ),
        ("It opened.\nStorm passes the coast 3 hours ago\nMayor opens a school vor 3 Stunden", "It opened."),
        (
            "It opened.\nStorm passes the coast 2026-11-21 Weather",
            "It opened.\nStorm passes the coast 2026-11-21 Weather",
        ),
        (
            "Dates:\nVienna, Arena, 21 November 2026\nPrague, Hall, 22 November 2026",
            "Dates:\nVienna, Arena, 21 November 2026\nPrague, Hall, 22 November 2026",
        ),
        ("It opened.\n2026-11-21 City\n2026-11-20 City", "It opened.\n2026-11-21 City\n2026-11-20 City"),
    ],
)
def test_two_lines_of_other_news_with_date_and_section_go(
    text: str, rest: str, ours: boilerplate.Boilerplate
) -> None:
    assert stripped(text, ours) == rest


def test_lists_of_other_news_in_chinese_go() -> None:
    news = "青林市公布冬季供暖时间 2026-11-13 民生\n[社会] 夜间公交增加两条线路 (11-12 08:30)\n市图书馆延长开放时间 2小时前"
    assert stripped(f"大桥今天通车。\n{news}") == "大桥今天通车。"


@pytest.mark.parametrize(
    ("line", "goes"),
    [
        ("We use cookies on this site.", True),
        ("We use cookies on this site. Share on Facebook!", True),
        ("We use cookies on this site. The minister spoke.", False),
        ("Share on Facebook. " * 20, True),
        ("Share on Facebook. " * 60, False),
        ("\u201cShare on Facebook.\u201d", False),
        ("Share on Facebook and regret it", False),
    ],
)
def test_a_line_of_several_sentences_goes_if_each_of_them_does(
    line: str, goes: bool, ours: boilerplate.Boilerplate
) -> None:
    line = line.strip()
    assert stripped(f"It opened.\n{line}", ours) == ("It opened." if goes else f"It opened.\n{line}")


SHAPES = {
    "a line of openings": "Share on " * 11_000,
    "a line of brackets": "(" * 100_000,
    "a line of bars": " | a" * 25_000,
    "lines of openings": "photo: a\n" * 11_000,
    "lines of many names": ("photo: " + "Jane Doe, " * 23 + "no\n") * 400,
    "lines of many dates": ("updated: " + "1 1 2026 " * 25 + "no\n") * 400,
    "lines of words twice": ("we use " + "on this site " * 17 + "\n") * 400,
    "items": "- Help\n" * 14_000,
    "buttons": "Help Share " * 9_000,
    "dates": "1 hour ago " * 9_000,
    "sentences": "We use cookies on this site. " * 3_400,
    "quotes": "\u201c" * 100_000,
    "headings": "more news\n" * 10_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_a_text_of_any_shape_is_stripped_in_bounded_time(shape: str) -> None:
    started = time.process_time()
    SHIPPED.strip(SHAPES[shape])
    assert time.process_time() - started < 10


def test_rules_that_are_not_there_or_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="RERANK_BOILERPLATE_RULES = .* is neither a file nor a folder"):
        boilerplate.load(tmp_path / "absent")
    (tmp_path / "bytes.txt").write_bytes(b"[lines]\n\xff\xfe\n")
    with pytest.raises(SettingsError, match=r"bytes\.txt cannot be read as UTF-8"):
        boilerplate.load(tmp_path)


@pytest.mark.parametrize("file", sorted(boilerplate.RULES.glob("lines_*.txt")), ids=lambda file: file.name)
def test_no_shipped_rule_stands_twice(file: Path) -> None:
    rules = [(kind, " ".join(rule.casefold().split())) for kind, rule in boilerplate.read(file)]
    assert sorted(rule for rule in set(rules) if rules.count(rule) > 1) == []


def test_no_shipped_rule_is_of_two_kinds() -> None:
    kinds = [getattr(SHIPPED, kind)._plain for kind in ("lines", "beside", "headings")]
    assert sum(map(len, kinds)) == len(set().union(*kinds))


@pytest.mark.parametrize("line", ["1", "+1", "2026", "| 1 | |", "| 3 hours ago | 分享 |", "10:00"])
def test_a_number_and_a_row_of_a_table_stay(line: str) -> None:
    text = f"It opened.\n{line}\nend"
    assert SHIPPED.strip(text) == (text, 0)


# Of the bundled sample, whose advertising and boilerplate lines say one of these.
MARKS = re.compile(
    "责任编辑：|点击下载APP|更多精彩内容请关注|转载请注明出处|^分享到：|Subscribe now to our newsletter|^Advertisement$"
    "|^Read more: "
)


def lines_of(texts: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """Lines of prepared texts, and those of them that the rules leave out."""
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for text in texts:
        before.update(text.split("\n"))
        after.update(stripped(text).split("\n"))
    return before, before - after


def test_of_the_sample_nearly_every_advertising_line_goes_and_no_other_line() -> None:
    without = Cleaning(without=frozenset({"boilerplate"}))
    bodies = [
        clean(json.loads(line)["body"], cleaning=without, tally=Tally())
        for name in ("articles.jsonl", "more_articles.jsonl")
        for line in (ROOT / "rerank_core/demo/sample" / name).read_text(encoding="utf-8").splitlines()
    ]
    lines, removed = lines_of(bodies)
    labelled = Counter({line: times for line, times in lines.items() if MARKS.search(line)})
    assert lines.total() > 450
    assert labelled.total() == 31
    taken = removed & labelled
    assert taken.total() == 29  # of the others one ends a sentence, one a list of sources
    assert removed - labelled == Counter()


def is_prose(line: str) -> bool:
    return len(line) >= 80 and not line.startswith(("http", "©"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data are not beside this repository")
def test_of_real_stories_and_paragraphs_less_than_one_ordinary_line_in_a_thousand_goes() -> None:
    pages = json.loads(
        (SHARED / "html/article_extraction_benchmark/ground-truth.json").read_text(encoding="utf-8")
    )
    stories = ["\n".join(filter(str.strip, page["articleBody"].split("\n"))) for page in pages.values()]
    lines, removed = lines_of(stories)
    prose, lost = (
        sum(times for line, times in found.items() if is_prose(line)) for found in (lines, removed)
    )
    assert prose > 2_000
    assert lost < prose / 1_000
    corpus = (SHARED / "relevance/xquad_multi/corpus.jsonl").read_text(encoding="utf-8").splitlines()
    paragraphs, removed = lines_of(json.loads(line)["text"] for line in corpus)
    assert paragraphs.total() > 1_400
    assert removed == Counter()
