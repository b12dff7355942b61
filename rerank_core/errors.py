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
        │   └── Locked            another session holds a lock that was waited for
        ├── StoreUnavailable      the artifact store did not answer
        ├── RedisUnavailable      Redis did not answer, or refuses to be written to; no run fails by it
        ├── HelperUnavailable     no process can be started that articles are prepared in
        ├── NotFinished           a training's time is over; what it has read is kept (learning/states.py)
        ├── HostFault             this host cannot score or embed, and another may: the checkpoint, the store or the device is wrong here
        ├── Busy                  too many pairs wait for the server's engine (evaluation/desk.py)
        └── EngineError           the scoring engine failed and is finished
            └── ChunkFailed       it failed in a step; carries the pairs that were in it (models/base.py)

A message says what is wrong, which value it was, and what to do. It shows no password, token or key: a value that may hold
one is written by `shown` or `shown_url`.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

HIDDEN = "(hidden)"
# Options of a URL that hold no secret; the value of any other is not shown.
_PLAIN_OPTIONS = frozenset(
    "allow_delayed_open application_name connect_timeout db endpoint_override gssencmode host port protocol region scheme sslmode"
    " sslrootcert target_session_attrs".split()
)
_MAY_BE_SECRET = re.compile(r":.*@|\{|\?.*=")
_PLACE = re.compile(r"([\w.,%-]*|\[[0-9a-fA-F:.%]*\])(:\d*)?(/[^{@\"]*)?")


def shown(value: object) -> str:
    """A wrong value as a message shows it; hidden if it may hold a secret: a URL, a mapping, or a long text."""
    text = repr(value)
    may_be_secret = (
        isinstance(value, Mapping) or len(text) > 80 or "://" in text or _MAY_BE_SECRET.search(text)
    )
    return HIDDEN if may_be_secret else text


def shown_url(url: str) -> str:
    """A URL without its password, and without the values of options that may hold a secret; another text as it is.

    What has not the form of a URL is hidden if it may hold a secret: it may be a slip.
    """
    head, separator, query = url.partition("?")
    if "@" in query:  # the question mark is in a password
        head, separator, query = url, "", ""
    scheme, slashes, rest = head.partition("://")
    if not slashes:  # a slip, or no URL at all
        return HIDDEN if _MAY_BE_SECRET.search(url) else url
    credentials, at, place = rest.rpartition("@")
    if at:
        user, colon, password = credentials.partition(":")
        rest = f"{user}:{'***' if password else ''}@{place}" if colon else f"***@{place}"
    if not re.fullmatch(r"[A-Za-z0-9+.-]+", scheme) or not _PLACE.fullmatch(place):
        return HIDDEN
    options = [option.partition("=") for option in query.split("&")] if separator else []
    kept = [f"{name}={value if name in _PLAIN_OPTIONS else '***'}" for name, _, value in options]
    return f"{scheme}{slashes}{rest}{separator}{'&'.join(kept)}"


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


class Locked(DatabaseUnavailable):
    """Another session holds a lock that this one has waited for."""


class StoreUnavailable(RetryableError):
    """The artifact store did not answer."""


class RedisUnavailable(RetryableError):
    """Redis did not answer, or refuses to be written to."""


class HelperUnavailable(RetryableError):
    """No process can be started that articles are prepared in."""


class HostFault(RetryableError):
    """This host cannot score or embed, and another may."""


class EngineError(RetryableError):
    """The scoring engine failed in a step; it is finished and must be built again."""
