"""topics.yaml is read whole or not at all, and says everything that is wrong with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rerank_core.errors import InputError
from rerank_core.records import DEFAULT_INSTRUCTION, Topic
from rerank_core.storage import topics_file
from rerank_core.storage.topics import load_topics, query_digest, recall_digest

ErrorsOf = Callable[[str | bytes], str]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.fixture
def errors_of(tmp_path: Path) -> ErrorsOf:
    """What load_topics says is wrong with this text, with the folder taken away."""

    def read(text: str | bytes) -> str:
        file = tmp_path / "topics.yaml"
        file.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
        with pytest.raises(InputError) as raised:
            load_topics(file)
        return str(raised.value).replace(f"{tmp_path}/", "")

    return read


def one(fields: str) -> str:
    """A file with one good topic and these fields, which begin on line 4."""
    return f"topics:\n- slug: ai-chips\n  query: AI 芯片\n{fields}\n"


def load(tmp_path: Path, text: str) -> list[Topic]:
    file = tmp_path / "topics.yaml"
    file.write_text(text, encoding="utf-8")
    return load_topics(file)


def test_a_topic_needs_only_slug_and_query(tmp_path: Path) -> None:
    assert load(tmp_path, one("")) == [Topic(slug="ai-chips", query="AI 芯片")]


def test_aliases_of_a_language_are_read_as_its_code(tmp_path: Path) -> None:
    file = tmp_path / "topics.yaml"
    file.write_text(
        one("  languages: [nb, iw, in, eng, cmn-Hant, pt-BR, SV]") + "  queries: {no: a, jpn: b}\n",
        encoding="utf-8",
    )
    (topic,) = load_topics(file)
    assert topic.languages == ("no", "he", "id", "en", "zh", "pt", "sv")
    assert topic.queries == {"no": "a", "ja": "b"}


def test_every_field_is_read(tmp_path: Path) -> None:
    text = one(
        """
  queries: {en: AI chips, zh: AI 芯片}
  instruction: >
    Judge chips.
  languages: [zh, en, no]
  must: [芯片]
  must_not:
  - "2024"
  candidate_limit: 1000
  top_k: 1
  min_score: -1.5
  half_life_hours: 12
  max_per_source: 2
  diversity: 0.3
  active: false"""
    )
    assert load(tmp_path, text) == [
        Topic(
            slug="ai-chips",
            query="AI 芯片",
            queries={"en": "AI chips", "zh": "AI 芯片"},
            instruction="Judge chips.",
            languages=("zh", "en", "no"),
            must=("芯片",),
            must_not=("2024",),
            candidate_limit=1000,
            top_k=1,
            min_score=-1.5,
            half_life_hours=12.0,
            max_per_source=2,
            diversity=0.3,
            active=False,
        )
    ]


def test_min_score_may_be_null_and_topics_keep_the_order_of_the_file(tmp_path: Path) -> None:
    topics = load(tmp_path, "topics:\n- {slug: b, query: x, min_score: null}\n- {slug: a, query: y}\n")
    assert [(topic.slug, topic.min_score, topic.instruction) for topic in topics] == [
        ("b", None, DEFAULT_INSTRUCTION),
        ("a", None, DEFAULT_INSTRUCTION),
    ]


def test_a_topic_may_take_over_the_fields_of_another(tmp_path: Path) -> None:
    topics = load(
        tmp_path, "topics:\n- &first {slug: a, query: x, top_k: 7}\n- {<<: *first, slug: b, query: y}\n"
    )
    assert topics[1] == Topic(slug="b", query="y", top_k=7)


def test_an_empty_list_of_topics_is_a_list(tmp_path: Path) -> None:
    assert load(tmp_path, "topics: []") == []


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("  candidate_limit: 0", "candidate_limit 0 is not in 1..1000"),
        ("  candidate_limit: 1001", "candidate_limit 1001 is not in 1..1000"),
        ("  top_k: true", "top_k true is not a whole number in 1..1000"),
        ("  top_k: 2.5", "top_k 2.5 is not a whole number in 1..1000"),
        ("  top_k: '5'", "top_k '5' is not a whole number in 1..1000"),
        ("  top_k: [5]", "top_k a list is not a whole number in 1..1000"),
        ("  min_score: .nan", "min_score .nan is not a finite number"),
        ("  min_score: -.inf", "min_score -.inf is not a finite number"),
        ("  min_score: high", "min_score 'high' is not a number"),
        ("  min_score: true", "min_score true is not a number"),
        ("  half_life_hours: 0", "half_life_hours 0 is not more than 0"),
        ("  half_life_hours: .inf", "half_life_hours .inf is not a finite number"),
        ("  diversity: 1.5", "diversity 1.5 is not in 0..1"),
        ("  diversity: .nan", "diversity .nan is not a finite number"),
        ("  max_per_source: 0", "max_per_source 0 is not in 1..1000"),
        ("  active: maybe", "active 'maybe' is not true or false"),
        ("  active: 1", "active 1 is not true or false"),
        ("  top_k:", "top_k is empty; give it a value or leave the line out"),
        ("  querry: x", "unknown field 'querry'; did you mean 'query'?"),
        ("  topk: 3", "unknown field 'topk'; did you mean 'top_k'?"),
        ("  query: again", "query is on line 3 already; keep one of them"),
        ("  instruction: ' '", "instruction is empty; write its text"),
        ("  instruction: 2024", "instruction 2024 is a number, not text; put it in quotes"),
        ("  instruction: yes", "instruction yes is true or false, not text; put it in quotes"),
        ("  instruction: 2024-10-01", "instruction 2024-10-01 is a date, not text; put it in quotes"),
        ("  instruction: [a]", "instruction is a list, not text"),
        (r'  instruction: "a\0b"', r"instruction 'a\x00b' holds a NUL character; take it out"),
        ("  languages: zh", "languages is text, not a list; write it in square brackets"),
        ("  languages: [jp]", "languages 'jp' is not a language code of BCP 47; did you mean 'ja'?"),
        ("  languages: [nb, no]", "languages has 'no' twice; keep one of them"),
        ("  queries: {iw: a, he: b}", "queries has 'he' twice; keep one of them"),
        (
            "  languages: [q]",
            "languages 'q' is not a language code of BCP 47; write a code such as en or zh",
        ),
        ("  languages: [en, en]", "languages has 'en' twice; keep one of them"),
        ("  queries: [en]", "queries is a list; write queries: {en: a query, zh: another}"),
        ("  queries: {en: ''}", "queries.en is empty; write its text"),
        (
            "  queries: {xx: a}",
            "queries 'xx' is not a language code of BCP 47; write a code such as en or zh",
        ),
        ("  queries: {en: a, en: b}", "en is on line 4 already; keep one of them"),
        ("  must: [a, ~]", "must is empty; write its text"),
        ("  must: [a]\n  must_not: [A]", "must_not has 'a', which must has too; keep one of them"),
        (
            "  instruction: !!python/object:os.system x",
            "instruction x is a tag:yaml.org,2002:python/object:os.system, not text; put it in quotes",
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_line(
    errors_of: ErrorsOf, field: str, message: str
) -> None:
    line = 5 if "\n" in field else 4
    assert errors_of(one(field)) == f"topic 'ai-chips' (topics.yaml, line {line}): {message}"


def test_a_query_longer_than_2000_characters_is_refused(errors_of: ErrorsOf) -> None:
    assert "has 2,001 characters; 2,000 is the most" in errors_of(
        f"topics: [{{slug: a, query: {'芯' * 2001}}}]"
    )


@pytest.mark.parametrize("slug", ["Upper", "-a", "a b", "../a", "a" * 64, "芯片"])
def test_a_slug_is_a_short_plain_name(errors_of: ErrorsOf, slug: str) -> None:
    assert "is not 1 to 63 of a-z" in errors_of(f'topics: [{{slug: "{slug}", query: q}}]')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "topics.yaml is empty; write `topics:` and a list of topics under it"),
        ("- a", "topics.yaml, line 1: the file is a list; write `topics:` and a list of topics under it"),
        ("{}", "topics.yaml, line 1: there is no `topics:`; write it, and a list of topics under it"),
        ("topic: []", "topics.yaml, line 1: unknown field 'topic'; did you mean 'topics'?"),
        (
            "topics: {a: b}",
            "topics.yaml, line 1: topics is a mapping, not a list; begin each topic with `- slug:`",
        ),
        (
            "topics:\n- a",
            "topic 1 (topics.yaml, line 2): it is text, not fields with values; begin it with `slug:`",
        ),
        (
            "topics:\n- query: a",
            "topic 1 (topics.yaml, line 2): slug is missing; every topic has a slug and a query",
        ),
        (
            "topics:\n- slug: a",
            "topic 'a' (topics.yaml, line 2): query is missing; every topic has a slug and a query",
        ),
        (
            "topics: [\n",
            "topics.yaml, line 2: not YAML: did not find expected node content; correct it there",
        ),
        (
            "topics: []\n---\na: b",
            "topics.yaml, line 2: not YAML: but found another document; correct it there",
        ),
        ("topics:\n- \x1b[31m", "topics.yaml, line 2: a control character; take it out"),
        (b"topics:\n- \xff", "topics.yaml, line 2: not UTF-8; save the file as UTF-8"),
        ("[" * 5_000, "topics.yaml has lists or mappings that are nested too deep to be topics"),
    ],
)
def test_a_file_that_is_not_a_list_of_topics_is_refused(errors_of: ErrorsOf, text: str, message: str) -> None:
    assert message in errors_of(text)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.yaml cannot be read: No such file or directory; name a file"):
        load_topics(tmp_path / "none.yaml")


def test_all_errors_are_told_at_once(errors_of: ErrorsOf) -> None:
    text = "topics:\n- slug: a\n  query: x\n  top_k: 0\n  candidate_limit: 0\n- slug: a\n  query: ''\n- slug: b\nextra: 1\n"
    assert errors_of(text).splitlines() == [
        "topics.yaml has 6 errors:",
        "  topics.yaml, line 9: unknown field 'extra'; known are topics",
        "  topic 'a' (topics.yaml, line 4): top_k 0 is not in 1..1000",
        "  topic 'a' (topics.yaml, line 5): candidate_limit 0 is not in 1..1000",
        "  topic 'a' (topics.yaml, line 6): slug 'a' is on line 2 already; give each topic its own",
        "  topic 'a' (topics.yaml, line 7): query is empty; write its text",
        "  topic 'b' (topics.yaml, line 8): query is missing; every topic has a slug and a query",
    ]


def test_two_topics_of_one_slug_on_one_line_are_found(errors_of: ErrorsOf) -> None:
    assert "slug 'a' is on line 1 already; give each topic its own" in errors_of(
        "topics: [{slug: a, query: x}, {slug: a, query: y}]"
    )


def test_the_query_digest_is_of_exactly_the_two_texts() -> None:
    assert query_digest("i", "q") == query_digest("i", "q")
    assert (
        len(
            {
                query_digest("ab", "c"),
                query_digest("a", "bc"),
                query_digest("", "abc"),
                query_digest("c", "ab"),
            }
        )
        == 4
    )


@given(texts, texts, texts, texts)
def test_no_two_pairs_of_texts_share_a_query_digest(a: str, b: str, c: str, d: str) -> None:
    assert (query_digest(a, b) == query_digest(c, d)) == ((a, b) == (c, d))


def test_the_recall_digest_covers_what_is_recalled_and_scored_and_nothing_else() -> None:
    topic = Topic(slug="a", query="q", queries={"en": "e", "zh": "z"})
    same = Topic(
        slug="b",
        query="q",
        queries={"zh": "z", "en": "e"},
        top_k=3,
        min_score=1.0,
        half_life_hours=1.0,
        max_per_source=1,
        diversity=0.5,
        active=False,
        number=9,
    )
    assert recall_digest(topic) == recall_digest(same)
    others = [
        Topic(slug="a", query="x", queries={"en": "e", "zh": "z"}),
        Topic(slug="a", query="q", queries={"en": "z", "zh": "e"}),
        Topic(slug="a", query="q", queries={"en": "e"}),
        Topic(slug="a", query="q", queries={"en": "e", "zh": "z"}, instruction="i"),
        Topic(slug="a", query="q", queries={"en": "e", "zh": "z"}, must=("m",)),
        Topic(slug="a", query="q", queries={"en": "e", "zh": "z"}, must_not=("m",)),
        Topic(slug="a", query="q", queries={"en": "e", "zh": "z"}, languages=("zh",)),
        Topic(slug="a", query="q", queries={"en": "e", "zh": "z"}, candidate_limit=7),
    ]
    assert recall_digest(topic) not in {recall_digest(other) for other in others}


def test_half_a_character_is_refused_by_either_parser(
    errors_of: ErrorsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = one(r'  instruction: "\ud800"')
    assert errors_of(half).startswith("topics.yaml, line 4: not YAML: ")
    monkeypatch.setattr(topics_file, "_Loader", yaml.SafeLoader)
    assert "instruction holds half a character, U+D800; write the whole one" in errors_of(half)


def test_a_half_life_whose_rank_scores_no_number_can_hold_is_refused(errors_of: ErrorsOf) -> None:
    assert "half_life_hours '1e-320' is under 0.001, the least" in errors_of(one("  half_life_hours: 1e-320"))


class TestBombs:
    """A small file takes neither memory nor time that only a large one may take."""

    def laughs(self, depth: int) -> str:
        """Each mapping merges the one before ten times."""
        lines = ["- &m0 {slug: a, query: b}"]
        lines += [
            f"- &m{level} {{<<: [{', '.join([f'*m{level - 1}'] * 10)}], slug: a{level}, query: b}}"
            for level in range(1, depth)
        ]
        return "topics:\n" + "\n".join(lines)

    def test_merges_of_merges_are_counted_before_they_are_made(self, tmp_path: Path) -> None:
        file = tmp_path / "topics.yaml"
        file.write_text(self.laughs(40))
        with pytest.raises(
            InputError, match=r"line 4\): with what it merges \(`<<`\) it has more than 100 fields"
        ):
            load_topics(file)

    def test_control_uncounted_they_grow_tenfold_a_level(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made: list[int] = []
        flatten = topics_file._Loader.flatten_mapping

        def counted(self: Any, node: yaml.MappingNode) -> None:
            flatten(self, node)
            made.append(len(node.value))

        file = tmp_path / "topics.yaml"
        file.write_text(self.laughs(5))
        monkeypatch.setattr(topics_file._Loader, "flatten_mapping", counted)
        monkeypatch.setattr(topics_file, "MOST_FIELDS", 10**9)
        load_topics(file)
        assert max(made) > 10**4

    @pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
    def test_a_deep_file_is_refused_before_it_is_read_into_its_depth(
        self, opening: str, errors_of: ErrorsOf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(topics_file._Loader, "get_single_node", None)  # whoever asks for nodes fails
        assert "nested too deep to be topics" in errors_of(opening * 100_000)

    def test_names_and_values_are_counted_before_they_are_made(
        self, errors_of: ErrorsOf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(topics_file._Loader, "get_single_node", None)
        text = "topics: [{slug: a, query: b, must: [" + "a, " * 300_000 + "]}]"
        assert "has more than 300,000 names and values" in errors_of(text)

    def test_no_hint_is_looked_for_beyond_the_errors_that_are_told(
        self, errors_of: ErrorsOf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        monkeypatch.setattr(
            topics_file.difflib, "get_close_matches", lambda name, known, n: asked.append(name) or []
        )
        assert "has 4,500 errors" in errors_of(
            "topics:\n"
            + "".join(
                f"- {{slug: t{topic}, query: q, " + ", ".join(f"x{name}: 1" for name in range(90)) + "}\n"
                for topic in range(50)
            )
        )
        assert len(asked) == topics_file.MOST_PROBLEMS

    def test_merges_that_people_write_are_taken(self, tmp_path: Path) -> None:
        file = tmp_path / "topics.yaml"
        shared = "- &base {slug: a, query: b, top_k: 5}\n- &more {<<: *base, slug: c, candidate_limit: 7}\n"
        file.write_text(f"topics:\n{shared}- {{<<: [*more, *base], slug: d}}\n")
        found = load_topics(file)
        assert [(topic.slug, topic.top_k, topic.candidate_limit) for topic in found][2] == ("d", 5, 7)

    @pytest.mark.parametrize(
        "text",
        [
            "topics: &t [*t]",
            "topics: [&m {<<: *m, slug: a, query: b}]",
            "topics: [&m {<<: [*m, *m], slug: a, query: b}]",
            "topics: [{slug: a, query: b, must: &l [*l]}]",
            "topics:\n- &a {slug: a, query: b, queries: &q {en: *q}}",
        ],
    )
    def test_what_contains_itself_comes_to_an_end(self, tmp_path: Path, text: str) -> None:
        file = tmp_path / "topics.yaml"
        file.write_text(text)
        try:
            (topic,) = load_topics(file)
        except InputError:
            return
        assert (topic.slug, topic.query) == ("a", "b")  # it merges itself, and so nothing

    def test_a_list_a_file_and_an_error_have_their_bounds(self, tmp_path: Path) -> None:
        file = tmp_path / "topics.yaml"
        words = ", ".join(f"w{number}" for number in range(1_001))
        file.write_text(f"topics: [{{slug: a, query: b, must: [{words}]}}]")
        with pytest.raises(InputError, match="must has 1,001 items; 1,000 is the most"):
            load_topics(file)
        file.write_text("t: &t {slug: a}\ntopics: [" + ", ".join(["*t"] * 10_001) + "]")
        with pytest.raises(InputError, match="topics has 10,001 items; 10,000 is the most"):
            load_topics(file)
        file.write_text("topics:\n" + "- {slug: A}\n" * 500)
        with pytest.raises(InputError) as caught:
            load_topics(file)
        assert len(str(caught.value).splitlines()) == 102
        file.write_text("# " + "x" * topics_file.LARGEST)
        with pytest.raises(InputError, match="holds more than 8 MB"):
            load_topics(file)
