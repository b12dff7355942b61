"""A raw article becomes the document that the model and BM25 read."""

import hashlib

import pytest

from rerank_core.prepare import MAX_CHARACTERS, Unpreparable, to_document
from rerank_core.records import Document


def made(
    title: str | None = None, summary: str | None = None, body: str | None = None, lang: str | None = "en"
) -> Document:
    return to_document(title=title, summary=summary, body=body, lang=lang)


def test_a_document_is_title_summary_and_body_with_an_empty_line_between() -> None:
    document = made("Solar <b>power</b>", "Short.", "<p>Long &amp; wide.</p><p>End.</p>")
    assert document.text == "Solar power\n\nShort.\n\nLong & wide.\nEnd."
    assert document.title == "Solar power"
    assert document.terms == "solar power short long wide end"
    assert document.lang == "en"


def test_the_digest_is_that_of_the_text() -> None:
    assert made("中国").digest == hashlib.sha256("中国".encode()).digest()


def test_articles_that_differ_only_in_markup_are_one_document() -> None:
    assert made("T", None, "<p>Same  text</p>").digest == made("T", "", "Same text").digest


def test_a_summary_that_the_body_begins_with_is_not_repeated() -> None:
    assert made("T", "It rose.", "It rose. Then it fell.").text == "T\n\nIt rose. Then it fell."


def test_a_title_that_the_body_begins_with_is_not_repeated() -> None:
    assert made("It rose", None, "It rose\nThen it fell.").text == "It rose\n\nThen it fell."


def test_a_title_is_one_line() -> None:
    assert made("<p>Two</p><p>lines</p>", None, "text").title == "Two lines"


def test_an_article_without_a_title_is_shown_by_its_first_line() -> None:
    assert made(None, None, "First line\nSecond").title == "First line"


@pytest.mark.parametrize(
    "parts",
    [(None, None, None), ("", "  ", "<p></p>"), ("---", "!?", "……"), ("<script>x()</script>", "", "")],
)
def test_an_article_without_a_letter_or_digit_is_refused_with_a_reason(parts: tuple[str | None, ...]) -> None:
    with pytest.raises(Unpreparable, match="empty: no letter or digit"):
        made(*parts)


def test_a_very_long_text_is_cut() -> None:
    assert len(made("T", None, "word " * 50_000).text) == MAX_CHARACTERS
