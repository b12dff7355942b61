"""A stranger's deployment: the commands of deploy/README.md, given word for word, lead to a page that a frontend reads.

Debian's Postgres and Redis, Airflow with CeleryExecutor, and two hosts with a GPU worker each; the hosts are namespaces (machines.py). Only what the stranger
brings is put in: the secrets, the articles, the topics. The devices are simulated by a scorer that sleeps (celery_hosts.py). What fetches packages looks
whether they are here.
"""

import base64
import gzip
import json
import os
import secrets
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pages
import pytest
from celery_hosts import DAG_FILE, LOG, SECONDS
from faults.network import Network
from machines import WIRE, Machine, inside, wait_for
from open_folders import open_folder
from pages import ROOT

from rerank_core.settings import DEMO_CHECKPOINT

PAGE = ROOT / "deploy" / "README.md"
HEADING = "## Several hosts without containers"
SAMPLE = ROOT / "rerank_core" / "demo" / "sample"
GPUS = ("gpu1", "gpu2")
INSTALLERS = {
    # Debian's packages are here, and nothing else is fetched.
    "apt-get": 'test "$1" = install && shift && exec dpkg --status "$@"',
    # The project can be built here; tests/unit/test_pages.py knows its extras.
    "pip": 'exec python -m pip "$@" --quiet --dry-run --no-deps --no-index --no-build-isolation',
}
AS_NEWS = "psql --no-align --tuples-only --set ON_ERROR_STOP=1 postgresql://news:password@main/"

pytestmark = [pytest.mark.scheduler, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1200)]


def checkout(folder: Path) -> Path:
    """A checkout with the stranger's files in it: articles of the last day, and topics."""
    folder.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in {".git", ".venv"}:
            (folder / entry.name).symlink_to(entry)
    rows = [json.loads(line) for line in (SAMPLE / "articles.jsonl").read_text(encoding="utf-8").splitlines()]
    newest = max(datetime.fromisoformat(row["published_at"]) for row in rows)
    for row in rows:
        age = newest - datetime.fromisoformat(row["published_at"])
        row["published_at"] = (datetime.now(UTC) - timedelta(minutes=1) - age).isoformat()
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "articles.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (folder / "topics.yaml").write_bytes((SAMPLE / "topics.yaml").read_bytes())
    return folder


def environment(folder: Path) -> dict[str, str]:
    """What Airflow's environment is on each machine; its settings come from the page."""
    (folder / "bin").mkdir()
    for name, work in INSTALLERS.items():
        (folder / "bin" / name).write_text(f"#!/bin/bash\n{work}\n")
        (folder / "bin" / name).chmod(0o755)
    path = [str(folder / "bin"), str(Path(sys.executable).parent), "/usr/sbin:/usr/bin:/sbin:/bin"]
    return {
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]),
        "LC_ALL": "C.UTF-8",
        LOG: str(folder / "scored.log"),
        SECONDS: "0.2",
    }


@pytest.fixture
def machines():
    """The hosts of the page: main, gpu1, gpu2."""
    pytest.importorskip("airflow.providers.celery", reason="Airflow's Celery provider is not installed here")
    for name in ("pg_createcluster", "redis-server"):
        if not (Path("/usr/bin") / name).exists():
            pytest.skip(
                f"Debian's packages are not installed here: {name} (apt-get install postgresql redis-server)"
            )
    with ExitStack() as stack:
        folder = stack.enter_context(open_folder())
        networks = {name: Network() for name in ("main", *GPUS)}
        (folder / "shared").mkdir()
        (folder / "real.py").write_bytes((ROOT / "dags" / "news_rerank.py").read_bytes())
        (folder / "asleep.py").write_text(DAG_FILE.format(file=str(folder / "real.py")), encoding="utf-8")
        shared = {
            Path("/srv/news"): folder / "shared",
            Path("/srv/models/Qwen3-Reranker-0.6B"): DEMO_CHECKPOINT,
            ROOT / "dags" / "news_rerank.py": folder / "asleep.py",
        }
        given, found = environment(folder), {}
        for name, network in networks.items():
            if name == GPUS[0]:
                stack.enter_context(inside(networks["main"]))  # the wires of the others end there
            stack.callback(network.close)
            network.open()
            if network.why_none:
                pytest.skip(network.why_none)
            address = "127.0.0.1" if name == "main" else network.address(WIRE)
            found[name] = Machine(
                name,
                folder / name,
                network,
                environment=given,
                hosts={"localhost": "127.0.0.1", "main": address, name: "127.0.0.1"},
            )
            stack.callback(found[name].close)
            found[name].open(shared=shared)
        yield found


def test_the_page_leads_a_stranger_to_a_full_page_that_both_hosts_scored(machines, tmp_path):
    servers, settings, install, fill, airflow, worker, first_page = (
        block.text for block in pages.blocks_below(PAGE, HEADING)
    )
    main, gpus, here = machines["main"], [machines[name] for name in GPUS], checkout(tmp_path / "checkout")
    as_the_package_does = 'pg_createcluster "$(ls /usr/lib/postgresql | tail -1)" main --start'
    main.give(as_the_package_does, folder=here)
    main.give(servers, folder=here)
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    settings = settings.replace("=FERNET_KEY", f"={key}").replace("=SECRET", f"={secrets.token_hex(32)}")
    for machine in machines.values():
        machine.give(f"cat > /srv/settings.sh <<'END'\n{settings}END", folder=here)
        machine.give(install, folder=here)
    main.give(fill, folder=here)
    for line in airflow.splitlines():
        main.serve(f"source /srv/settings.sh\nexec {line}", folder=here)
    for machine in gpus:
        machine.serve(f"source /srv/settings.sh\nexec {worker}", folder=here)
    wait_for(
        main, f"{AS_NEWS}airflow -c \"SELECT 1 FROM dag WHERE dag_id = 'rank_new_articles'\"", folder=here
    )
    main.give(first_page, folder=here)
    (sql,) = (
        block.text
        for block in pages.blocks_below(ROOT / "README.md", "## Reading the page")
        if block.language == "sql"
    )
    rows = wait_for(main, f'{AS_NEWS}news <<"END"\n{sql}END', folder=here)
    assert {row.rpartition("|")[2] for row in rows.splitlines()} == {"model"}
    hosts = f'{AS_NEWS}news -c "SELECT DISTINCT host FROM rerank.pair_score ORDER BY host"'
    assert main.give(hosts, folder=here).split() == list(GPUS)
    assert "full" in main.give("source /srv/settings.sh\nrerank show ai-policy", folder=here)
