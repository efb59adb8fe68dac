"""Writing to one Redis server or to a cluster: scripts for many keys, scans, removals; every wait is bounded."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Protocol
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import NoScriptError
from redis.retry import Retry

from intent_stores.redis_cluster import RedisClusterClient

_KEYS_A_SCRIPT = 250  # about 1 ms of the server's time
_KEYS_A_SCAN = 2000


class RedisWriter(Protocol):
    """What a store writes by. May be used from several threads; all methods raise one of `REDIS_TROUBLE`."""

    def run(self, script: str, keys: Sequence[bytes], *arguments: Sequence[bytes]) -> list[int]:
        """Run a Lua script over keys, with arguments for each key; atomic for each key, and no more than that.

        The script finds in ARGV the first argument of each of its KEYS, then the second of each …, and returns the
        places in KEYS (the first is 0) that it could not do. All such places are returned.
        """
        ...

    def mget(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of keys, None where there is none."""
        ...

    def count(self, pattern: bytes) -> int:
        """Return how many keys match a pattern, by scans that do not block the server."""
        ...

    def sample(self, pattern: bytes, most: int) -> list[bytes]:
        """Return the values of at most `most` keys of a pattern."""
        ...

    def remove(self, pattern: bytes) -> None:
        """Remove all keys of a pattern, by scans that do not block the server."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


def redis_writer(url: str, timeout_seconds: float) -> RedisWriter:
    """Return a writer for the server, or with `?cluster=true` the cluster, at `url`. Nothing is opened yet.

    Raises:
        ValueError: the URL is none that redis-py understands.
    """
    address, is_cluster = without_cluster(url)
    limits: Any = {"socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds}
    if is_cluster:
        return ClusterWriter(RedisClusterClient(address, timeout_seconds))
    return ServerWriter(redis.Redis.from_url(address, retry=Retry(NoBackoff(), 0), **limits))


def without_cluster(url: str) -> tuple[str, bool]:
    """Return the URL that redis-py takes, and whether `cluster=true` was asked for in it.

    Raises:
        ValueError: the URL is none that redis-py understands.

    >>> without_cluster("rediss://:secret@redis.shop:7000/0?cluster=true&ssl_ca_certs=ca.pem")
    ('rediss://:secret@redis.shop:7000/0?ssl_ca_certs=ca.pem', True)
    """
    parts = urlsplit(url)
    _check_place(parts)
    query = parse_qsl(parts.query, keep_blank_values=True)
    asked = [value.lower() for name, value in query if name == "cluster"]
    if set(asked) - {"true", "false"}:
        raise ValueError("cluster is neither true nor false")
    rest = parts._replace(query=urlencode([pair for pair in query if pair[0] != "cluster"])).geturl()
    address = rest if asked else url  # urllib does not give `unix:///path` back as it was
    parse_url(address)  # type: ignore[no-untyped-call]
    return address, asked[-1:] == ["true"]


def _check_place(parts: SplitResult) -> None:
    """Refuse what redis-py would answer with a part of the password, or overlook."""
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("its port is no number; in a password, write %2F for / and %40 for @") from None
    database = parts.path.strip("/")
    if parts.scheme in ("redis", "rediss") and database and not database.isdecimal():
        raise ValueError("its database is no number")


class ServerWriter:
    """A `RedisWriter` for one server: a script takes many keys at once."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._loaded: dict[str, str] = {}

    def run(self, script: str, keys: Sequence[bytes], *arguments: Sequence[bytes]) -> list[int]:
        """Run a Lua script over keys, a part of them at a time."""
        failed: list[int] = []
        for start in range(0, len(keys), _KEYS_A_SCRIPT):
            part = slice(start, start + _KEYS_A_SCRIPT)
            given = [len(keys[part]), *keys[part], *(cell for column in arguments for cell in column[part])]
            failed += [start + place for place in self._run(script, given)]
        return failed

    def mget(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of keys, None where there is none."""
        return list(self._client.mget(keys))

    def count(self, pattern: bytes) -> int:
        """Return how many keys match a pattern."""
        return len({key for part in scanned(self._client, pattern) for key in part})  # a scan may repeat one

    def sample(self, pattern: bytes, most: int) -> list[bytes]:
        """Return the values of the first keys of a pattern that a scan meets."""
        keys = list(islice(self._client.scan_iter(match=pattern, count=_KEYS_A_SCAN), most))
        return [value for value in self.mget(keys) if value is not None] if keys else []

    def remove(self, pattern: bytes) -> None:
        """Remove all keys of a pattern."""
        for part in scanned(self._client, pattern):
            self._client.unlink(*part)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _run(self, script: str, given: list[Any]) -> list[int]:
        if script not in self._loaded:
            self._loaded[script] = self._client.script_load(script)
        try:
            return list(self._client.evalsha(self._loaded[script], *given))
        except NoScriptError:  # the server was restarted, or its scripts were flushed
            self._client.script_load(script)
            return list(self._client.evalsha(self._loaded[script], *given))


class ClusterWriter:
    """A `RedisWriter` for a cluster: a script takes one key, for the keys of one script must lie in one slot."""

    def __init__(self, client: RedisClusterClient) -> None:
        self._client = client
        self._loaded: dict[str, str] = {}

    def run(self, script: str, keys: Sequence[bytes], *arguments: Sequence[bytes]) -> list[int]:
        """Run a Lua script for each key, a part of them at a time in one exchange with each server."""
        failed: list[int] = []
        for start in range(0, len(keys), _KEYS_A_SCRIPT):
            part = slice(start, start + _KEYS_A_SCRIPT)
            calls = list(zip(keys[part], *(column[part] for column in arguments), strict=True))
            failed += [start + place for place, answer in enumerate(self._run(script, calls)) if answer]
        return failed

    def mget(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of keys, None where there is none."""
        return self._client.mget(keys)

    def count(self, pattern: bytes) -> int:
        """Return how many keys match a pattern, on all servers."""
        return len({key for part in scanned(self._client.opened(), pattern) for key in part})

    def sample(self, pattern: bytes, most: int) -> list[bytes]:
        """Return the values of the first keys of a pattern that a scan meets, whatever server has them."""
        keys = list(islice(self._client.opened().scan_iter(match=pattern, count=_KEYS_A_SCAN), most))
        return [value for value in self.mget(keys) if value is not None] if keys else []

    def remove(self, pattern: bytes) -> None:
        """Remove all keys of a pattern, on every server."""
        client = self._client.opened()
        for part in scanned(client, pattern):
            client.unlink(*part)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _run(self, script: str, calls: Sequence[tuple[bytes, ...]]) -> list[Any]:
        if script not in self._loaded:
            self._loaded[script] = self._client.opened().script_load(script)  # on every server
        commands = [("EVALSHA", self._loaded[script], 1, *call) for call in calls]
        keys = [call[0] for call in calls]
        answers = self._client.ask(keys, commands)
        again = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if again:  # one of the servers is new: only what it did not do is done again
            self._client.opened().script_load(script)
            later = self._client.ask([keys[place] for place in again], [commands[place] for place in again])
            for place, answer in zip(again, later, strict=True):
                answers[place] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers


def scanned(client: Any, pattern: bytes) -> Iterator[list[bytes]]:
    """Yield all keys of a pattern, some at a time."""
    part: list[bytes] = []
    for key in client.scan_iter(match=pattern, count=_KEYS_A_SCAN):
        part.append(key)
        if len(part) == _KEYS_A_SCAN:
            yield part
            part = []
    if part:
        yield part
