"""The pages say what is so: links lead somewhere, commands and names exist, defaults and figures are the true ones."""

import ast
import importlib.util
import json
import re
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path

import pages
import pytest
import settings_page
import typer
import yaml
from pages import Block, Command

from rerank_core.airflow_settings import OTHERS, AirflowSettings, variables
from rerank_core.cli import app
from rerank_core.setting_sources import file_variables
from rerank_core.settings import Settings
from rerank_core.storage.topics_file import load_topics

ROOT = pages.ROOT
PAGES = pages.all_pages()
MAKEFILE = "\n".join(
    file.read_text(encoding="utf-8")
    for file in (ROOT / "Makefile", ROOT / ".make/setup", ROOT / ".make/lock")
)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
BLOCKS = [block for page in PAGES for block in pages.blocks(page)]
COMMANDS = [command for page in PAGES for command in pages.commands(page)]
NOT_HERE = ("airflow.providers.slack",)  # an example's, which nobody needs to install
by_name = {"ids": lambda page: str(page.relative_to(ROOT))}


def test_there_is_a_page_in_each_place_that_the_readme_names() -> None:
    names = {str(page.relative_to(ROOT)) for page in PAGES}
    assert names >= {
        "README.md",
        "CHANGELOG.md",
        "CONTRACT.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "dags/README.md",
        "plugins/README.md",
        "rerank_core/README.md",
        "rerank_core/SETTINGS.md",
        "rerank_core/evaluation/README.md",
        "rerank_core/models/README.md",
        "rerank_core/prepare/README.md",
        "rerank_core/recall/README.md",
        "sql/README.md",
        "tests/README.md",
    }


@pytest.mark.parametrize("page", PAGES, **by_name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert pages.broken_links(page) == []


@pytest.mark.parametrize(
    "link", ["nowhere.md", "#nowhere", "README.md#nowhere", "rerank_core/nowhere/README.md", "LICENSE#top"]
)
def test_control_a_broken_link_is_found(tmp_path: Path, link: str) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"# Head\n\n[good](#head), [bad]({link})\n\n```\n[in code](nowhere)\n```\n")
    (tmp_path / "LICENSE").write_text("")
    assert pages.broken_links(page) == [link]


# ── Commands ────────────────────────────────────────────────────────────────────────────────────


def wrong_with(command: Command) -> str | None:
    """Why nobody can give this command; None if it is right."""
    _, words = pages.without_environment(command.words)
    if not words:
        return None
    first = words[0].removeprefix(".venv/bin/")
    if first not in pages.KNOWN:
        return f"{first} is no command that pages know; add it to KNOWN if it is right"
    if first == "make":
        return _wrong_with_make(words[1:])
    if first == "python" and words[1:2] == ("-m",):
        return None if _is_module(words[2]) else f"there is no module {words[2]}"
    if first == "rerank":
        return _wrong_with_rerank(words[1:], is_whole=command.is_whole)
    if first == "airflow":
        return _wrong_with_airflow(words[1:], is_whole=command.is_whole)
    if first == "pip":
        return _wrong_with_pip(words[1:])
    if first == "cp":
        return next((f"there is no {file}" for file in words[1:-1] if not (ROOT / file).exists()), None)
    return None


def _wrong_with_pip(words: tuple[str, ...]) -> str | None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {
        extra for word in words for extra in re.sub(r"^.*?\[(.*)\].*$|^.*$", r"\1", word).split(",") if extra
    }
    unknown = asked - set(project["optional-dependencies"])
    return f"there is no extra {sorted(unknown)[0]}" if unknown else None


def _wrong_with_make(words: tuple[str, ...]) -> str | None:
    for word in words:
        name, is_variable, _ = word.partition("=")
        if is_variable and not re.search(rf"\b{name}\b", MAKEFILE):
            return f"no target looks at {name}"
        if not is_variable and word not in TARGETS:
            return f"there is no target {word}"
    return None


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _wrong_with_rerank(words: tuple[str, ...], *, is_whole: bool) -> str | None:
    """What typer says of the words; an argument that is left out is wrong in a block, not in a sentence."""
    command = typer.main.get_command(app)
    rest = [_filled(word) for word in words if word != "…"]
    parent = None
    while hasattr(command, "commands"):
        if not rest:
            return None
        name = rest.pop(0)
        if name not in command.commands:
            return f"there is no command {name!r}"
        command = command.commands[name]
    try:
        command.make_context(command.name, rest, parent=parent)
    except Exception as error:
        what = type(error).__name__
        if not is_whole and (what == "MissingParameter" or "requires an argument" in str(error)):
            return None
        return str(error) or what
    return None


