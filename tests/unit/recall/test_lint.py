"""What lint finds in a topics file: each rule where it should, at its place, and nothing in a good file."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import jsonschema
import pytest

from rerank_core.cli import sarif
from rerank_core.demo.airflow import REPOSITORY
from rerank_core.recall import lint as linting
from rerank_core.recall.lint import RULES, Remark, lint
from rerank_core.storage.topics_file import read_topics

SAMPLE = REPOSITORY / "rerank_core" / "demo" / "sample" / "topics.yaml"
GOOD = "- {slug: good, query: Central bank raises its interest rate}\n"

# Rule → a file that it finds something in, and the line and column of what.
FOUND = {
    "invalid": ("- slug: a\n  query: tram line\n  top_k: 0\n", (3, 10)),
    "no-topic": ("  []\n", (1, 1)),
    "no-word": ("- slug: a\n  query: of the\n", (2, 10)),
    "short-query": ("- slug: a\n  query: football\n", (2, 10)),
    "duplicate-topic": (f"{GOOD}- slug: a\n  query: Central bank raises its interest rate\n", (3, 10)),
    "near-duplicate": (f"{GOOD}- slug: a\n  query: A central bank raises its interest rate today\n", (3, 10)),
    "must-not-in-query": ("- slug: a\n  query: American football league\n  must_not: [cup, FOOTBALL]\n", (3, 13)),
    "nothing-passes": ("- slug: a\n  query: tram line\n  must: [stock market]\n  must_not: [market]\n", (4, 13)),
    "must-in-other-script": ("- slug: a\n  query: tram line\n  languages: [en]\n  must: [电车]\n", (4, 9)),
    "language-without-query": (
        "- slug: a\n  query: The central bank raises its interest rate\n  languages: [en, zh]\n", (3, 14)
    ),
    "unused-query": (
        "- slug: a\n  query: The central bank raises its rate\n  queries: {zh: 央行 加息}\n  languages: [en]\n", (3, 12)
    ),
    "query-in-other-language": ("- slug: a\n  query: tram line\n  queries: {en: 城市电车线路}\n", (3, 12)),
    "top-k-over-candidates": ("- slug: a\n  query: tram line\n  top_k: 51\n", (3, 10)),
    "short-half-life": ("- slug: a\n  query: tram line\n  half_life_hours: 0.5\n", (3, 20)),
    "min-score-out-of-reach": ("- slug: a\n  query: tram line\n  min_score: 20\n", (3, 14)),
    "min-score-like-probability": ("- slug: a\n  query: tram line\n  min_score: 0.8\n", (3, 14)),
    "repeated-query": ("- slug: a\n  query: tram line\n  queries: {fr: tram line}\n", (3, 12)),
}  # fmt: skip


def remarks(topics: str, *refused: str) -> list[Remark]:
    return lint(read_topics(f"topics:\n{topics}".encode()), refused)


@pytest.mark.parametrize("rule", sorted(FOUND))
def test_each_rule_finds_what_it_is_for_at_its_place(rule: str) -> None:
    topics, (line, column) = FOUND[rule]
    found = [remark for remark in remarks(topics) if remark.rule == rule]
    above = 0 if rule == "no-topic" else 1  # the line `topics:`
    assert [(remark.place.line, remark.place.column) for remark in found] == [(line + above, column)]
    assert found[0].level == RULES[rule].level


def test_a_text_that_the_model_refuses_is_an_error_at_its_query() -> None:
    found = remarks(GOOD, "topic 'good': query 'Central…' is longer than 256 tokens")
    assert [(remark.rule, remark.place.line, remark.topic) for remark in found] == [
        ("model-refuses", 2, "good")
    ]


def test_every_rule_has_a_test_and_a_line_on_the_page() -> None:
    assert {*FOUND, "model-refuses"} == set(RULES)
    page = (REPOSITORY / "rerank_core" / "recall" / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (\w+) \|", page, re.MULTILINE))
    assert rows == {name: rule.level for name, rule in RULES.items()}
    for name, rule in RULES.items():
        assert f"| `{name}` | {rule.level} | {rule.meaning} |" in page


def test_nothing_is_found_in_the_sample() -> None:
    assert lint(read_topics(SAMPLE.read_bytes())) == []


@pytest.mark.parametrize(
    "topics",
    [
        "- {slug: a, query: tram line, must: [iPhone], languages: [zh], queries: {zh: 苹果 手机}}",  # names
        "- {slug: a, query: 日本の選挙, must: [選挙], languages: [ja]}",
        "- {slug: a, query: tram line, min_score: 0}",
        "- {slug: a, query: tram line, half_life_hours: 1, top_k: 50}",
        "- {slug: a, query: C++ compiler, must_not: [C]}",  # C is not in C++
        "- {slug: a, query: tram line opens}\n- {slug: b, query: tram line closes after accident}",
        "- {slug: a, query: tram line, active: false}\n- {slug: b, query: ship yard}",
    ],
)
def test_what_is_right_is_left_alone(topics: str) -> None:
    assert [remark.rule for remark in remarks(topics)] == []


def test_many_topics_are_compared_in_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    monkeypatch.setattr(linting, "_jaccard", lambda left, right: compared.append(1) or 0.0)
    many = "".join(f"- {{slug: t{n}, query: news of town{n} and its council}}\n" for n in range(400))
    remarks(many)
    # A word that more than 50 topics have makes no two of them alike: not 80,000 comparisons.
    assert len(compared) <= 50 * 51


# ── SARIF ───────────────────────────────────────────────────────────────────────────────────────

# What the standard demands of the parts that are used (OASIS, SARIF 2.1.0, 2020): §3.13 log, §3.14 run, §3.19 tool
# component, §3.49 descriptor, §3.27 result, §3.28 location, §3.30 region. No other property is allowed in an object.
TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "additionalProperties": False,
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"type": "string"},
                                    "version": {"type": "string"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": {"type": "string"},
                                                "shortDescription": TEXT,
                                                "defaultConfiguration": {
                                                    "type": "object",
                                                    "properties": {"level": LEVEL},
                                                },
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": -1},
                                "level": LEVEL,
                                "message": TEXT,
                                "locations": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "additionalProperties": False,
                                        "properties": {
                                            "physicalLocation": {
                                                "type": "object",
                                                "additionalProperties": False,
                                                "required": ["artifactLocation"],
                                                "properties": {
                                                    "artifactLocation": {
                                                        "type": "object",
                                                        "properties": {
                                                            "uri": {"type": "string", "pattern": "^[!-~]+$"}
                                                        },
                                                    },
                                                    "region": {
                                                        "type": "object",
                                                        "additionalProperties": False,
                                                        "properties": {
                                                            "startLine": {"type": "integer", "minimum": 1},
                                                            "startColumn": {"type": "integer", "minimum": 1},
                                                        },
                                                    },
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def test_the_log_is_sarif_and_each_result_is_a_remark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = [remark for topics, _ in FOUND.values() for remark in remarks(topics)]
    log = json.loads(json.dumps(sarif.log([(Path("topics/新闻 1.yaml"), found)])))
    jsonschema.Draft7Validator(SARIF).validate(log)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    for remark, result in zip(found, run["results"], strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == remark.rule
        place = result["locations"][0]["physicalLocation"]
        assert place["region"] == {"startLine": remark.place.line, "startColumn": remark.place.column}
        assert unquote(place["artifactLocation"]["uri"]) == "topics/新闻 1.yaml"
        assert remark.message in result["message"]["text"]


def test_control_a_log_that_is_not_sarif_is_found() -> None:
    log = sarif.log([(Path("t.yaml"), remarks(FOUND["invalid"][0]))])
    log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] = 0
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SARIF).validate(log)


def test_a_file_elsewhere_has_its_whole_address(tmp_path: Path) -> None:
    (result,) = sarif.log([(tmp_path / "t.yaml", remarks(FOUND["invalid"][0]))])["runs"][0]["results"]
    assert (
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        == (tmp_path / "t.yaml").as_uri()
    )
