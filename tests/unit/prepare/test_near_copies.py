"""Which texts are prints of one story: likeness by shingles, and marks that keep stories apart. All texts are invented."""

from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np
import pytest
from datasketch import MinHash

from rerank_core.prepare import near_copies, shingles
from rerank_core.prepare.marks import Marks
from rerank_core.prepare.near_copies import (
    BANDS,
    COMPARED,
    CROWD,
    LEAST_SHINGLES,
    PLACES,
    Texts,
    join,
    signature,
)
from rerank_core.prepare.story import Story

BRIDGE = (
    "Bridge over the Lys opens at last\n\nThe bridge over the Lys opened on Monday, four years after work began. The mayor"
    " walked across it with the children of the harbour school, while the ferry that it replaces made its last trip. The"
    " town counted 9,000 cars on the first day. The footpath is not finished: it follows in spring, when the last cranes"
    " have left the eastern bank. Shopkeepers of the old quay fear for their custom, and have asked for a bus that stops"
    " at the market on its way to the new road."
)
MEETING = (
    "{title}\n\n新华社北京{date}电 国务院总理{date}主持召开国务院常务会议，研究部署推动{matter}工作，听取有关情况汇报，"
    "审议通过一批政策文件。会议指出，要坚持问题导向，完善工作机制，压实各方责任，确保各项部署落到实处。会议强调，"
    "要加强统筹协调，形成工作合力，及时回应社会关切，推动相关领域改革不断取得新进展。会议还研究了其他事项。"
)
TITLE = "李强主持召开国务院常务会议"


def meeting(date: str, matter: str = "农村公路建设", title: str = TITLE) -> str:
    return MEETING.format(title=title, date=date, matter=matter)


def texts(
    *found: str,
    hours: Sequence[float] | None = None,
    published: Sequence[float] | None = None,
    langs: Sequence[str] | None = None,
) -> Texts:
    """These texts, in their order; all ingested at one time, and published nobody knows when."""
    codes = langs or [told(text) for text in found]
    signatures = [signature(text, lang=lang) for text, lang in zip(found, codes, strict=True)]
    assert all(one is not None for one in signatures), "a text of the test is too short"
    return Texts(
        np.asarray(signatures, dtype=np.uint32).reshape(len(found), PLACES),
        found,
        codes,
        np.asarray(hours or [0.0] * len(found)),
        np.asarray(published or [np.nan] * len(found)),
    )


def told(text: str) -> str:
    return "zh" if "\u4e00" <= text[0] <= "\u9fff" else "en"


NONE = texts()


def leaders(
    *found: str,
    similarity: float = 0.7,
    hours: Sequence[float] | None = None,
    published: Sequence[float] | None = None,
) -> list[int]:
    """What each text joins, by number; its own: it leads."""
    every = texts(*found, hours=hours, published=published)
    return join(NONE, every, similarity=similarity, hours=72.0).joined.tolist()


def likeness(one: str, other: str) -> float:
    first, second = signature(one, lang=told(one)), signature(other, lang=told(other))
    assert first is not None
    assert second is not None
    return float((first == second).mean())


def test_an_english_reprint_with_another_headline_and_a_shorter_end_is_a_near_copy() -> None:
    reprint = (
        "New bridge eases traffic\n\n" + BRIDGE.partition("\n\n")[2].rpartition(", and have asked")[0] + "."
    )
    assert leaders(BRIDGE, reprint) == [0, 0]


def test_a_chinese_reprint_with_another_headline_and_a_few_other_words_is_a_near_copy() -> None:
    first = meeting("10月8日")
    reprint = meeting("10月8日", title="国务院常务会议研究农村公路建设").replace(
        "听取有关情况汇报", "听取了情况汇报"
    )
    assert 0.7 < likeness(first, reprint) < 1
    assert leaders(first, reprint) == [0, 0]


def test_another_story_in_the_same_language_leads_a_cluster_of_its_own() -> None:
    other = (
        "Ferry company seeks a buyer\n\nThe company that ran the ferry for ninety years has asked for offers. Its two boats"
        " need new engines, its pier a new roof, and its eleven people new work. A museum in the capital would like the"
        " older of the boats, which was built for the fair and carried a king. Nobody has yet come forward for the rest."
    )
    assert leaders(BRIDGE, other) == [0, 1]


