"""The codes of one language are one code."""

import pytest

from rerank_core.storage.languages import canonical, same_language


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
        ("zh-Hant-TW", "zh"),
        ("sr-Latn", "sr"),
        ("nan", "zh"),
        ("arz", "ar"),
        ("sh", "sr"),
        ("en_", "en"),
        ("English (UK)", "en"),
        ("Chinese(Simplified)", "zh"),
        ("Traditional Chinese", "zh"),
        ("简体中文", "zh"),
        ("Tiếng Việt", "vi"),
        ("Bahasa Indonesia", "id"),
        ("Français".replace("ç", "c\u0327"), "fr"),
        ("svenska", "sv"),
        ("qaa", None),
        ("x-klingon", None),
        ("jp", None),
        (" ", None),
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


def test_the_stored_codes_of_one_language_are_found_the_canonical_one_first() -> None:
    stored = ["nb", "en", "no", "nn", "iw", "zz"]
    assert same_language("no", stored) == same_language("nb", stored) == ["no", "nb", "nn"]
    assert same_language("he", stored) == ["iw"]
    assert same_language("zz", stored) == ["zz"]
    assert same_language("de", stored) == []
