"""The trigger that starts a run when articles have come: Airflow's triggerer runs it, for the asset `articles`.

News come in bursts. So an event waits for a quiet time, and not for ever: if articles keep coming, it comes at the latest some
minutes after the first of them. The trigger only looks; the clock's runs claim what it overlooks. What it has told once it
does not tell again, so that a pipeline which cannot claim is not flooded with runs.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from rerank_airflow.settings import settings_of
from rerank_core.errors import RerankError
from rerank_core.records import Waiting

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0  # between two looks at the source
NOTHING = Waiting(0, None)


@dataclass
class QuietTime:
    """When waiting articles are to be told of: once no further one came for a while, or the first has waited long."""

    quiet_seconds: float
    longest_seconds: float  # that the first of them waits while others keep coming
    seen: Waiting = NOTHING  # at the last look
    told: Waiting = NOTHING  # at the last event
    began: float = 0.0  # when the first of those that wait was seen
    changed: float = 0.0  # when the last of them was

    def is_due(self, waiting: Waiting, now: float) -> bool:
        """Whether to tell of what waits at this moment, in seconds of any clock that does not go back."""
        if waiting.articles == 0:
            self.seen = self.told = NOTHING  # a run has claimed them
            return False
        if waiting == self.told:
            return False
        if self.seen in (NOTHING, self.told):
            self.began = now
        if waiting != self.seen:
            self.seen, self.changed = waiting, now
        if now - self.changed < self.quiet_seconds and now - self.began < self.longest_seconds:
            return False
        self.told = waiting
        return True


class ArrivalsTrigger(BaseEventTrigger):
    """Tells that new articles of a pipeline wait for a run; goes on for ever, whatever the database does."""

    def __init__(
        self,
        *,
        pipeline: str,
        quiet_seconds: float,
        longest_seconds: float,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pipeline = pipeline
        self.quiet_seconds = quiet_seconds
        self.longest_seconds = longest_seconds
        self.look_seconds = look_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where the triggerer finds this class, and what to make it of."""
        names = ("pipeline", "quiet_seconds", "longest_seconds", "look_seconds")
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """An event for each burst of articles: how many wait, and when the newest came."""
        rule = QuietTime(self.quiet_seconds, self.longest_seconds)
        while True:
            # The triggerer's loop serves every other trigger meanwhile.
            waiting = await asyncio.to_thread(self.look)
            if waiting is not None and rule.is_due(waiting, time.monotonic()):
                yield TriggerEvent(  # type: ignore[no-untyped-call]
                    {
                        "pipeline": self.pipeline,
                        "articles": waiting.articles,
                        "newest": waiting.newest and waiting.newest.isoformat(),
                    }
                )
            await asyncio.sleep(self.look_seconds)

    def look(self) -> Waiting | None:
        """What waits now; None if that cannot be found out, which is logged."""
        # Not above: DAG files import this module, and the scheduler needs no database driver.
        from rerank_core.extract import arrivals
        from rerank_core.storage.database import Database

        try:
            settings = settings_of(self.pipeline)
            return arrivals.waiting(Database(settings.database_url), settings)
        except RerankError as error:
            log.warning("whether articles of pipeline %s wait is not known: %s", self.pipeline, error)
        except Exception:  # an exception that leaves `run` would end the trigger for good
            log.exception("whether articles of pipeline %s wait is not known", self.pipeline)
        return None
