"""`rerank articles show`: an article as it came, what prepare did to it, and what the model reads."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from factories import Newsroom

from rerank_core.cli import main
from rerank_core.errors import InputError
from rerank_core.operations import removal
from rerank_core.prepare import show as prepared

Show = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def show(room: Newsroom, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Show:
    """The command, its exit code and what it printed."""

    def shown(article: str) -> tuple[int, str, str]:
        for name in ("database_url", "store_url"):
            monkeypatch.setenv(f"RERANK_{name.upper()}", getattr(room.settings, name))
        code = 0
        with suppress(SystemExit):
            try:
                main(["articles", "show", article])
            except SystemExit as ended:
                code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return shown


def look(room: Newsroom, article: str) -> prepared.Preparation:
    return prepared.show(database=room.database, settings=room.settings, article_id=article)


def test_the_raw_text_the_steps_and_the_document_are_shown(room: Newsroom, show: Show) -> None:
    room.add("bridge", title="A <b>bridge</b>", body="<p>It opened.</p>\n<p>Subscribe now</p>")
    run = room.until("recall")
    code, out, _ = show("bridge")
    assert code == 0
    number = room.value("SELECT document_id FROM rerank.document")
    assert f"article bridge, revision 1, as run {run.run_id} claimed it" in out
    assert "body: <p>It opened.</p>\n<p>Subscribe now</p>" in out
    assert "boilerplate   body: − “Subscribe now”" in out
    assert f"document {number}, as the model reads it\nA bridge\n\nIt opened.\n" in out
    assert "another text" not in out


def test_the_latest_revision_is_shown(room: Newsroom) -> None:
    room.add("bridge", body="It opened.")
    room.until("recall", "one")
    room.edit("bridge", body="It closed.")
    room.until("recall", "two")
    found = look(room, "bridge")
    assert (found.number, found.text) == (2, "bridge\n\nIt closed.")


def test_a_document_that_todays_steps_would_not_give_is_told(room: Newsroom, show: Show) -> None:
    room.add("bridge", body="<p>It opened.</p><p>Subscribe now</p>")
    room.tuned(prepare_without=("boilerplate",)).until("recall")
    assert not look(room, "bridge").is_stored
    _, out, _ = show("bridge")
    assert "Subscribe now\ntoday's settings, rules or version would make another text" in out


def test_an_article_in_quarantine_says_why(room: Newsroom, show: Show) -> None:
    room.add("empty", title="---")
    room.until("recall")
    _, out, _ = show("empty")
    assert "quarantine    empty: no letter or digit in title, summary and body" in out
    assert "as the model reads it" not in out


def test_raw_text_past_retention_is_told_and_the_document_still_shown(room: Newsroom, show: Show) -> None:
    room.add("bridge")
    room.until("recall")
    room.sql("DELETE FROM rerank.revision_text")
    _, out, _ = show("bridge")
    assert "its raw text is past retention" in out
    assert "as the model reads it\nbridge\n" in out


def test_an_article_that_was_forgotten_says_so_and_why(room: Newsroom, show: Show) -> None:
    room.add("bridge")
    room.until("recall")
    removal.forget(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id="bridge",
        reason="a letter",
    )
    _, out, _ = show("bridge")
    assert "it was forgotten (a letter): its text is gone, and it is never claimed again" in out
    assert "past retention" not in out


def test_an_article_that_nobody_claimed_is_an_error(room: Newsroom, show: Show) -> None:
    with pytest.raises(InputError, match="article 'bridge' was never claimed in pipeline 'news'"):
        look(room, "bridge")
    code, _, err = show("bridge")
    assert code == 1
    assert (
        err
        == "rerank: article 'bridge' was never claimed in pipeline 'news'; check the id, or wait for the next run, which"
        " claims new articles\n"
    )


def test_a_hostile_text_does_not_move_the_cursor(room: Newsroom, show: Show) -> None:
    room.add("bridge", body="It \x1b[31mopened\x1b[0m.")
    room.until("recall")
    assert "\x1b" not in show("bridge")[1]
