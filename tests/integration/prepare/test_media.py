"""Media of articles: claimed with them, made small, shown on the page, and dropped with a reason if they are bad."""

import hashlib
import io
import json
from pathlib import Path

import pytest
from factories import Newsroom
from made_media import add_medium, clip, outcomes, picture
from newsrooms import SAMPLE
from PIL import Image

from rerank_core.prepare import captions, show
from rerank_core.storage import renditions
from rerank_core.storage.rendition_names import is_clip


def store_folder(room: Newsroom) -> Path:
    folder = room.resources.store.local_folder
    assert folder is not None
    return folder


def metrics(room: Newsroom) -> dict[str, float]:
    rows = room.sql(
        "SELECT name, sum(value) AS value FROM rerank.run_metric WHERE name LIKE 'media%' GROUP BY name"
    )
    return {row.name: row.value for row in rows}


def test_a_picture_is_made_small_and_shown_with_its_caption(room: Newsroom) -> None:
    room = room.tuned(media=("pictures",))
    room.follow("solar")
    room.add("a", body="about solar power")
    room.add("b", body="solar power without a picture")
    add_medium(room, "a", picture(size=(1600, 900)), caption="A <b>red</b> field")
    published = room.run()["publish"]
    rows = {row.article_id: row for row in room.ranking()}
    (path,) = rows["a"].pictures
    assert rows["a"].captions == ["A red field"]
    assert (rows["b"].pictures, rows["b"].captions) == ([], [])
    made = renditions.read(room.resources.store, path)
    assert hashlib.sha256(made).hexdigest() == renditions.digest_of(path)
    with Image.open(io.BytesIO(made)) as shown:
        assert (shown.format, shown.size) == ("JPEG", (768, 432))
    row = next(row for row in room.parquet(published).to_pylist() if row["article_id"] == "a")
    assert (row["pictures"], row["captions"]) == ([path], ["A red field"])
    assert room.value("SELECT count(*) FROM rerank.revision_medium WHERE content IS NOT NULL") == 0
    assert metrics(room) == {"media_claimed": 1, "media_over_limit": 0, "media_invalid": 0, "media_used": 1}


def test_pictures_change_nothing_of_a_pipeline_that_does_not_use_them(room: Newsroom) -> None:
    room.follow("solar")
    room.add("a", body='solar power <img src="x.jpg" alt="a field of panels">')
    room.run("one")
    digests = room.sql("SELECT digest FROM rerank.document")
    add_medium(room, "a", picture(), caption="solar caption")
    assert room.run("two")["extract"]["claimed"] == 0, "a picture is no new version"
    assert room.sql("SELECT digest FROM rerank.document") == digests
    assert room.value("SELECT count(*) FROM rerank.revision_medium") == 0
    shown = room.tuned(pipeline="shown", media=("pictures",))
    shown.follow("solar")
    shown.run("one")
    assert room.sql("SELECT digest FROM rerank.document") == digests, (
        "pictures that are shown change no document"
    )
    told = room.tuned(pipeline="told", media=("captions",))
    told.follow("solar")
    told.run("one")
    assert len(room.sql("SELECT digest FROM rerank.document")) == 2, "control: captions do"


def test_a_bad_medium_is_dropped_with_a_reason_and_its_article_is_ranked(room: Newsroom) -> None:
    room = room.tuned(media=("pictures", "captions"), media_per_article=16, media_mib=1)
    room.follow("solar")
    room.add("a", body="about solar power")
    good = picture()
    incoming = store_folder(room) / "incoming"
    incoming.mkdir(parents=True)
    (incoming / "good.jpg").write_bytes(good)
    (store_folder(room) / "secret.jpg").write_bytes(good)
    (incoming / "link.jpg").symlink_to(store_folder(room) / "secret.jpg")
    (incoming / "elsewhere").symlink_to(store_folder(room))
    digest = hashlib.sha256(good).hexdigest()
    for content in (b"<svg xmlns='http://www.w3.org/2000/svg'/>", good[:3000], picture(size=(1, 1)), b""):
        add_medium(room, "a", content)
    add_medium(room, "a", good, sha256="0" * 64)
    add_medium(room, "a", good + bytes(1 << 20))
    paths = ("incoming/good.jpg", "incoming/none.jpg", "incoming/link.jpg", "incoming/elsewhere/secret.jpg")
    for path in (*paths, "secret.jpg", "incoming/../secret.jpg", "http://example.org/x.jpg", "incoming/"):
        add_medium(room, "a", path=path, sha256=digest)
    room.run()
    assert room.page() == ["a"]
    codes = [outcome.partition(":")[0] for outcome in outcomes(room)]
    assert codes == [
        *("format", "broken", "too_small", "broken", "altered", "too_large"),
        *("used", "missing", "missing", "missing"),
        *("path", "path", "path", "missing"),
    ]
    counted = {name.removeprefix("media_"): value for name, value in metrics(room).items() if value}
    assert counted.pop("claimed") == 14
    assert counted == {code: codes.count(code) for code in codes}
    assert len(room.ranking()[0].pictures) == 1


