"""Hostile media in a real helper: each is answered within its limits, and none opens a file or a socket."""

import subprocess
import sys
from collections import Counter
from importlib.util import find_spec

import pytest
from hostile_media import TRAP, drawn, many_scans, png
from made_media import picture

from rerank_core.prepare.answers import Looked, NoAnswer
from rerank_core.prepare.cleaning import Cleaning
from rerank_core.prepare.helpers import Helpers, Limits
from rerank_core.prepare.messages import looked_at


def fates(number: int, **limits: float) -> Counter[str]:
    """What becomes of so many hostile files, by code."""
    found: Counter[str] = Counter()
    with Helpers(1, cleaning=Cleaning(), limits=Limits(**limits)) as helpers:  # type: ignore[arg-type]
        for kind, content in drawn(number):
            try:
                answer = helpers.ask(looked_at(kind, content, None), Looked)
            except NoAnswer as reason:
                found[str(reason).partition(":")[0]] += 1
                continue
            rendition = answer.to_rendition(is_clip=kind == "video")
            assert (rendition is None) == (answer.refused is not None)
            found["used" if rendition else str(answer.refused).partition(":")[0]] += 1
    return found


def check(found: Counter[str], number: int) -> None:
    assert found.total() == number
    codes = {"used", "format", "broken", "too_large", "too_small", "unreadable", "no_decoder"}
    assert set(found) <= codes, "none takes more than 10 s of processor time"
    assert found["used"] < number / 2
    assert found["format"]
    assert found["broken"]
    assert found["too_large"]


def test_hostile_media_are_answered_within_their_limits() -> None:
    check(fates(150), 150)


@pytest.mark.long
def test_five_hundred_hostile_media_are_answered_within_their_limits() -> None:
    check(fates(500), 500)


def test_control_limits_are_what_ends_a_bomb() -> None:
    """A picture within the limit of pixels needs memory: with less than it needs, it is refused and the helper starts again."""
    assert fates(8, mib=64)["too_large"] > fates(8)["too_large"]


OPENER = f"""
import resource, socket, sys
from rerank_core.prepare import helper, pictures
tried = []
def opener(kind, content):
    for what in (lambda: open({TRAP!r}), lambda: open("/tmp/x", "w"), socket.socket, lambda: __import__("os").pipe()):
        try:
            what()
            tried.append("opened")
        except OSError as error:
            tried.append("refused")
    return real(kind, content)
made = helper.Helper(without=[], rules=None, mib=1024)
made._load("media")
real, pictures.small = pictures.small, opener
if sys.argv[1] == "control":
    resource.setrlimit = lambda *_: None
kinds = [("picture", {picture(size=(64, 64))!r})]
for kind, content in kinds:
    assert "content" in made._looked(kind=kind, content=content, caption=None)
print(*tried)
open({TRAP!r}).close()  # the helper itself may, afterwards
"""


@pytest.mark.parametrize(("argument", "told"), [("", "refused"), ("control", "opened")])
def test_nothing_can_be_opened_while_a_medium_is_decoded(argument: str, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPENER, argument], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [told] * 4


@pytest.mark.skipif(find_spec("av") is None, reason="clips need the extra `video`")
def test_control_a_decoder_without_our_rules_follows_a_playlist(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    import av

    folder = tmp_path_factory.mktemp("playlist")
    listed = folder / "inside.mp4"
    from made_media import clip

    listed.write_bytes(clip(codec="libx264", form="mp4", frames=6))
    playlist = folder / "list.ffconcat"
    playlist.write_text(f"ffconcat version 1.0\nfile '{listed}'\n")
    with av.open(str(playlist), format="concat", options={"safe": "0"}) as opened:
        assert next(opened.decode(video=0)).width == 320, "control: FFmpeg opens what a file names"
    from rerank_core.prepare import formats, pictures

    for kind in ("picture", "video"):
        with pytest.raises(formats.Refused, match="it is a list of files"):
            pictures.small(kind, playlist.read_bytes())


def test_a_header_that_claims_too_many_pixels_is_refused_before_any_is_decoded() -> None:
    from rerank_core.prepare import formats, pictures

    with pytest.raises(formats.Refused, match=r"too_large: it claims 50,000 × 50,000 pixels"):
        pictures.small("picture", png(50_000, 50_000, data=b"never read"))


def test_a_jpeg_that_repeats_its_scans_is_refused_and_a_progressive_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from rerank_core.prepare import formats, pictures

    assert pictures.small("picture", picture(progressive=True, size=(1600, 900))).width == 768
    with pytest.raises(formats.Refused, match="too_large: it claims 4,... scans of 36,000,000 pixels"):
        pictures.small("picture", many_scans(4_000))
    few = many_scans(12, size=(2000, 2000))
    monkeypatch.setattr(pictures, "MOST_SCANNED", 10_000_000)
    with pytest.raises(formats.Refused, match="too_large: it claims"):
        pictures.small("picture", few)
    monkeypatch.undo()
    assert pictures.small("picture", few).width == 768, "control: a decoder goes through all of them"
