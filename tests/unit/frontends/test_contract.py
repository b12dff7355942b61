"""CONTRACT.md says what the code says; what the database and the files say, the integration tests ask."""

import re
from pathlib import Path

import pytest

from rerank_core.frontends import contract, contract_json, contract_page
from rerank_core.records import TopicState
from rerank_core.storage import schemas

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "CONTRACT.md").read_text(encoding="utf-8")
TABLES = {
    name: table
    for name, table in {**vars(contract), **vars(contract_json)}.items()
    if name.isupper() and isinstance(table, tuple)
}


def test_the_page_is_made_from_what_the_code_says_now() -> None:
    assert contract_page.render(ROOT / "tests" / "examples") == PAGE, "run `make contract`"


def test_every_published_column_of_the_file_is_described() -> None:
    assert set(schemas.PUBLISHED.names) <= {column.name for column in contract.RANKING}


def test_a_key_that_nobody_has_described_is_refused() -> None:
    with pytest.raises(KeyError, match="mood"):
        contract.columns(contract.RANKING, ("rank", "mood"))


def test_every_state_is_described() -> None:
    assert set(contract.STATES) == set(TopicState.__args__)


@pytest.mark.parametrize("name", sorted(name for name, table in TABLES.items() if table))
def test_descriptions_are_whole_sentences_that_a_table_can_hold(name: str) -> None:
    described = [column.name for column in TABLES[name]]
    assert len(described) == len(set(described))
    for column in TABLES[name]:
        assert column.meaning.endswith((".", ":")) or "see below" in column.meaning, column.name
        assert not re.search(r"[|\n]", column.meaning + column.null + column.unit), column.name


def test_every_file_of_the_examples_stands_in_the_page() -> None:
    files = [
        file
        for file in (ROOT / "tests" / "examples").rglob("*")
        if file.suffix in {".sql", ".py", ".mjs"}
        and not {"node_modules", "test_examples.py"} & set(file.parts)
    ]
    assert len(files) == 10
    for file in files:
        assert file.read_text(encoding="utf-8").rstrip("\n") in PAGE, file.name


def test_links_within_the_page_and_to_other_files_lead_somewhere() -> None:
    heads = {
        re.sub(r"[^\w -]", "", head).lower().replace(" ", "-")
        for head in re.findall(r"^#+ (.+)$", PAGE, re.M)
    }
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert links
    for link in links:
        assert link[1:] in heads if link.startswith("#") else (ROOT / link.partition("#")[0]).exists(), link
