"""Texts of two million characters that were built to be slow: each is cleaned in bounded time."""

import time

import pytest

from rerank_core.prepare.cleaning import Cleaning, Tally, clean

P1 = "The council approved the new tram line on Monday after a debate that lasted four hours and forty minutes."

SHAPES = {
    "escapes": "&amp;" * 400_000,
    "nested escapes": "&" + "amp;" * 500_000,
    "nested lists around links": "<ul><li>" * 120 + "<a>x</a> " * 200_000 + "</ul>" * 120,
    "spans": "<p>" + "<span>a </span>" * 130_000 + "</p>",
    "unclosed italics": "<p><i>x" * 280_000,
    "headings": "<h2>a</h2>" * 200_000,
    "definitions": "<dl><dt>a<dd>b" * 140_000,
    "lines": "a<br>" * 400_000,
    "ligatures": "\ufdfa" * 2_000_000,
    "nested tables": "<table><tr><td>" * 133_000,
    "empty lines": "\n" * 1_999_000 + P1,
    "empty lines with spaces": " \n" * 999_000 + P1,
    "angle brackets": "<" * 2_000_000,
    "unclosed scripts": "<script>" * 250_000,
    "unclosed comments": "<!--" * 500_000,
    "unclosed comments behind an end": "-->" + "<!--" * 499_000,
    "comments of the other end": "<!--a--!>" * 220_000 + "-->",
    "unclosed quotes": '<a ="' * 400_000,
    "quotes": "<a ='\">" * 280_000,
    "items": "<li>" * 500_000,
    "cells": "<table>" + "<td>a" * 390_000,
    "ruby": "<rt>" * 500_000,
    "unknown names": "<unknown>" * 220_000,
    "paragraphs": "<p>a b c</p>" * 160_000,
    "equals signs": "<a " + "=" * 1_900_000,
    "pages of spans": "<html><title>t</title><body><p>" + "<span>a </span>" * 130_000,
    "pages of paragraphs": "<html><title>t</title><body>" + "<p>a b c</p>" * 160_000,
}


# Others are built as these are, and take as long.
LONG = ("cells", "pages of paragraphs", "pages of spans", "paragraphs", "ruby")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in LONG else []) for name in SHAPES]
)
def test_a_shape_of_two_million_characters_is_cleaned_in_bounded_time(name: str) -> None:
    started = time.process_time()
    text = clean(SHAPES[name], cleaning=Cleaning(), tally=Tally())
    assert time.process_time() - started < 20
    if P1 in SHAPES[name]:
        assert P1 in text
