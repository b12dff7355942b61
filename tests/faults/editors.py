"""Editors who pin articles and take pins back while everything burns: in SQL of their own, as anybody with the right could."""

import random
import time
from pathlib import Path
from typing import Any

from faults import traffic

ENDED = "UPDATE rerank.editorial_act SET ended = true WHERE NOT ended AND ends_at <= now()"
PIN = (
    "INSERT INTO rerank.editorial_act (pipeline, slug, article_id, kind, amount, ends_at, reason)"
    " SELECT 'news', %s, article_id, 'pin', %s, now() + %s * interval '1 second', 'fire'"
    " FROM rerank.claim WHERE pipeline = 'news' ORDER BY md5(article_id || %s) LIMIT 1 ON CONFLICT DO NOTHING"
)
UNDO = (
    "UPDATE rerank.editorial_act SET undone_at = now(), ended = true WHERE act_id ="
    " (SELECT act_id FROM rerank.editorial_act WHERE NOT ended ORDER BY md5(act_id || %s) LIMIT 1)"
)
PLACES = 4
PAUSE = 0.15  # seconds between two acts


def steer(dsn: str, seed: int, folder: Path) -> None:
    """Pin and take back until the file `quiet` is there."""
    rng = random.Random(seed)
    ended = traffic.until(folder / "quiet")

    def busy(connection: Any) -> None:
        while not ended():
            salt = str(rng.random())
            with connection.cursor() as cursor:
                cursor.execute(ENDED)
                if rng.random() < 0.3:
                    cursor.execute(UNDO, (salt,))
                else:
                    subject, place = rng.choice(traffic.SUBJECTS), rng.randint(1, PLACES)
                    cursor.execute(PIN, (subject, place, rng.choice((1, 5, 60)), salt))
            connection.commit()
            time.sleep(PAUSE)

    traffic.connected(dsn, ended, busy)
