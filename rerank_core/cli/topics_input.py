"""The topics of a file, checked as far as this host can."""

from pathlib import Path

from rerank_core.errors import InputError
from rerank_core.models.scorers import refused_queries
from rerank_core.records import Topic
from rerank_core.settings import Settings
from rerank_core.storage.topics_file import load_topics


def load(file: Path, settings: Settings) -> tuple[list[Topic], bool]:
    """The topics of a file, and whether this host can check the lengths of their queries. Raises InputError."""
    wanted = load_topics(file)
    refused = refused_queries(settings, wanted)
    if refused:
        raise InputError(
            f"{file.name} has {len(refused)} texts that the model refuses:\n  " + "\n  ".join(refused)
        )
    return wanted, refused is not None
