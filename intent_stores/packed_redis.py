"""Packed values in Redis: one string for each (project, view, key), one MGET for a whole request.

The key `intent:PROJECT:VIEW:{ENTITY KEY}` has the entity key as its hash tag, so that in a cluster all views of one
entity live in one slot; every script touches one slot if it is given one key.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha1
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from intent_stores.circuit_breaker import CircuitBreaker
from intent_stores.errors import ConfigurationError, OnlineStoreUnavailableError
from intent_stores.packed_keys import quoted
from intent_stores.packed_reader import Change, Fetched, PackedReader, Wanted
from intent_stores.packed_schema import VERSION_BYTES
from intent_stores.redis_exchange import NoAnswerError, RedisExchange

_KEYS_A_SCRIPT = 250  # about 1 ms of the server's time
_KEYS_A_SCAN = 2000
_MOST_TRIES = 100  # of a compare-and-set; a try fails only if another writer's succeeded

# The version is six big-endian halves, because Lua's numbers are doubles and its text comparison depends on a locale.
_STORE_UNLESS_OLDER = f"""
local form = '>I4I4I4I4I4I4'
for place, key in ipairs(KEYS) do
  local held = redis.call('GETRANGE', key, 0, {VERSION_BYTES - 1})
  local wins = true
  if #held == {VERSION_BYTES} then
    local old, new = {{struct.unpack(form, held)}}, {{struct.unpack(form, ARGV[place])}}
    for part = 1, 6 do
      if new[part] ~= old[part] then
        wins = new[part] > old[part]
        break
      end
    end
  end
  if wins then
    redis.call('SET', key, ARGV[place])
  end