def test_punctuation_case_width_and_spaces_make_no_difference() -> None:
    assert likeness(BRIDGE, BRIDGE.upper().replace(",", " ,").replace(". ", " — ")) == 1
    first = meeting("10月8日")
    assert likeness(first, first.replace("10", "１０").replace("，", " ， ")) == 1


def test_meetings_under_one_title_on_other_days_do_not_merge() -> None:
    found = [meeting(date) for date in ("10月8日", "10月18日", "11月8日", "二〇二四年十二月八日")]
    assert likeness(found[0], found[1]) > 0.7
    assert leaders(*found) == [0, 1, 2, 3]


def test_another_headline_without_the_issue_mark_of_the_first_is_no_other_issue() -> None:
    first = meeting("10月8日", title="国务院第12次常务会议召开")
    assert leaders(first, meeting("10月8日", title="农村公路建设迎来新部署")) == [0, 0]
    assert leaders(first, meeting("10月8日", title="国务院第13次常务会议召开")) == [0, 1]
    assert leaders(first, meeting("10月8日", title="国务院常务会议召开")) == [0, 1], "one form, one mark"


def test_control_without_the_veto_these_meetings_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Marks, "contradict", lambda one, other, **how: False)
    assert leaders(*(meeting(date) for date in ("10月8日", "10月18日", "11月8日"))) == [0, 0, 0]


def test_figures_of_the_body_veto_only_where_each_text_has_some_that_the_other_lacks() -> None:
    table = "Prices\n\n" + BRIDGE.partition("\n\n")[2] + " Wheat stood at {}, rye at 31."
    assert leaders(table.format(17), table.format(19)) == [0, 1]
    assert leaders(table.format(17), table.format(17) + " Barley stood at 12.") == [0, 0]


def test_a_text_that_is_too_short_has_no_signature() -> None:
    words = [f"word{number}" for number in range(LEAST_SHINGLES + 2)]
    assert signature(" ".join(words), lang="en") is not None
    assert signature(" ".join(words[:-1]), lang="en") is None
    assert signature("港" * 500, lang="zh") is None, "the same shingle over and over is one"
    assert signature("", lang="en") is None


@pytest.mark.parametrize("count", [LEAST_SHINGLES, 5_000])
def test_signatures_are_those_of_the_library_datasketch(count: int) -> None:
    text = " ".join(f"word{number * number}" for number in range(count + 9))
    words = shingles.words(text)
    sketch = MinHash(num_perm=PLACES, hashfunc=int, scheme="affine32")
    sketch.update_batch(shingles.shingles(words, shingles.length_of(words)).tolist())
    made = signature(text, lang="en")
    assert made is not None
    assert made.tolist() == sketch.hashvalues.tolist()


def drifting(steps: int) -> list[str]:
    """Texts of which each is like the one before, and the last is not like the first."""
    words = [f"word{number}" for number in range(200)]
    return [
        " ".join(["by the Lys", *(f"new{n}" for n in range(step * 12)), *words[step * 12 :]])
        for step in range(steps)
    ]


def test_a_text_is_compared_with_the_leader_alone_and_not_with_those_that_joined_it() -> None:
    found = drifting(5)
    assert likeness(found[0], found[1]) > 0.8
    assert likeness(found[0], found[4]) < 0.7
    assert leaders(*found, similarity=0.7)[-1] != 0


def test_of_two_leaders_it_joins_the_one_that_it_is_more_like() -> None:
    found = drifting(9)
    far, near, text = found[0], found[8], found[6]
    assert leaders(far, near, text, similarity=0.5) == [0, 1, 1]


