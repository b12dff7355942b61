"""Every error that this library raises on purpose, and whether trying again can help.

    RerankError
    ├── PermanentError            the same input fails again: never retried
    │   ├── InputError            a file, topic, article source or argument is wrong
    │   ├── SettingsError         a setting is missing or impossible
    │   ├── SourceError           the article source view breaks its contract
    │   ├── ModelError            the checkpoint is refused or fails its canary
    │   ├── FencedError           a newer try of this run exists: this one must not commit
    │   ├── BlockedError          the gate has blocked the run: a degraded page is published
    │   ├── OverdueError          the page is due, and nothing of the run is prepared: the page before stays, and says so
    │   └── CorruptError          an artifact is not what was written
    │       └── NoLightOrder      pairs without a score have none of the light order either
    └── RetryableError            a later try may succeed
        ├── DatabaseUnavailable   Postgres did not answer or ended the connection
        ├── StoreUnavailable      the artifact store did not answer
        ├── RedisUnavailable      Redis did not answer, or refuses to be written to; no run fails by it
        ├── HelperUnavailable     no process can be started that articles are prepared in
        └── EngineError           the scoring engine failed and is finished
            └── ChunkFailed       it failed in a step; carries the pairs that were in it (models/base.py)

A message says what is wrong, which value it was, and what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches


def or_perhaps(name: str, known: Iterable[str]) -> str:
    """What to put behind a name that is not known: the one that was perhaps meant."""
    (close, *_) = (*get_close_matches(name, list(known), n=1), "")
    return f" (perhaps {close!r} is meant)" if close else ""


class RerankError(Exception):
    """Base of all errors raised on purpose."""


class PermanentError(RerankError):
    """Trying again with the same input fails again."""


class InputError(PermanentError):
    """A file, topic, article or argument is wrong."""


class SettingsError(PermanentError):
    """A setting is missing or impossible."""


class SourceError(PermanentError):
    """The article source view breaks its contract."""


class ModelError(PermanentError):
    """The checkpoint is refused, or fails its canary."""


class FencedError(PermanentError):
    """A newer try of this run has taken over; nothing of this one was committed."""


class CorruptError(PermanentError):
    """An artifact is not what was written."""


class NoLightOrder(CorruptError):
    """Pairs without a score are not in the light order: it was made before they lost theirs."""


class BlockedError(PermanentError):
    """The gate has blocked the run; what it publishes until it is approved is degraded."""


class OverdueError(PermanentError):
    """The page is due, and nothing of the run is prepared: the page before stays, and says that it is overdue."""


class RetryableError(RerankError):
    """A later try may succeed."""


class DatabaseUnavailable(RetryableError):
    """Postgres did not answer, or ended the connection."""


class StoreUnavailable(RetryableError):
    """The artifact store did not answer."""


class RedisUnavailable(RetryableError):
    """Redis did not answer, or refuses to be written to."""


class HelperUnavailable(RetryableError):
    """No process can be started that articles are prepared in."""


class EngineError(RetryableError):
    """The scoring engine failed in a step; it is finished and must be built again."""