def _filled(word: str) -> str:
    """What a reader could put in place of a word such as RUN."""
    return "1" if pages.NAMED.match(word) and "." not in word else word


def _wrong_with_airflow(words: tuple[str, ...], *, is_whole: bool) -> str | None:
    if words[:1] == ("celery",) and not _is_module("airflow.providers.celery"):
        return None  # a command of that provider
    parser = import_module("airflow.cli.cli_parser").get_parser()
    try:
        parser.parse_args([_filled(word) for word in words if word != "…"])
    except SystemExit:
        return "airflow does not take it" if is_whole else None
    return None


@pytest.mark.filterwarnings("default")  # of Airflow's own imports
@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_command_of_a_page_can_be_given(command: Command) -> None:
    assert wrong_with(command) is None


@pytest.mark.parametrize(
    "line",
    [
        "make nonsense",
        "make demo MODLE=x",
        "rerank rnu",
        "rerank run --untill 2026-11-25T15:00:00Z",
        "rerank show --limit none",
        "rerank explain ai-policy",
        "python -m benchmarks.nonsense",
        "nonsense --help",
        "rerank db roles --print | pqsl news",
        "pip install '.[gpv,celery]'",
        "cp dags/nonsense.py there",
    ],
)
def test_control_a_wrong_command_is_found(tmp_path: Path, line: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```sh\n{line}\n```\n")
    assert [wrong_with(command) for command in pages.commands(page)] != [None]


def test_every_block_of_commands_is_a_script() -> None:
    for block in BLOCKS:
        if block.is_shell:
            assert _bash(block.text) == "", block


def test_control_a_block_that_is_none_is_found() -> None:
    assert "unexpected" in _bash("echo 'one\n")


def _bash(script: str) -> str:
    """What a shell finds wrong with a script, which it does not run."""
    return subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False).stderr


def test_control_a_sentence_may_leave_arguments_out_and_name_no_wrong_option(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`rerank explain` and `rerank claim --since TIME [--until TIME]`, not `rerank show --nonsense`\n"
    )
    found = [wrong_with(command) for command in pages.commands(page)]
    assert found[:2] == [None, None]
    assert "--nonsense" in str(found[2])


# ── Names, defaults, code ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", PAGES, **by_name)
def test_every_variable_of_a_page_is_a_setting(page: Path) -> None:
    named = set(re.findall(r"RERANK_[A-Z0-9]+(?:_[A-Z0-9]+)*", pages.read(page)))
    assert named - {*variables(), *file_variables(), *OTHERS, "RERANK_AIRFLOW"} == set()