ARTICLE = (
    "Bridge over the Lys opens at last\n\n"
    "The bridge over the Lys opened on Monday, four years after work began.\n"
    "The mayor walked across it with the children of the harbour school, while the ferry made its last trip.\n"
    "The town counted cars on the first day, and the police closed the old quay for an hour.\n"
    "The footpath is not finished: it follows in spring, when the last cranes have left the eastern bank.\n"
    "Shopkeepers of the old quay fear for their custom, and have asked for a bus that stops at the market.\n"
    "The ferry will be shown in the museum of the harbour, beside the engine of the tug that it replaced."
)
NOTICE = (
    "A choir of two hundred voices sang from the balconies of the town hall until the lamps were lit.\n"
    "Its conductor had written a new piece for the evening, with parts for bells and for the horn of a ship."
)


def lines(text: str, first: int, last: int) -> str:
    """Some lines of the body, under the title."""
    title, _, *body = text.split("\n")
    return "\n".join([title, "", *body[first:last]])


@pytest.mark.parametrize(
    ("change", "joined"),
    [
        (lambda text: lines(text, 0, 4), True),
        (
            lambda text: lines(text, 0, 4).replace("at last\n\n", "at last\n\nBy Dora Quill, Harbour Post\n"),
            True,
        ),
        (lambda text: lines(text, 0, 4) + "\nCopyright 2026 The Harbour Post. All rights reserved.", True),
        (lambda text: lines(text, 0, 4) + "\n" + NOTICE, False),
        (lambda text: lines(text, 0, 3), False),
        (
            lambda text: (
                lines(text, 2, 6).partition(" and have asked")[0]
                + "\n"
                + lines(text, 5, 6).partition("\n\n")[2]
            ),
            False,
        ),
    ],
    ids=[
        "two thirds",
        "with a byline",
        "with a credit",
        "and another story",
        "half of it",
        "without the beginning",
    ],
)
def test_a_print_of_the_first_two_thirds_is_a_near_copy(change: Callable[[str], str], joined: bool) -> None:
    print_ = change(ARTICLE)
    assert Story(ARTICLE, lang="en").similarity(Story(print_, lang="en")) < 0.7
    assert leaders(ARTICLE, print_) == [0, 0 if joined else 1]
    assert leaders(print_, ARTICLE) == [0, 0 if joined else 1], "whichever came first"


def test_a_digest_is_no_print_of_its_second_story() -> None:
    digest = "News of the day\n\n" + NOTICE * 2 + "\n" + ARTICLE.partition("\n\n")[2]
    assert leaders(ARTICLE, digest) == [0, 1]


def test_control_without_the_rule_of_cuts_a_print_of_two_thirds_leads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Story, "is_cut", lambda one, other, **limits: False)
    assert leaders(ARTICLE, lines(ARTICLE, 0, 4)) == [0, 1]


def test_traditional_characters_make_no_difference() -> None:
    first = meeting("10月8日")
    traditional = (
        "李強主持召開國務院常務會議\n\n新華社北京10月8日電 國務院總理10月8日主持召開國務院常務會議，研究部署推動農村公路建設工作，"
        "聽取有關情況匯報，審議通過一批政策文件。會議指出，要堅持問題導向，完善工作機制，壓實各方責任，確保各項部署落到實處。"
        "會議強調，要加強統籌協調，形成工作合力，及時回應社會關切，推動相關領域改革不斷取得新進展。會議還研究了其他事項。"
    )
    assert likeness(first, traditional) == 1
    assert leaders(first, traditional) == [0, 0]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("अस्पताल में नया विभाग", "अस्पताल में नया विभाग।"),
        ("مُحَمَّد في المدينة", "محمد في المدينة"),
        ("İstanbul’da yağmur", "istanbul’da yağmur"),
    ],
)
def test_words_keep_their_marks_and_are_folded(text: str, same: str) -> None:
    assert shingles.fold(shingles.words(text)) == shingles.fold(shingles.words(same))
    assert len(shingles.words(text)) == len(text.replace("’", " ").split())


@pytest.mark.parametrize(
    ("published", "joined"),
    [((0, 71), True), ((0, 73), False), ((8_760, 0), False), ((0, np.nan), True), ((np.nan, 0), True)],
)
def test_texts_that_were_published_long_after_one_another_are_two_stories(
    published: tuple[float, float], joined: bool
) -> None:
    assert leaders(BRIDGE, BRIDGE + " More follows.", published=published) == [0, 0 if joined else 1]


