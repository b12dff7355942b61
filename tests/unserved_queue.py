"""An executor with a queue that no worker serves, as Celery's can have: what is sent there stays queued until one does."""

import os
from pathlib import Path
from typing import Any

from airflow.executors.local_executor import LocalExecutor

QUEUE = "unserved"
WORKER = "UNSERVED_QUEUE_WORKER"  # variable: a file that stands for the worker


class UnservedQueueExecutor(LocalExecutor):
    """LocalExecutor serves every queue; this one serves QUEUE only when the worker's file is there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: list[Any] = []

    def _process_workloads(self, workload_list: Any) -> None:
        for_nobody = [
            one for one in workload_list if getattr(getattr(one, "ti", None), "queue", None) == QUEUE
        ]
        for workload in for_nobody:
            self.queued_tasks.pop(workload.key)
        self._waiting += for_nobody
        super()._process_workloads([one for one in workload_list if one not in for_nobody])

    def sync(self) -> None:
        if self._waiting and Path(os.environ[WORKER]).exists():
            waiting, self._waiting = self._waiting, []
            self.queued_tasks.update({workload.key: workload for workload in waiting})
            super()._process_workloads(waiting)
        super().sync()