def unknown_options(text: str) -> set[str]:
    """Variables of Airflow in a text that name no option; those of the Celery provider only if it is installed."""
    from airflow.configuration import conf

    known = {section: set(of["options"]) for section, of in conf.configuration_description.items()}
    named = set(re.findall(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)", text))
    if _is_module("airflow.providers.celery"):
        config = import_module("airflow.providers.celery.get_provider_info").get_provider_info()["config"]
        known |= {section: set(of["options"]) for section, of in config.items()}
    else:
        named = {name for name in named if not name[0].startswith("CELERY")}
    return {
        f"AIRFLOW__{section}__{option}"
        for section, option in named
        if option.lower() not in known.get(section.lower(), ())
    }


@pytest.mark.filterwarnings("default")  # of Airflow's own imports
@pytest.mark.parametrize("page", PAGES, **by_name)
def test_every_option_of_airflow_that_a_page_sets_exists(page: Path) -> None:
    assert unknown_options(pages.read(page)) == set()


@pytest.mark.filterwarnings("default")
def test_control_an_option_that_airflow_does_not_have_is_found() -> None:
    wrong = {"AIRFLOW__CORE__EXECUTER", "AIRFLOW__NOWHERE__EXECUTOR"}
    assert unknown_options(f"export {' '.join(wrong)} AIRFLOW__CORE__EXECUTOR") == wrong


def stated_defaults(text: str) -> list[tuple[str, float]]:
    """Variables with a number right behind them, as in `RERANK_SHARDS` (1)."""
    found = re.findall(r"`(RERANK_[A-Z0-9_]+)`(?: \(|, )(\d[\d,]*(?:\.\d+)?)(?![\d-])", text)
    return [(name, float(number.replace(",", ""))) for name, number in found]


def default_of(variable: str) -> object:
    group = AirflowSettings if variable.startswith("RERANK_AIRFLOW_") else Settings
    name = variable.removeprefix(str(group.model_config["env_prefix"])).lower()
    return group.model_fields[name].get_default(call_default_factory=True)


@pytest.mark.parametrize("page", PAGES, **by_name)
def test_a_default_that_a_page_states_is_the_settings_default(page: Path) -> None:
    wrong = [
        (name, number) for name, number in stated_defaults(pages.prose(page)) if default_of(name) != number
    ]
    assert wrong == []


def test_control_a_stated_default_is_read() -> None:
    text = "`RERANK_STORE_GRACE_HOURS`, 24 hours; `RERANK_MAX_PAIRS` (200,000)"
    assert stated_defaults(text) == [("RERANK_STORE_GRACE_HOURS", 24.0), ("RERANK_MAX_PAIRS", 200_000.0)]


def test_the_page_of_settings_is_what_the_settings_are() -> None:
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.page(), "run `make settings`"


def test_control_a_setting_in_no_group_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    rest = {title: names for title, names in settings_page.GROUPS.items() if title != "Recall"}
    monkeypatch.setattr(settings_page, "GROUPS", rest)
    with pytest.raises(ValueError, match="fill_factor"):
        settings_page.page()


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=str)
def test_python_of_a_page_compiles_and_its_imports_exist(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.Import):
            wanted = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            wanted = [(node.module or "", alias.name) for alias in node.names]
        else:
            continue
        for module, name in wanted:
            if not module.startswith(NOT_HERE):
                assert _is_module(module), module
                if name is not None and module.startswith(("rerank_core", "rerank_airflow")):
                    assert hasattr(import_module(module), name) or _is_module(f"{module}.{name}")


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in {"yaml", "yml"}], ids=str)
def test_yaml_of_a_page_loads_and_topics_are_topics(block: Block, tmp_path: Path) -> None:
    if "topics" in yaml.safe_load(block.text):
        (tmp_path / "topics.yaml").write_text(block.text, encoding="utf-8")
        assert load_topics(tmp_path / "topics.yaml")


def test_every_block_has_a_kind_that_a_test_knows() -> None:
    kinds = {block.language for block in BLOCKS}
    assert kinds <= {
        "",
        "text",
        "sh",
        "bash",
        "shell",
        "sql",
        "python",
        "yaml",
        "js",
        "json",
        "cron",
        "console",
    }


# ── Figures ─────────────────────────────────────────────────────────────────────────────────────

RESULTS = re.compile(r"\]\((?:\.\./)*(?:tests/)?benchmarks/results/([\w./]+)\)")
# Pages whose tables are taken row by row from the results that the same section links to.
TAKEN_FROM_RESULTS = (
    "plugins",
    "rerank_core/frontends",
    "rerank_core/learning",
    "rerank_core/models",
    "rerank_core/publish",
    "tests",
)
MEASURED = [
    section
    for folder in TAKEN_FROM_RESULTS
    for section in re.split(r"^#{2,3} ", pages.prose(ROOT / folder / "README.md"), flags=re.MULTILINE)
    if RESULTS.search(section)
]
FIGURE = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e-?\d+)?(?![\w])( %)?")


def figures(text: str) -> list[str]:
    """The figures of a text, without blanks and commas."""
    return [match[0].removesuffix(" %").replace(",", "") for match in FIGURE.finditer(text)]