def test_a_correction_joins_what_it_contradicts_and_a_text_may_join_the_correction() -> None:
    right = BRIDGE.replace("four years", "five years")
    corrected = "CORRECTED: " + right
    assert leaders(BRIDGE, right) == [0, 1]
    assert leaders(BRIDGE, corrected) == [0, 0]
    assert leaders(BRIDGE, corrected, right, BRIDGE + " More follows.") == [0, 0, 1, 0]
    assert leaders(corrected, BRIDGE) == [0, 0], "whichever came first"
    assert leaders(corrected, "CORRECTED: " + BRIDGE) == [0, 1], "two corrections that differ"


def test_a_correction_that_is_little_like_a_text_is_another_story() -> None:
    other = "CORRECTED: " + BRIDGE.replace("Lys", "Elm").replace("bridge", "tunnel").replace("mayor", "king")
    assert 0.5 < Story(BRIDGE, lang="en").similarity(Story(other, lang="en")) < 0.8
    assert leaders(BRIDGE, other, similarity=0.5) == [0, 1]


@pytest.mark.parametrize(("hours", "joined"), [(71.0, True), (-71.0, True), (73.0, False), (-73.0, False)])
def test_only_leaders_of_the_same_time_are_joined(hours: float, joined: bool) -> None:
    assert leaders(BRIDGE, BRIDGE + " More follows.", hours=[0.0, hours]) == [0, 0 if joined else 1]


def test_only_leaders_of_the_same_language_are_joined() -> None:
    both = texts(BRIDGE, BRIDGE + " More follows.", langs=["en", "de"])
    assert join(NONE, both, similarity=0.7, hours=72).joined.tolist() == [0, 1]


def test_leaders_that_were_there_before_are_joined_and_keep_their_own_place() -> None:
    before = texts(BRIDGE)
    found = join(before, texts(BRIDGE + " More follows.", meeting("10月8日")), similarity=0.7, hours=72)
    assert found.joined.tolist() == [0, 2]
    assert found.similarity[0] > 0.9
    assert found.similarity[1] == 1
    assert found.vetoed.tolist() == [False, False]


def test_a_veto_is_told() -> None:
    found = join(NONE, texts(meeting("10月8日"), meeting("11月9日")), similarity=0.7, hours=72)
    assert found.vetoed.tolist() == [False, True]


def test_places_depend_on_the_order_of_turns_alone() -> None:
    """The caller gives a run's texts their turns by time of ingestion: clusters of one leader are the same in any order."""
    found = [
        BRIDGE,
        BRIDGE + " More follows.",
        meeting("10月8日"),
        meeting("10月8日") + "完。",
        meeting("11月9日"),
    ]
    for order in permutations(range(len(found))):
        joined = leaders(*(found[number] for number in order))
        clusters = {
            frozenset(order[place] for place, leader in enumerate(joined) if leader == one) for one in joined
        }
        assert clusters == {frozenset({0, 1}), frozenset({2, 3}), frozenset({4})}


def test_texts_that_share_most_shingles_share_a_band() -> None:
    one, other = texts(BRIDGE), texts(BRIDGE + " More follows.")
    far = texts(meeting("10月8日"))
    both = np.concatenate([near_copies.bands(one.signatures), near_copies.bands(far.signatures)])
    assert both.shape == (2, BANDS)
    near, new = near_copies.in_reach(both, near_copies.bands(other.signatures))
    assert near.tolist() == [True, False]
    assert new.tolist() == [True]
    _, new = near_copies.in_reach(both[:0], both)
    assert new.tolist() == [False, False]
    _, new = near_copies.in_reach(both[:0], np.concatenate([both, near_copies.bands(other.signatures)]))
    assert new.tolist() == [True, False, True]


def test_a_crowd_of_form_letters_is_not_compared_one_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    original = Story.similarity

    def counting(one: Story, other: Story) -> float:
        compared.append(1)
        return original(one, other)

    monkeypatch.setattr(Story, "similarity", counting)
    letters = [BRIDGE.replace("9,000", str(number)) for number in range(10_000, 10_000 + 2 * CROWD)]
    assert leaders(*letters) == list(range(len(letters)))
    assert len(compared) <= COMPARED * len(letters)