def test_more_media_than_the_limit_and_rows_that_break_the_contract_are_counted(room: Newsroom) -> None:
    room.sql(
        "CREATE VIEW public.media AS SELECT article_id, n AS place, CASE n WHEN 2 THEN 'sound' ELSE 'picture' END AS kind,"
        " CASE n WHEN 3 THEN 'zz' ELSE repeat('a', 64) END AS sha256, NULL::bytea AS content,"
        " CASE n WHEN 4 THEN NULL ELSE 'incoming/' || n END AS path, NULL::text AS caption, NULL::text AS alt"
        " FROM rerank.article, generate_series(1, 9) n"
    )
    room = room.tuned(media=("pictures",), media_view="public.media", media_per_article=2)
    room.follow("solar")
    room.add("a", body="about solar power")
    room.run()
    counted = metrics(room)
    assert [counted[f"media_{name}"] for name in ("claimed", "over_limit", "invalid", "missing")] == [
        2,
        4,
        3,
        2,
    ]


def test_a_changed_picture_is_a_new_revision_where_media_are_used(room: Newsroom) -> None:
    room = room.tuned(media=("pictures",))
    room.follow("solar")
    room.add("a", "b", body="about solar power")
    add_medium(room, "a", picture("red"))
    assert room.run("one")["extract"]["claimed"] == 2
    (red,) = {row.article_id: row for row in room.ranking()}["a"].pictures
    assert room.run("two")["extract"]["claimed"] == 0
    content = picture("blue")
    room.sql(
        "UPDATE rerank.article_medium SET content = :content, sha256 = :sha256",
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
    )
    assert room.run("three")["extract"]["claimed"] == 1
    (blue,) = {row.article_id: row for row in room.ranking()}["a"].pictures
    assert red != blue
    assert room.run("four")["extract"]["claimed"] == 0
    room.sql("DELETE FROM rerank.article_medium")
    assert room.run("five")["extract"]["claimed"] == 1
    assert [row.pictures for row in room.ranking()] == [[], []]
    assert room.run("six")["extract"]["claimed"] == 0


def test_captions_and_alt_texts_join_the_document_and_its_digest(room: Newsroom) -> None:
    room = room.tuned(media=("captions",))
    room.follow("solar")
    room.add(
        "a",
        body='Much sun. <p>More <img alt="Workers &amp; panels"><img alt="x1.png"><img alt="Much sun."></p>',
    )
    add_medium(room, "a", picture(), caption="The <i>largest</i> field", alt="unused")
    add_medium(room, "a", b"no picture at all", caption=" ", alt="A map")
    room.add("b", body="Much sun.", lang="en")
    room.run()
    texts = dict(
        tuple(row)
        for row in room.sql(
            "SELECT article_id, text FROM rerank.document JOIN rerank.revision USING (document_id)"
        )
    )
    assert texts["a"] == (
        "a\n\nPicture: The largest field\nPicture: A map\nPicture: Workers & panels\n\nMuch sun.\nMore"
    )
    assert texts["b"] == "b\n\nMuch sun."
    assert (
        bytes(room.value("SELECT digest FROM rerank.document WHERE text LIKE 'a%'"))
        == hashlib.sha256(texts["a"].encode()).digest()
    )
    assert outcomes(room) == ["unused: pictures are not shown"] * 2
    assert room.ranking()[0].pictures == []


@pytest.mark.parametrize("told_apart", [False, True], ids=["", "control"])
def test_a_caption_makes_no_near_copy_another_story(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch, told_apart: bool
) -> None:
    if told_apart:
        monkeypatch.setattr(captions, "without", str)
    room = room.tuned(media=("captions",))
    room.follow("solar")
    lines = (SAMPLE / "articles.jsonl").read_text(encoding="utf-8").splitlines()
    for article in map(json.loads, lines):
        if article["article_id"] in {"en-0005", "en-0070"}:
            room.add(
                *[article["title"]],
                **{name: article[name] for name in ("article_id", "summary", "body", "lang")},
            )
    add_medium(room, "en-0005", picture(), caption="The new iPhone in three sizes, with the larger battery")
    room.run()
    assert room.value("SELECT count(DISTINCT leader_document_id) FROM rerank.near_copy") == 1 + told_apart