end
return #KEYS
"""

# ARGV: for each key the SHA-1 of the value that was read (empty: there was none), then for each the new value.
_STORE_IF_UNCHANGED = """
local failed = {}
for place, key in ipairs(KEYS) do
  local held = redis.call('GET', key)
  if (held and redis.sha1hex(held) or '') == ARGV[place] then
    redis.call('SET', key, ARGV[#KEYS + place])
  else
    failed[#failed + 1] = place - 1
  end
end
return failed
"""


class PackedRedisServer:
    """A `PackedStore` (see `packed_reader`) in one Redis 7 server, reached by URL (`rediss://` for TLS)."""

    def __init__(
        self,
        url: str,
        project: str,
        read_budget_seconds: float = 0.025,
        write_timeout_seconds: float = 5.0,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        """Prepare; nothing is opened before the first call.

        Arguments:
            read_budget_seconds: the longest that a read may take in all; nothing is tried twice.
            write_timeout_seconds: the longest that a writer waits for one reply.

        Raises:
            ConfigurationError: the URL is none that Redis understands.
        """
        self._project = project
        try:
            self._exchange = RedisExchange(url, read_budget_seconds)
            self._client: Any = redis.Redis.from_url(
                url,
                socket_timeout=write_timeout_seconds,
                socket_connect_timeout=write_timeout_seconds,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise ConfigurationError(
                f"The online store's Redis URL cannot be used ({error}); expected redis://user:password@host:port/db, "
                "rediss:// for TLS, or unix://."
            ) from error
        self._breaker = breaker or CircuitBreaker()
        self._scripts: dict[str, str] = {}

    def fetch(self, wanted: Wanted) -> Fetched:
        """Return the values of all views with one MGET, within the budget; `trouble` says why there are none."""
        keys = [key for view, entities in wanted for key in self._keys(view, entities)]
        if not self._breaker.may_ask():
            return _nothing(wanted, f"circuit open after {self._breaker.why}")
        try:
            found = self._exchange.ask(b"MGET", *keys) if keys else self._exchange.ask(b"PING")
        except NoAnswerError as error:
            self._breaker.failed(str(error))
            return _nothing(wanted, str(error))
        self._breaker.succeeded()
        values, start = [], 0
        for _, entities in wanted:
            values.append(found[start : start + len(entities)])
            start += len(entities)
        return Fetched(values)

    def write(self, view: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Store values, each unless a newer one is there: atomically for each key, by a script on the server.

        Raises:
            OnlineStoreUnavailableError: Redis is away, full or refuses. What was stored before the error stays; to
                write the same rows again is safe.
        """
        redis_keys = self._keys(view, keys)
        try:
            for start in range(0, len(redis_keys), _KEYS_A_SCRIPT):
                stop = start + _KEYS_A_SCRIPT
                self._run(_STORE_UNLESS_OLDER, redis_keys[start:stop], values[start:stop])
        except (RedisError, OSError) as error:
            raise self._refused(f"rows of view {view!r} cannot be written", error) from error

    def change(self, view: str, keys: Sequence[bytes], change: Change) -> None:
        """Replace values by what `change` makes of those that are there; a key written meanwhile is tried again.

        Raises:
            OnlineStoreUnavailableError: Redis is away, full or refuses, or a key is written by others all the time.
        """
        redis_keys = self._keys(view, keys)
        try:
            for start in range(0, len(redis_keys), _KEYS_A_SCRIPT):
                places = list(range(start, min(start + _KEYS_A_SCRIPT, len(redis_keys))))
                for _ in range(_MOST_TRIES):
                    places = self._try_change(redis_keys, places, change)
                    if not places:
                        break
                else:
                    raise redis.RedisError("other writers came first, every time")
        except (RedisError, OSError) as error:
            raise self._refused(f"rows of view {view!r} cannot be written", error) from error

    def drop(self, view: str) -> None:
        """Remove all values of a view, by a scan that does not block the server.

        Raises:
            OnlineStoreUnavailableError: Redis is away.
        """
        try:
            for part in self._scan(self._prefix(view) + b"*"):
                self._client.unlink(*part)
        except (RedisError, OSError) as error:
            raise self._refused(f"view {view!r} cannot be removed", error) from error

    def close(self) -> None:
        """Close all connections."""
        self._exchange.close()
        self._client.close()

    def _try_change(self, keys: Sequence[bytes], places: list[int], change: Change) -> list[int]:
        """Change the keys at these places, and return the places of those that another writer was faster with."""
        held = self._client.mget([keys[place] for place in places])
        fresh = change(places, held)
        swaps = [(p, h, f) for p, h, f in zip(places, held, fresh, strict=True) if f is not None and f != h]
        if not swaps:
            return []
        hashes = [b"" if h is None else sha1(h, usedforsecurity=False).hexdigest().encode() for _, h, _ in swaps]
        chosen = [keys[place] for place, _, _ in swaps]
        failed = self._run(_STORE_IF_UNCHANGED, chosen, [*hashes, *(value for _, _, value in swaps)])
        return [swaps[number][0] for number in failed]

    def _run(self, script: str, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Any:
        if script not in self._scripts:
            self._scripts[script] = self._client.script_load(script)
        try:
            return self._client.evalsha(self._scripts[script], len(keys), *keys, *arguments)
        except NoScriptError:  # the server was restarted, or its scripts were flushed
            self._scripts[script] = self._client.script_load(script)
            return self._client.evalsha(self._scripts[script], len(keys), *keys, *arguments)

    def _scan(self, pattern: bytes) -> Iterator[list[bytes]]:
        part: list[bytes] = []
        for key in self._client.scan_iter(match=pattern, count=_KEYS_A_SCAN):
            part.append(key)
            if len(part) == _KEYS_A_SCAN:
                yield part
                part = []
        if part:
            yield part

    def _prefix(self, view: str) -> bytes:
        return f"intent:{quoted(self._project)}:{quoted(view)}:{{".encode()

    def _keys(self, view: str, keys: Sequence[bytes]) -> list[bytes]:
        prefix = self._prefix(view)
        return [prefix + key + b"}" for key in keys]

    def _refused(self, what: str, error: Exception) -> OnlineStoreUnavailableError:
        return OnlineStoreUnavailableError(
            f"Redis: {what} ({error or type(error).__name__}). Expected a Redis 7 that answers, with memory to spare. "
            "Write them again when it does: a row that is there already is not changed."
        )


def redis_reader(url: str, project: str, read_budget_seconds: float = 0.025) -> PackedReader:
    """Return a columnar reader of what `PackedRedisOnlineStore` writes for a Feast project.

    Raises:
        ConfigurationError: the URL is none that Redis understands.
    """
    return PackedReader(PackedRedisServer(url, project, read_budget_seconds))


def _nothing(wanted: Wanted, why: str) -> Fetched:
    return Fetched([[None] * len(keys) for _, keys in wanted], why)
