"""Packed values in Redis: one string for each (project, view, key), one MGET for a whole request.

The key `intent:PROJECT:VIEW:{ENTITY KEY}` has the entity key as its hash tag, so that in a cluster all views of one
entity live in one slot; every script touches one slot if it is given one key.
"""

from collections.abc import Sequence
from hashlib import sha1

from redis.exceptions import RedisError

from intent_stores.circuit_breaker import CircuitBreaker
from intent_stores.cluster_exchange import ClusterExchange
from intent_stores.errors import ConfigurationError, OnlineStoreUnavailableError
from intent_stores.packed_keys import quoted
from intent_stores.packed_reader import Change, Fetched, PackedReader, Wanted
from intent_stores.packed_schema import VERSION_BYTES
from intent_stores.redis_cluster import REDIS_TROUBLE
from intent_stores.redis_exchange import NoAnswerError, RedisExchange
from intent_stores.redis_writer import redis_writer, without_cluster

_KEYS_A_CHANGE = 250  # read, changed and written back together: the longer it takes, the likelier another's write
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
return {{}}
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
    """A `PackedStore` (see `packed_reader`) in Redis 7, by URL: `rediss://` for TLS, `?cluster=true` for a cluster.

    A cluster's servers are asked at once, and a request is answered as a whole or not at all.
    """

    notes_writings = False  # of a cluster, no two keys change together

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
            address, is_cluster = without_cluster(url)
            make = ClusterExchange if is_cluster else RedisExchange
            self._exchange = make(address, read_budget_seconds)
            self._writer = redis_writer(url, write_timeout_seconds)
        except ValueError as error:
            raise ConfigurationError(
                f"The online store's Redis URL cannot be used ({error}); expected redis://user:password@host:port/db, "
                "rediss:// for TLS, or unix://; cluster=true in its query for a cluster."
            ) from error
        self._breaker = breaker or CircuitBreaker()

    def fetch(self, wanted: Wanted) -> Fetched:
        """Return the values of all views with one MGET, within the budget; `trouble` says why there are none."""
        keys = [key for view, entities in wanted for key in self._keys(view, entities)]
        if not self._breaker.may_ask():
            return _nothing(wanted, f"circuit open after {self._breaker.why}")
        try:
            found = self._exchange.mget(keys)
        except NoAnswerError as error:
            self._breaker.failed(str(error))
            return _nothing(wanted, str(error))
        self._breaker.succeeded()
        values, start = [], 0
        for _, entities in wanted:
            values.append(found[start : start + len(entities)])
            start += len(entities)
        return Fetched(values)

    @property
    def circuit_open(self) -> bool:
        """Whether readers are answered without asking, because the server failed several times."""
        return self._breaker.is_open

    def write(self, view: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Store values, each unless a newer one is there: atomically for each key, by a script on the server.

        Raises:
            OnlineStoreUnavailableError: Redis is away, full or refuses. What was stored before the error stays; to
                write the same rows again is safe.
        """
        redis_keys = self._keys(view, keys)
        try:
            self._writer.run(_STORE_UNLESS_OLDER, redis_keys, values)
        except REDIS_TROUBLE as error:
            raise self._refused(f"rows of view {view!r} cannot be written", error) from error

    def change(self, view: str, keys: Sequence[bytes], change: Change) -> None:
        """Replace values by what `change` makes of those that are there; a key written meanwhile is tried again.

        Raises:
            OnlineStoreUnavailableError: Redis is away, full or refuses, or a key is written by others all the time.
        """
        redis_keys = self._keys(view, keys)
        try:
            for start in range(0, len(redis_keys), _KEYS_A_CHANGE):
                places = list(range(start, min(start + _KEYS_A_CHANGE, len(redis_keys))))
                for _ in range(_MOST_TRIES):
                    places = self._try_change(redis_keys, places, change)
                    if not places:
                        break
                else:
                    raise RedisError("other writers came first, every time")
        except REDIS_TROUBLE as error:
            raise self._refused(f"rows of view {view!r} cannot be written", error) from error

    def count(self, view: str) -> int:
        """Return how many values of a view there are, by a scan that does not block the server.

        Raises:
            OnlineStoreUnavailableError: Redis is away.
        """
        try:
            return self._writer.count(self._prefix(view) + b"[^#]*")
        except REDIS_TROUBLE as error:
            raise self._refused(f"rows of view {view!r} cannot be counted", error) from error

    def sample(self, view: str, most: int) -> list[bytes]:
        """Return some values of a view, at most `most`, by a scan that does not block the server and ends at them.

        Raises:
            OnlineStoreUnavailableError: Redis is away.
        """
        try:
            return self._writer.sample(self._prefix(view) + b"[^#]*", most)
        except REDIS_TROUBLE as error:
            raise self._refused(f"rows of view {view!r} cannot be read", error) from error

    def drop(self, view: str) -> None:
        """Remove all values of a view, by a scan that does not block the server.

        Raises:
            OnlineStoreUnavailableError: Redis is away.
        """
        try:
            self._writer.remove(self._prefix(view) + b"*")
        except REDIS_TROUBLE as error:
            raise self._refused(f"view {view!r} cannot be removed", error) from error

    def close(self) -> None:
        """Close all connections."""
        self._exchange.close()
        self._writer.close()

    def _try_change(self, keys: Sequence[bytes], places: list[int], change: Change) -> list[int]:
        """Change the keys at these places, and return the places of those that another writer was faster with."""
        held = self._writer.mget([keys[place] for place in places])
        fresh = change(places, held)
        swaps = [(p, h, f) for p, h, f in zip(places, held, fresh, strict=True) if f is not None and f != h]
        if not swaps:
            return []
        hashes = [b"" if h is None else sha1(h, usedforsecurity=False).hexdigest().encode() for _, h, _ in swaps]
        chosen = [keys[place] for place, _, _ in swaps]
        failed = self._writer.run(_STORE_IF_UNCHANGED, chosen, hashes, [value for _, _, value in swaps])
        return [swaps[number][0] for number in failed]

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
