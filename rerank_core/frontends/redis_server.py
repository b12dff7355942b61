"""The one door to Redis: a connection that never holds a run up, and one transaction that swaps keys.

No command is tried twice. Whatever hangs, a server, a name service or a network, the caller is back when its time is over: the
work is done in a thread, which is left behind if need be. The timeout of a socket alone is no such limit: looking up a name
has none, and an answer that trickles in starts it again. Errors of redis-py become ours. No message shows a part of the
URL's credentials, or of what was written.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread
from time import monotonic
from typing import Any, Self
from urllib.parse import urlsplit

from rerank_core.errors import RedisUnavailable, SettingsError
from rerank_core.settings import Settings

log = logging.getLogger(__name__)


class Server:
    """The server that holds a pipeline's keys; it is given up when its answers have taken too long in all."""

    def __init__(self, client: Any, address: str, seconds: float) -> None:
        self.address = address
        self._client = client
        self._left = seconds
        self._left_behind = False  # a thread is still waiting

    @classmethod
    @contextmanager
    def open(cls, settings: Settings, key: str, seconds: float) -> Iterator[Self]:
        """The server of this key, for `seconds` of waiting in all.

        Raises SettingsError if the settings name none, the client is not installed or the server refuses; RedisUnavailable
        if the server does not answer. Both are also raised from the caller's block.
        """
        if settings.redis_url is None:
            raise SettingsError("RERANK_REDIS_URL is not set; set it, as redis://host:6379/0")
        try:
            import redis
        except ModuleNotFoundError:
            raise SettingsError(
                "RERANK_REDIS_URL is set and the package redis is not installed; install news-rerank[redis]"
            ) from None
        options: dict[str, Any] = {
            "socket_connect_timeout": seconds,  # the timeouts end a thread that was left behind
            "socket_timeout": seconds,
            "retry": redis.retry.Retry(redis.backoff.NoBackoff(), 0),
            "protocol": 2,
            "driver_info": None,
        }
        try:
            pool = redis.ConnectionPool.from_url(settings.redis_url, **options)
        except (TypeError, ValueError):
            raise _bad_option() from None
        server = cls(redis.Redis(connection_pool=pool), _address(settings.redis_url), seconds)
        try:
            with _mapped_errors(server):
                server._go_to(key)
                yield server
        finally:
            if not server._left_behind:  # else its thread holds the connection, and ends it
                pool.disconnect()

    def _go_to(self, key: str) -> None:
        """In a cluster, connect to the node that holds this key."""
        from redis.exceptions import MovedError

        try:
            self.ask(("EXISTS", key))
        except MovedError as moved:
            pool = self._client.connection_pool
            pool.disconnect()
            pool.reset()  # a connection keeps its address
            pool.connection_kwargs.update(host=moved.host or pool.connection_kwargs["host"], port=moved.port)
            self.address = f"Redis at {pool.connection_kwargs['host']}:{moved.port}"
        except TypeError:
            raise _bad_option() from None

    def ask(self, *commands: Sequence[Any], at_once: bool = False) -> list[Any]:
        """The answers to these commands, sent together; `at_once`: in one transaction."""

        def asked() -> list[Any]:
            with self._client.pipeline(transaction=at_once) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return list(pipeline.execute(raise_on_error=False))

        answers: list[Any] = self._in_time(asked)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def swap(
        self,
        guard: str,
        before: bytes | None,
        drafts: Mapping[str, str],
        left: Sequence[str],
        expiry: int,
    ) -> bool:
        """Rename each draft over its key and delete the keys in `left`, if the key `guard` still holds `before`.

        The keys expire after `expiry` milliseconds. False: nothing was done, because another writer came in between.
        Raises RedisUnavailable if a draft is gone.
        """
        from redis.exceptions import WatchError

        def swapped() -> bool:
            with self._client.pipeline(transaction=True) as pipeline:
                pipeline.watch(guard, *drafts)
                if pipeline.get(guard) != before:
                    return False
                existing = pipeline.exists(*drafts)
                if existing != len(
                    drafts
                ):  # the rename of a lost draft would fail alone: the others would be done
                    raise RedisUnavailable(
                        f"{self.address}: what was written is gone again: it was restarted, or evicts keys; give it memory"
                    )
                pipeline.multi()
                for draft, key in drafts.items():
                    pipeline.rename(draft, key)
                    pipeline.pexpire(key, expiry)
                if left:
                    pipeline.unlink(*left)
                try:
                    pipeline.execute()
                except WatchError:
                    return False
            return True

        done: bool = self._in_time(swapped)
        return done

    def drop(self, keys: Sequence[str]) -> None:
        """Delete keys if that is possible; else they expire."""
        try:
            self.ask(("UNLINK", *keys))
        except Exception as error:
            log.debug("%s: drafts stay until they expire: %s", self.address, type(error).__name__)

    def _in_time(self, work: Callable[[], Any]) -> Any:
        """What `work` returns or raises, if that comes within the time that is left; a later answer is dropped."""
        if self._left <= 0:
            raise RedisUnavailable(f"{self.address} is too slow; raise RERANK_REDIS_TIMEOUT_SECONDS")
        answers: list[Any] = []
        errors: list[Exception] = []

        def worked() -> None:
            try:
                answers.append(work())
            except Exception as error:
                errors.append(error)

        started = monotonic()
        thread = Thread(target=worked, name="rerank-redis", daemon=True)
        thread.start()
        try:
            thread.join(self._left)
        except BaseException:  # the task was killed
            self._left, self._left_behind = 0.0, True
            raise
        self._left -= monotonic() - started
        if errors:
            raise errors[0]
        if not answers:
            self._left, self._left_behind = 0.0, True
            raise RedisUnavailable(f"{self.address} does not answer in time; check it, then try again")
        return answers[0]


def _bad_option() -> SettingsError:
    """redis-py's own message may show a part of the URL."""
    return SettingsError(
        "RERANK_REDIS_URL = (hidden): it has an option that redis-py does not accept; correct it"
    )


def _address(url: str) -> str:
    """Where a URL leads to, without credentials."""
    parts = urlsplit(url)
    return f"Redis at {parts.path if parts.scheme == 'unix' else f'{parts.hostname}:{parts.port or 6379}'}"


@contextmanager
def _mapped_errors(server: Server) -> Iterator[None]:
    from redis import exceptions

    try:
        yield
    except (
        exceptions.AuthenticationError,
        exceptions.AuthorizationError,
        exceptions.NoPermissionError,
    ) as error:
        raise SettingsError(
            f"{server.address} refuses: {_reason(error)}; check user, password and rights of RERANK_REDIS_URL"
        ) from None
    except exceptions.TimeoutError:
        raise RedisUnavailable(
            f"{server.address} does not answer in time; check it, then try again"
        ) from None
    except (exceptions.RedisError, OSError) as error:
        raise RedisUnavailable(f"{server.address}: {_reason(error)}; check it, then try again") from None


def _reason(error: Exception) -> str:
    """What the server or the system said, without the command that redis-py puts before it and that servers repeat after it."""
    lines = (str(error).strip() or type(error).__name__).splitlines()
    said = lines[0].rpartition("caused error: ")[2]
    return said.partition(", with args beginning with")[0].rstrip(".")  # AUTH has the password there
