"""The view Preview: an author pastes a topic or picks a stored one, and sees what it would do; nothing changes."""

import re
from dataclasses import replace

import pytest
from view_reader import Reader

from rerank_airflow.ui import preview
from rerank_core.records import Topic
from rerank_core.storage.topics import current_topics


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", Reader(page).text)


def test_without_a_topic_there_is_a_form_with_an_example(get):
    page = get("/preview")
    assert "Try a topic before it is applied" in text_of(page)
    assert "slug: ai-policy" in text_of(page)
    assert page.count("<option>") >= 12
    assert "The page that it would have" not in page


def test_a_stored_topic_is_shown_as_the_page_has_it(get, news):
    page = get("/preview", slug="ai-policy")
    shown = text_of(page)
    assert "ai-policy as it is stored" in shown
    assert "Beside the stored version" not in shown
    ranked = [
        row.title
        for row in news.room.sql(
            "SELECT title FROM rerank.current_ranking WHERE pipeline = 'news' AND topic = 'ai-policy' ORDER BY rank"
        )
    ]
    assert len(ranked) == 10
    links = [tag for tag, attributes in Reader(page).tags if attributes.get("class") == "title"]
    assert len(links) == len(ranked)
    assert all(title in Reader(page).text for title in ranked)


def test_a_pasted_topic_is_tried_and_compared_with_the_stored_one(get):
    text = "slug: ai-policy\nquery: 中国 量子 xyzzy\nmust_not: [iPhone]\nlanguages: [zh, en]\ntop_k: 60\nmin_score: 0.5\n"
    page = get("/preview", text=text)
    shown = text_of(page)
    assert "ai-policy differs from the stored version" in shown
    assert re.search(r'class="warn">.*xyzzy', page)
    assert re.search(r"<td>must_not</td><td><bdi[^>]*>iPhone</bdi></td><td[^>]*>[1-9]", page)
    assert "Beside the stored version Changed: query, queries, instruction, languages" in shown
    assert "Line 5: top_k 60 is more than candidate_limit 50" in shown
    assert "Line 6: min_score 0.5 is a logit, no probability" in shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slug: a\nquery: x\ntop_k: 0", "topic 'a' (what you pasted, line 3): top_k 0 is not in 1..1000"),
        ("slug: a", "topic 'a' (what you pasted, line 1): query is missing"),
        ("- {slug: a, query: x}\n- {slug: a, query: y}", "slug 'a' is on line"),
        ("topics:\n- {slug: a, query: x, tpo_k: 3}", "line 2): unknown field 'tpo_k'; did you mean 'top_k'?"),
        ("topics: []", "what you pasted has no topic"),
        ("slug: [", "what you pasted, line 2: not YAML"),
        ("nonsense", "what you pasted"),
    ],
)
def test_an_invalid_topic_gets_the_errors_of_apply_with_its_own_lines(get, text, said):
    page = get("/preview", text=text)
    assert said in text_of(page)
    assert "The page that it would have" not in page


def test_one_of_several_topics_is_chosen(get):
    text = "- {slug: solar, query: central bank}\n- {slug: floods, query: heavy rain}"
    assert "solar new" in text_of(get("/preview", text=text))
    page = get("/preview", text=text, topic="floods")
    assert "floods differs from the stored version" in text_of(page)
    assert '<select id="topic"' in page
    many = "".join(f"- {{slug: t{number}, query: rain}}\n" for number in range(21))
    assert "21 topics, 20 is the most" in text_of(get("/preview", text=many))


def test_long_pages_come_in_parts(get, news):
    with news.room.database.transaction(read_only=True) as connection:
        (stored, *_) = current_topics(connection, "news")
    text = preview.as_yaml(replace(stored, top_k=120))  # every pair of it is scored
    first, second = get("/preview", text=text), get("/preview", text=text, page=2)
    assert "1–50 of 120 rows" in text_of(first)
    assert "51–100 of 120 rows" in text_of(second)
    ranks = re.findall(r'class="n rank">(\d+)<', second)
    assert (ranks[0], ranks[-1]) == ("51", "100")


def test_an_unknown_topic_and_a_long_text_are_refused_in_words(get):
    assert "has no active topic nowhere" in text_of(get("/preview", status=404, slug="nowhere"))
    assert "The address cannot be read" in text_of(get("/preview", status=422, text="x" * 6_001))


def test_nothing_is_written_or_scored(get, news, monkeypatch):
    from rerank_core.models import scorers

    monkeypatch.setattr(scorers, "load", lambda *_, **__: pytest.fail("an engine"))
    tables = "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables WHERE schemaname = 'rerank'"
    counts = "SELECT (SELECT count(*) FROM rerank.query), (SELECT count(*) FROM rerank.run), (SELECT count(*) FROM rerank.topic_version), (SELECT count(*) FROM rerank.pair_score)"
    before = news.room.sql(counts)
    get("/preview", text="slug: quite-new\nquery: a query that nobody has asked")
    assert news.room.sql(counts) == before
    assert all(count == 0 for _, count in news.room.sql(tables))


def test_a_stored_topic_comes_back_whole_from_its_text(news):
    with news.room.database.transaction(read_only=True) as connection:
        stored = current_topics(connection, "news")
    odd = Topic(
        slug="odd",
        query="no: [yes] #1",
        queries={"zh": "气候", "no": "vær"},
        languages=("no", "zh"),
        must=("a: b", "'"),
        min_score=-1.5,
        half_life_hours=0.5,
        top_k=3,
    )
    for topic in [*stored, odd]:
        (again,) = preview.read(preview.as_yaml(topic)).topics
        assert (again.slug, again.query, again.queries, again.must) == (
            topic.slug,
            topic.query,
            topic.queries,
            topic.must,
        )
        assert {**vars(again), "topic_version_id": 0, "number": 0} == {
            **vars(topic),
            "topic_version_id": 0,
            "number": 0,
        }
