"""One run over the sample: it gives the logits that it always gave, and the pages show what the commands print."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from rerank_core.cli import main
from rerank_core.extract.articles import load_articles
from rerank_core.settings import Settings
from rerank_core.storage.database import Database

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "rerank_core" / "README.md").read_text(encoding="utf-8")
SAMPLE = ROOT / "rerank_core" / "demo" / "sample"
AS_OF = datetime(2026, 11, 2, 13, tzinfo=UTC)  # of the run on the page: an hour after the newest article
# topic → [[article, logit], …], in the order of the page
EXPECTED = Path(__file__).with_name("sample_logits.json")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?(?= UTC)")
NUMBER = re.compile(r"[-+]?\d+\.\d+")

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # vLLM and torch warn of their own code
]


def block(command: str) -> str:
    """What the page shows of a command: the block after its name."""
    found = re.search(rf"`{re.escape(command)}`[^`]*?\n```(?:text)?\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, f"the page does not show `{command}`"
    return found[1]


@pytest.fixture(scope="module")
def printed(postgres, _migrated_template, tmp_path_factory) -> Callable[..., str]:
    """Runs a command on the sample after one run, and gives what it prints, as if the run had been the page's."""
    pytest.importorskip("vllm", reason="the engine is not installed (extra `cpu` or `gpu`)")
    database = Database(postgres.create("news_of_the_page", template=_migrated_template))
    # On a clock of any date: times are moved to the past hours, and back in what is printed.
    moved = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1) - AS_OF
    load_articles(database, SAMPLE / "articles.jsonl")
    with database.transaction() as connection:
        connection.execute(
            text(
                "UPDATE rerank.article SET published_at = published_at + :moved, ingested_at = published_at + :moved"
            ),
            {"moved": moved},
        )
    patch = pytest.MonkeyPatch()
    patch.setenv("RERANK_DATABASE_URL", database.url)
    patch.setenv("RERANK_STORE_URL", tmp_path_factory.mktemp("store").as_uri())
    patch.setenv("RERANK_FILL_FACTOR", "1")

    def back(moment: re.Match[str]) -> str:
        form = "%Y-%m-%d %H:%M:%S" if moment[0].count(":") == 2 else "%Y-%m-%d %H:%M"
        return f"{datetime.fromisoformat(moment[0]).replace(tzinfo=UTC) - moved:{form}}"

    def run(*arguments: str) -> None:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code in (0, None)

    def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
        capsys.readouterr()
        run(*arguments)
        return MOMENT.sub(back, capsys.readouterr().out)

    run("topics", "apply", str(SAMPLE / "topics.yaml"))
    run("run", "--until", (AS_OF + moved).isoformat(), "--key", "readme")
    yield shown
    patch.undo()
    postgres.drop("news_of_the_page")


@pytest.mark.parametrize(
    "command",
    ["rerank articles show en-0005", "rerank explain new-iphone en-0005", "rerank show new-iphone --limit 4"],
)
def test_the_page_shows_what_the_command_prints(
    printed: Callable[..., str], capsys: pytest.CaptureFixture[str], command: str
) -> None:
    found = "\n".join(
        line.rstrip()
        for line in printed(capsys, *command.split()[1:]).split("\n")
        if not line.startswith("/")
    )
    wanted = block(command)
    assert NUMBER.sub("#", found).strip() == NUMBER.sub("#", wanted).strip(), found
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (found, wanted)]
    assert numbers[0] == pytest.approx(numbers[1], abs=0.003), found


def test_the_scores_that_the_readme_shows_of_the_demo_are_the_models(printed: Callable[..., str]) -> None:
    """The demo's times are those of the day; its scores are of the texts alone."""
    rows = re.findall(r"^ +\d+ +([+-]\d\.\d\d) +new .* {2}(\S.+)$", README, re.MULTILINE)
    assert len(rows) == 3
    with Database(Settings.load().database_url).transaction(read_only=True) as connection:
        for logit, title in rows:
            found = connection.execute(
                text(
                    "SELECT logit FROM rerank.current_ranking WHERE topic = 'new-iphone' AND starts_with(title, :title)"
                ),
                {"title": title.removesuffix("…")},
            ).one()
            assert found.logit == pytest.approx(float(logit), abs=0.008), title


def test_the_sample_gets_the_same_logits_as_ever(printed: Callable[..., str]) -> None:
    with Database(Settings.load().database_url).transaction(read_only=True) as connection:
        ranked = connection.execute(
            text("SELECT topic, article_id, logit FROM rerank.current_ranking ORDER BY topic, rank")
        ).all()
    found: dict[str, list[tuple[str, float]]] = {}
    for topic, article_id, score in ranked:
        found.setdefault(topic, []).append((article_id, round(score, 5)))
    expected = json.loads(EXPECTED.read_text())
    assert {topic: [article for article, _ in rows] for topic, rows in found.items()} == {
        topic: [article for article, _ in rows] for topic, rows in expected.items()
    }
    assert [score for rows in found.values() for _, score in rows] == pytest.approx(
        [score for rows in expected.values() for _, score in rows], abs=1e-3
    )
