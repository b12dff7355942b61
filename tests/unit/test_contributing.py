"""CONTRIBUTING.md and SECURITY.md name files, tests and commands that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("CONTRIBUTING.md", "SECURITY.md")}


def named_paths(page: str) -> set[str]:
    """Paths of this repository in backticks or links."""
    quoted = re.findall(r"`([\w.-]+/[\w./-]*|[\w.-]+\.(?:md|lock|py))`", page)
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page) if "://" not in link]
    return {path for path in {*quoted, *links} if path != "layout.html"}


@pytest.mark.parametrize("name", PAGES)
def test_every_path_that_a_page_names_exists(name: str) -> None:
    paths = named_paths(PAGES[name])
    assert len(paths) > 10
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z-]+)`", "".join(PAGES.values())))))
def test_every_make_target_that_a_page_names_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("rerank_core/prepare/cleaning.py", ["STEPS: dict"]),
        ("rerank_core/prepare/cleaning.py", ["LINE_STEPS ="]),
        (
            "rerank_core/settings.py",
            [
                "prepare_without:",
                "recall:",
                "def recall_needs_vectors",
                "USE_MULTILINGUAL =",
                "def embedding_needs_device",
            ],
        ),
        ("tests/unit/prepare/test_cleaning.py", ["def test_each_step_does_its_own_work_and_is_counted"]),
        (
            "rerank_core/recall/base.py",
            ["class Retriever", "def name", "def best", "def any_language"],
        ),
        ("rerank_core/recall/strategy.py", ["def open_retriever", "Words()"]),
        ("tests/vectors_contract.py", ["class VectorsContract"]),
        ("rerank_core/models/prompt.py", ["class Format", "    controls:", "RULES ="]),
        ("rerank_core/models/identity.py", ["class Family", "FAMILIES ="]),
        ("tests/unit/models/test_families.py", ["FORMATS =", "WRITERS:", "FRAME_CONTROLS ="]),
        ("rerank_core/models/embedding.py", ["class Embedder(Protocol)", "LANGUAGES ="]),
        ("rerank_core/models/embedders.py", ["def identity", "def load"]),
        ("plugins/rerank_airflow/ui/app.py", ["def build"]),
        ("plugins/rerank_airflow/ui/health.py", ["router = APIRouter()", "pipeline: Chosen"]),
    ],
)
def test_what_the_recipes_name_is_in_the_file_that_they_name(file: str, names: list[str]) -> None:
    source = (ROOT / file).read_text(encoding="utf-8")
    assert [name for name in names if name not in source] == []


def test_the_tests_of_the_views_have_what_the_recipe_names() -> None:
    files = [ROOT / "tests/view_reader.py", *(ROOT / "tests/plugins").rglob("*.py")]
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    for name in ("ROUTES = (", "def every_view("):
        assert name in source
