"""Reading from a Redis Cluster within a total budget."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from intent_stores.redis_cluster import REDIS_TROUBLE, RedisClusterClient
from intent_stores.redis_exchange import WAITING, NoAnswerError, reason_of

_THREADS = 16


class ClusterExchange:
    """What `RedisExchange` is for one server: reads with a total budget. May be used from several threads.

    A client that asks several servers waits several times, each wait bounded but not their sum; so it reads in a
    thread of its own, and whoever asked leaves when the budget is spent. A request is answered as a whole or not.
    """

    def __init__(self, address: str, budget_seconds: float) -> None:
        """Prepare; nothing is opened before the first read."""
        self._budget = budget_seconds
        self._client = RedisClusterClient(address, budget_seconds)
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._address, self._process = address, os.getpid()

    def mget(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of keys, None where there is none; without keys, whether all servers answer.

        Raises:
            NoAnswerError: no answer in time, or an error.
        """
        asked: Future[list[bytes | None]] = self._pool().submit(_read, self._client, keys)
        try:
            return asked.result(self._budget * WAITING)
        except REDIS_TROUBLE as error:  # a spent budget is one of them
            asked.cancel()
            raise NoAnswerError(reason_of(error)) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _pool(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._process != os.getpid():  # threads and sockets stay with the parent
                self._threads, self._client = None, RedisClusterClient(self._address, self._budget)
                self._process = os.getpid()
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="redis-cluster")
            return self._threads


def _read(client: RedisClusterClient, keys: Sequence[bytes]) -> Any:
    return client.mget(keys) if keys else client.opened().ping() and []