def is_among(shown: str, known: list[float]) -> bool:
    """Whether one of the numbers is this figure, or rounds to it; a small whole number is itself."""
    if shown.isdigit() and float(shown) < 100:
        return float(shown) in known
    places = 12 if "e" in shown else len(shown.partition(".")[2])
    return any(round(number, places) == float(shown) for number in known)


def unfounded(section: str) -> list[str]:
    """Rows of a section's tables whose figures the results page that it links to does not have.

    All figures of a row stand on one line there; those of a column that is named like a part of that page, in this part.
    """
    results = "\n".join(
        (ROOT / "tests" / "benchmarks" / "results" / name).read_text(encoding="utf-8")
        for name in RESULTS.findall(section)
    )
    lines = [[float(figure) for figure in figures(line)] for line in results.splitlines()]
    parts = {
        part.partition(":")[0]: [float(figure) for figure in figures(part)]
        for part in re.split(r"^### ", results, flags=re.MULTILINE)
    }
    wrong, head = [], []
    for row in section.splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")] if row.startswith("|") else []
        if not head and cells:
            head = cells
        elif not cells:
            head = []
        elif head[-1] in parts:
            pairs = zip(head[1:], cells[1:], strict=True)
            if not all(is_among(figure, parts[name]) for name, cell in pairs for figure in figures(cell)):
                wrong.append(row)
        elif not any(
            all(is_among(figure, line) for cell in cells[1:] for figure in figures(cell)) for line in lines
        ):
            wrong.append(row)
    return wrong


@pytest.mark.parametrize("section", MEASURED, ids=lambda section: section.partition("\n")[0])
def test_every_figure_that_a_page_takes_from_the_results_was_measured(section: str) -> None:
    assert unfounded(section) == []


@pytest.mark.parametrize(
    ("title", "right", "wrong"),
    [
        ("Scale", "| 0.54 |", "| 0.57 |"),
        ("Scale", "at most 1.2 ", "at most 1.3 "),
        ("Speed", "| 20.7 |", "| 20.8 |"),
        ("Speed", "| 1.05 |", "| 1.41 |"),
        ("Under fire", "| 125,555 |", "| 125,556 |"),
        ("Preparing", "| 0.898 |", "| 0.889 |"),
        ("How exact", "| 0.026 |", "| 0.027 |"),
        ("Can an article fool", "| 3.17 |", "| 3.71 |"),
        ("See the rankings", "| 31.44 |", "| 31.54 |"),
    ],
)
def test_control_a_wrong_figure_is_found(title: str, right: str, wrong: str) -> None:
    section = next(section for section in MEASURED if section.startswith(title))
    assert right in section
    assert len(unfounded(section.replace(right, wrong))) == 1


def test_the_walk_along_one_article_names_functions_that_exist() -> None:
    page = ROOT / "rerank_core" / "README.md"
    section = pages.prose(page).partition("## One article all the way")[2].partition("\n## ")[0]
    walk = re.findall(r"^\| \[(\w+)\]\(([\w/.]+)\) \| `(\w+)` \|", section, re.MULTILINE)
    assert len(walk) == len({room for room, _, _ in walk}) == 10
    for room, file, function in walk:
        tree = ast.parse((page.parent / file).read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert file.startswith(room)
        assert function in names, f"{file} has no {function}"


def test_every_room_is_on_the_map() -> None:
    page = ROOT / "rerank_core" / "README.md"
    rooms = {folder.parent.name for folder in page.parent.glob("*/__init__.py")}
    section = pages.prose(page).partition("## The rooms")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| \[(\w+)\]", section, re.MULTILINE)) == rooms


def test_the_faults_that_were_struck_are_counted_right() -> None:
    told = json.loads((ROOT / "tests/benchmarks/results/faults.json").read_text(encoding="utf-8"))
    struck = sum(row["faults"] for row in told["rows"] if not row["control"])
    assert struck == sum(told["code"].values())
    assert f"struck {struck:,} faults" in pages.read(ROOT / "tests" / "README.md")
    assert f"attacked, {struck:,} times" in pages.read(ROOT / "README.md")
