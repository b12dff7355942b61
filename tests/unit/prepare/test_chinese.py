"""Chinese words are those that jieba cuts, whatever the text."""

import gzip
import json
import marshal
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jieba
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_core.prepare import chinese
from rerank_core.prepare.chinese import search_words

NEWS = Path(__file__).parents[4] / "shared" / "data" / "news" / "zh_broadcast_2024-10_2025-10.jsonl.gz"
SENTENCES = (
    "中国发布新一代人工智能发展规划",
    "小明硕士毕业于中国科学院计算所后在日本京都大学深造",
    "南京市长江大桥昨日恢复通车市民可从江心洲大道上桥",
    "结婚的和尚未结婚的都应当在社区服务中心登记",
    "他来到了网易杭研大厦参加云计算与大数据技术沙龙",
    "央行宣布下调政策利率十个基点房贷利率再降百万贷款月供减少约五十六元",
    "欧阳建国与爱新觉罗溥杰的通信集由北岸出版社出版",
    "東京都知事選挙の結果、臺灣積體電路製造公司股價創下新高",
    "一万二千三百四十五",
    "㐀㐁龦龧豈的",  # extensions of the script, which jieba does not cut
)


def test_long_words_follow_the_shorter_ones_within_them() -> None:
    assert search_words("中华人民共和国") == [
        "中华",
        "华人",
        "人民",
        "共和",
        "共和国",
        "中华人民共和国",
    ]


def test_characters_that_the_dictionary_has_no_word_for_are_put_together_by_the_hidden_markov_model() -> None:
    assert search_words("杭研大厦") == ["杭研", "大厦"]


@pytest.mark.parametrize("text", SENTENCES)
def test_words_of_a_sentence_are_jiebas(text: str) -> None:
    assert search_words(text) == jieba.lcut_for_search(text)


@pytest.fixture(scope="module")
def dictionary() -> list[str]:
    """All words of jieba's dictionary, and the beginnings of words."""
    jieba.initialize()
    return sorted(jieba.dt.FREQ)


def mixed(seed: int, dictionary: list[str]) -> str:
    """Words and characters of any kind, one behind the other."""
    rng = random.Random(seed)
    parts = [
        rng.choice(dictionary) if rng.random() < 0.6 else chr(rng.randrange(0x4E00, 0xA000))
        for _ in range(12)
    ]
    return "".join(character for part in parts for character in part if "\u3400" <= character <= "\u9fff")


@given(seed=st.integers(0, 2**32))
def test_words_of_any_run_of_words_and_characters_are_jiebas(seed: int, dictionary: list[str]) -> None:
    text = mixed(seed, dictionary)
    assert search_words(text) == jieba.lcut_for_search(text)


@given(text=st.text(alphabet="甲乙丙丁", min_size=1, max_size=12))
def test_of_two_ways_that_are_equally_likely_the_one_is_taken_that_jieba_takes(text: str) -> None:
    assert EVEN(text) == _even().lcut_for_search(text)


def _even() -> jieba.Tokenizer:
    """A dictionary in which every way of as many words is equally likely."""
    found = jieba.Tokenizer()
    some = ("甲", "乙", "丙", "甲乙", "乙丙", "丙丁", "丁甲", "乙丙丁", "甲乙丙", "丙丁甲", "丁丁乙甲")
    found.FREQ, found.total = {}, 100
    for word in some:
        for end in range(1, len(word)):
            found.FREQ.setdefault(word[:end], 0)
        found.FREQ[word] = 10
    found.initialized = True
    return found


EVEN = chinese.Words(_even().FREQ, _even().total)


def real_texts() -> Iterator[str]:
    with gzip.open(NEWS, "rt", encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            yield f"{record['title']}{record.get('body_html') or record.get('text')}"


@pytest.mark.skipif(not NEWS.exists(), reason="the news sets are not beside this repository")
def test_words_of_real_news_are_jiebas() -> None:
    texts = random.Random(7).sample(list(real_texts()), 200)
    runs = [run for text in texts for run in chinese._HAN.findall(text)]
    assert len(runs) > 5_000
    for run in runs:
        assert search_words(run) == jieba.lcut_for_search(run)


@given(seed=st.integers(0, 2**32))
def test_words_one_behind_the_other_are_jiebas(seed: int, dictionary: list[str]) -> None:
    text = mixed(seed, dictionary)
    assert chinese.words(text) == jieba.lcut(text)


def test_a_character_that_is_repeated_is_joined_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    # The model of jieba needs time with the square of what it is given at once.
    given: list[int] = []
    words = chinese.Words(jieba.dt.FREQ, jieba.dt.total)
    join = words._join_characters

    def counted(alone: str) -> Iterator[str]:
        given.append(len(alone))
        return join(alone)

    monkeypatch.setattr(words, "_join_characters", counted)
    text = "中" * 19_000
    assert "".join(words.cut(text)) == text
    assert sum(given) == len(text)
    assert max(given) <= chinese.MAX_ALONE


def test_a_file_that_another_user_left_among_temporary_files_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "jieba.cache").write_bytes(marshal.dumps(({"中": 1, "国": 1}, 2)))
    control = jieba.Tokenizer()
    control.initialize()
    assert control.lcut("中国", HMM=False) == ["中", "国"]  # jieba itself trusts the file
    assert chinese._words.__wrapped__().cut("中国") == ["中国"]
