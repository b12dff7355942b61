"""Captions and alt texts as lines of a document: stated, clean, few, and never a reason to lose an article."""

import hashlib

import pytest

from rerank_core.prepare import captions
from rerank_core.prepare.cleaning import Cleaning
from rerank_core.prepare.documents import to_document

BODY = '<p>About a bridge.</p><img src="a.jpg" alt="The &quot;old&quot; pier"><IMG ALT=\'A ferry\'><img data-alt="no" src=x>'


def lines(*told: captions.Told, body: str = "", text: str = "", lang: str = "en") -> list[str]:
    return captions.lines(told, body, text=text, lang=lang, cleaning=Cleaning()).splitlines()


def test_each_line_states_what_it_is_of_in_the_language_of_the_text() -> None:
    assert lines(("picture", "A <b>bridge</b>"), ("video", "It opens")) == [
        "Picture: A bridge",
        "Video: It opens",
    ]
    assert lines(("picture", "一座新桥"), ("video", "通车"), lang="zh") == ["图片：一座新桥", "视频：通车"]


def test_alt_texts_of_the_body_follow_the_captions() -> None:
    assert lines(("picture", "A bridge"), body=BODY) == [
        "Picture: A bridge",
        'Picture: The "old" pier',
        "Picture: A ferry",
    ]
    assert lines(body="plain text with <img alt in it") == []


@pytest.mark.parametrize(
    "said", ["", "  ", "…", "IMG_2034.JPG", "A bridge at dusk", "<script>x</script>", "\x00"]
)
def test_what_says_nothing_or_is_said_already_is_left_out(said: str) -> None:
    assert lines(("picture", said), text="Today: A bridge at dusk.") == []


def test_lines_of_an_article_are_few_and_short() -> None:
    made = lines(*(("picture", f"{number} " + "long words " * 90) for number in range(9)))
    assert len(made) == 1
    assert max(map(len, made)) <= captions.LONGEST + len("Picture: ")
    many = lines(*(("picture", f"caption number {number}") for number in range(60)))
    assert sum(map(len, many)) <= captions.MOST_CHARACTERS
    assert len(many) > 10
    assert lines(*[("picture", "the same")] * 5) == ["Picture: the same"]


def test_a_caption_that_breaks_a_parser_costs_the_article_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> str:
        raise RecursionError

    monkeypatch.setattr(captions, "clean", broken)
    made = to_document(title="t", summary=None, body="Body text.", lang="en", told=[("picture", "A bridge")])
    assert made.text == "t\n\nBody text."


def test_captions_stand_before_the_body_and_tell_neither_language_nor_likeness() -> None:
    fields = {
        "title": "Bridge",
        "summary": "Short.",
        "body": "An English body about a bridge. " * 12,
        "lang": None,
    }
    plain = to_document(**fields)
    told = to_document(**fields, told=[("picture", "这座桥今天通车，市民走上桥面参观。")])
    assert told.text.split("\n\n")[:3] == ["Bridge", "Short.", "Picture: 这座桥今天通车，市民走上桥面参观。"]
    assert (told.lang, told.signature) == (plain.lang, plain.signature)
    assert captions.without(told.text) == plain.text == captions.without(plain.text)
    assert told.digest == hashlib.sha256(told.text.encode()).digest() != plain.digest
    assert to_document(**fields, told=[]) == plain, "an article that has none is the document that it was"
