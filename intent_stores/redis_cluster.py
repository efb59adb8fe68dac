"""A Redis Cluster's client: redis-py knows the slots and follows redirections; a server is asked once for all keys."""

import contextlib
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import AskError, ConnectionError, RedisClusterException, RedisError, TimeoutError
from redis.retry import Retry

REDIS_TROUBLE = (RedisError, RedisClusterException, OSError)
"""What a client raises when a server is away, refuses or lost its slots."""


class RedisClusterClient:
    """One command a key, in one exchange with each server. May be used from several threads.

    redis-py's own pipelines ask a server that is away again for every single key, each time until the timeout.
    """

    def __init__(self, address: str, timeout_seconds: float) -> None:
        """Prepare; nothing is opened before the first call. The timeout is for each wait."""
        self._address, self._timeout = address, timeout_seconds
        self._lock = threading.Lock()
        self._client: Any = None

    def opened(self) -> Any:
        """Return redis-py's client, which learns the slots when it is made.

        Raises:
            RedisClusterException: no server of the cluster answers.
        """
        with self._lock:
            if self._client is None:
                self._client = RedisCluster.from_url(
                    self._address,
                    socket_timeout=self._timeout,
                    socket_connect_timeout=self._timeout,
                    retry=Retry(NoBackoff(), 0),
                    protocol=2,
                )
            return self._client

    def mget(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of keys, None where there is none.

        Raises:
            RedisError: a server does not answer, or refuses.
        """
        answers = self.ask(keys, [("GET", key) for key in keys])
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def ask(self, keys: Sequence[bytes], commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send the command of each key to the server that has it, and return the answers; an error is one too.

        Raises:
            RedisError: a server does not answer. The slots are learnt anew then, for another may have taken over.
        """
        client = self.opened()
        try:
            answers = _asked(client, keys, commands)
        except (ConnectionError, TimeoutError):
            with contextlib.suppress(*REDIS_TROUBLE):
                client.nodes_manager.initialize()
            raise
        for place, answer in enumerate(answers):
            if isinstance(answer, AskError):  # the key has moved, or is just moving
                answers[place] = client.execute_command(*commands[place])
        return answers

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


def _asked(client: Any, keys: Sequence[bytes], commands: Sequence[Sequence[Any]]) -> list[Any]:
    places: dict[Any, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        places[client.nodes_manager.get_node_from_slot(client.keyslot(key))].append(place)
    answers: list[Any] = [None] * len(keys)
    for server, its in places.items():
        with client.get_redis_connection(server).pipeline(transaction=False) as pipe:
            for place in its:
                pipe.execute_command(*commands[place])
            for place, answer in zip(its, pipe.execute(raise_on_error=False), strict=True):
                answers[place] = answer
    return answers
