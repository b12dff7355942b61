"""Learning as operators. XCom gets counts, figures and sentences only; no page depends on either task."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from rerank_airflow.devices import device
from rerank_airflow.operators.base import PipelineOperator


class EnoughOperator(PipelineOperator):
    """Returns how many pairs of how many topics there are; skips itself if there are too few to learn from."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, int]:
        from rerank_core.learning import training

        settings, database = self.opened()
        if settings.learning_folder is None:
            raise AirflowSkipException("RERANK_LEARNING_FOLDER is not set: nothing is learned")
        found = training.plan(database, settings)
        if found.missing:
            raise AirflowSkipException("; ".join(found.missing))
        return {"pairs": found.pairs, "topics": found.topics, "mib": found.mib}


class LearnOperator(PipelineOperator):
    """Trains on one device of this host; returns what became of it. A refusal is no failure.

    After `learning_minutes` it fails and is tried again, until all pairs are read. So its process ends, and a scoring task
    that waits gets the pool's slot and the device.
    """

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from rerank_core.learning import training
        from rerank_core.storage.store import Store

        settings, database = self.opened()
        with device() as name:  # before the engine is imported: CUDA looks at its devices once
            judged = training.judged_pairs(database, Store(settings.store_url), settings)
            trained = training.train(
                database, settings, judged=judged, minutes=settings.learning_minutes, on_progress=self._tell
            )
        for check in trained.record.get("checks", ()):
            self.log.info("%s: %s", check["name"], check["sentence"])
        return {
            "device": name,
            "training": trained.training_id,
            "verdict": trained.verdict,
            "sentence": trained.sentence,
            "scorer": trained.scorer_id,
        }

    def _tell(self, done: int, total: int) -> None:
        if done % 1024 == 0 or done == total:
            self.log.info("%s of %s pairs are read", done, total)