def test_where_the_model_reads_pictures_equal_texts_with_other_pictures_are_other_documents(
    room: Newsroom,
) -> None:
    room = room.tuned(media=("score",))
    room.follow("solar")
    for name, colour in (("a", "red"), ("b", "red"), ("c", "blue"), ("d", "")):
        room.add(name, title="Solar power", body="About solar power.")
        if colour:
            add_medium(room, name, picture(colour))
    room.run()
    documents = dict(tuple(row) for row in room.sql("SELECT article_id, document_id FROM rerank.revision"))
    assert documents["a"] == documents["b"]
    assert len({documents[name] for name in "acd"}) == 3
    plain = room.sql("SELECT digest, text FROM rerank.document WHERE pictures = '{}'")[0]
    assert bytes(plain.digest) == hashlib.sha256(plain.text.encode()).digest()
    assert sorted(len(row.pictures) for row in room.sql("SELECT pictures FROM rerank.document")) == [0, 1, 1]


def test_longer_texts_with_other_pictures_are_near_copies_and_the_model_reads_the_pictures_of_one(
    room: Newsroom,
) -> None:
    """A reprint with another photograph tells the same story, so pictures keep no near-copies apart."""
    room = room.tuned(media=("score",))
    room.follow("solar")
    body = " ".join(f"Solar power came to the {number}th town of the valley." for number in range(30))
    for name, colour in (("a", "red"), ("b", "blue")):
        room.add(name, title="Solar power", body=body)
        add_medium(room, name, picture(colour))
    room.run()
    assert room.value("SELECT count(*) FROM rerank.document") == 2
    (row,) = room.ranking()
    (read,) = room.sql(
        "SELECT pictures FROM rerank.document JOIN rerank.revision USING (document_id) WHERE article_id = :id",
        id=row.scored_article_id,
    )
    for name in "ab":
        told = dict(room.explained(name).facts)["picture 1"]
        (path,) = room.sql(
            "SELECT rendition FROM rerank.revision_medium JOIN rerank.revision USING (revision_id) WHERE article_id = :name",
            name=name,
        )[0]
        assert told == path + ", which the model reads" * (path in read.pictures)
    assert row.article_id == "a"


def test_the_steps_of_an_article_with_captions_and_pictures_make_the_document_that_is_stored(
    room: Newsroom,
) -> None:
    room = room.tuned(media=("captions", "score"))
    room.follow("solar")
    room.add("a", body='About solar power. <p><img alt="An old map"></p>')
    add_medium(room, "a", picture(), caption="A <b>red</b> field")
    room.run()
    shown = show.show(database=room.database, settings=room.settings, article_id="a")
    assert shown.is_stored
    assert shown.steps["captions"] == ["Picture: A red field", "Picture: An old map"]
    other = room.tuned(media=()).settings
    assert not show.show(database=room.database, settings=other, article_id="a").is_stored, "control"
    facts = dict(room.explained("a").facts)
    assert facts["picture 1"] == f"{room.ranking()[0].pictures[0]}, which the model reads"


def test_a_clip_becomes_a_few_of_its_frames(room: Newsroom) -> None:
    room = room.tuned(media=("pictures",))
    room.follow("solar")
    room.add("a", body="about solar power")
    add_medium(room, "a", clip(), kind="video", caption="A bar grows")
    room.run()
    assert outcomes(room) == ["used"]
    (path,) = room.ranking()[0].pictures
    assert is_clip(path)
    with Image.open(io.BytesIO(renditions.read(room.resources.store, path))) as shown:
        assert (shown.format, shown.size, shown.n_frames) == ("WEBP", (320, 180), 8)


def test_media_come_with_a_source_in_another_database(room: Newsroom, database_url: str) -> None:
    other = Newsroom(room.settings.model_copy(update={"database_url": database_url}), room.engines)
    room = room.tuned(media=("pictures",), source_url=database_url, media_mib=1)
    room.follow("solar")
    other.add("a", "b", body="about solar power", ingested_at=room.ago(minutes=10))
    add_medium(other, "a", picture(), caption="red")
    add_medium(other, "a", picture() + bytes(2 << 20))
    assert room.run("one")["extract"]["claimed"] == 2
    assert [outcome.partition(":")[0] for outcome in outcomes(room)] == ["used", "too_large"]
    assert room.run("two")["extract"]["claimed"] == 0
    other.sql("UPDATE rerank.article_medium SET caption = 'blue' WHERE place = 1")
    assert room.run("three")["extract"]["claimed"] == 1
    assert sorted(row.captions for row in room.ranking()) == [[], ["blue"]]
