"""The codes of one language are one code."""

import pytest

from rerank_core.storage.languages import canonical


@pytest.mark.parametrize(
    ("claimed", "code"),
    [
        ("nb-NO", "no"),
        ("no", "no"),
        ("nn", "no"),
        ("iw", "he"),
        ("he", "he"),
        ("in_ID", "id"),
        ("ji", "yi"),
        ("eng", "en"),
        ("English", "en"),
        ("en_US.UTF-8", "en"),
        ("en-us,en", "en"),
        ("zho", "zh"),
        ("cmn-Hant", "zh"),
        ("zh-TW", "zh"),
        ("jpn", "ja"),
        ("pt_BR", "pt"),
        ("gsw", "gsw"),
        ("und", "und"),
        ("xx", None),
        ("klingonese", None),
        ("x-default", None),
        ("mul", None),
        ("", None),
        ("-", None),
        ("é" * 300, None),
    ],
)
def test_code_of(claimed: str, code: str | None) -> None:
    assert canonical(claimed) == code
