"""One command, one reply, one deadline for everything: connections to Redis that never make a reader wait longer.

Of a budget only `WAITING` is spent on waiting: a thread that waited until the very end would come back too late, for it
has yet to be woken up, to get the interpreter, and to make an answer of what it has.

redis-py makes the connections (TLS, password, database by URL), in a thread of its own, because names are resolved and
certificates are checked without a deadline; the exchange itself runs on the socket, every wait bounded by what is
left of the budget. A connection that failed once is closed, so that no late answer is taken for another question's.
"""

import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from typing import Any

import hiredis
from redis.connection import ConnectionPool
from redis.exceptions import RedisError

WAITING = 0.8
"""The share of a read's budget that may be spent on waiting for the server."""

_CONNECT_SECONDS = 1.0
_MOST_CONNECTING = 4
_CHUNK = 1 << 16


class NoAnswerError(Exception):
    """Redis did not answer in time, or not with what was asked; the text says why."""


class RedisExchange:
    """A pool of connections to one server, for commands with a total budget. May be used from several threads."""

    def __init__(self, url: str, budget_seconds: float, most_idle: int = 64) -> None:
        """Prepare; nothing is opened before the first command.

        Arguments:
            budget_seconds: the longest that a command may take in all, for whoever asks.

        Raises:
            ValueError: the URL is none that redis-py understands.
        """
        self._wait = budget_seconds * WAITING
        self._pool = ConnectionPool.from_url(
            url, socket_timeout=_CONNECT_SECONDS, socket_connect_timeout=_CONNECT_SECONDS, retry=None, protocol=2
        )
        self._most_idle = most_idle
        self._idle: list[_Link] = []
        self._changed = threading.Condition()
        self._connecting = 0
        self._why: str | None = None
        self._process = os.getpid()

    def ask(self, *command: bytes) -> Any:
        """Send one command and return its reply within the budget. Nothing is tried twice.

        Raises:
            NoAnswerError: no connection, no reply in time, or an error reply.
        """
        deadline = time.monotonic() + self._wait
        link = self._take(deadline)
        try:
            reply = link.exchange(command, deadline)
        except (OSError, hiredis.HiredisError) as error:
            link.close()
            if not isinstance(error, TimeoutError):
                self.close()  # the server went away: the other connections are dead as well
            raise NoAnswerError(reason_of(error)) from error
        if isinstance(reply, hiredis.ReplyError):
            link.close()
            raise NoAnswerError(f"Redis: {reply}")
        self._give_back(link)
        return reply

    def mget(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of keys, None where there is none; without keys, whether the server answers.

        Raises:
            NoAnswerError: as `ask`.
        """
        found: list[bytes | None] = self.ask(b"MGET", *keys) if keys else self.ask(b"PING") and []
        return found

    def close(self) -> None:
        """Close the idle connections."""
        with self._changed:
            idle, self._idle = self._idle, []
        for link in idle:
            link.close()

    def _take(self, deadline: float) -> "_Link":
        with self._changed:
            if self._process != os.getpid():  # a forked process must not share its parent's sockets
                self._idle, self._connecting, self._process = [], 0, os.getpid()
            while self._idle:
                link = self._idle.pop()
                if link.is_quiet():
                    return link
                link.close()
            self._why = None
            if self._connecting < _MOST_CONNECTING:
                self._connecting += 1
                threading.Thread(target=self._connect, name="redis-connect", daemon=True).start()
            while not self._idle:
                left = deadline - time.monotonic()
                if left <= 0 or (self._why is not None and not self._connecting):
                    raise NoAnswerError(self._why or "Redis: no connection in time")
                self._changed.wait(left)
            return self._idle.pop()

    def _connect(self) -> None:
        link, why = None, None
        try:
            link = _Link(self._pool.make_connection())
        except (RedisError, OSError) as error:
            why = reason_of(error)
        with self._changed:
            self._connecting -= 1
            if link is not None:
                self._idle.append(link)
            else:
                self._why = why
            self._changed.notify_all()

    def _give_back(self, link: "_Link") -> None:
        with self._changed:
            if len(self._idle) < self._most_idle and self._process == os.getpid():
                self._idle.append(link)
                self._changed.notify()
                return
        link.close()


class _Link:
    """One open connection: redis-py has greeted the server, from here on the socket is ours."""

    def __init__(self, connection: Any) -> None:
        connection.connect()
        self._connection = connection
        self._socket: socket.socket = connection._get_socket()
        self._reader: Any = hiredis.Reader()  # its types leave out that it takes any buffer
        self._buffer = bytearray(_CHUNK)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._encrypted = isinstance(self._socket, ssl.SSLSocket)

    def is_quiet(self) -> bool:
        """Whether nothing came since the last reply; the end of the connection would have.

        TLS sends records of its own at any time, so there it says nothing.
        """
        return self._encrypted or not self._poll.poll(0)

    def exchange(self, command: tuple[bytes, ...], deadline: float) -> Any:
        self._socket.settimeout(_left(deadline))
        self._socket.sendall(_pack(command))
        while True:
            reply = self._reader.gets()
            if reply is not False:
                return reply
            self._socket.settimeout(_left(deadline))
            count = self._socket.recv_into(self._buffer)
            if not count:
                raise ConnectionResetError("closed by the server")
            self._reader.feed(self._buffer, 0, count)

    def close(self) -> None:
        self._connection.disconnect()


def _pack(command: Any) -> bytes:
    return hiredis.pack_command(command)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def reason_of(error: Exception) -> str:
    """Return in a few words why there was no answer."""
    if isinstance(error, TimeoutError) or "timeout" in type(error).__name__.lower():
        return "Redis: no answer in time"
    return f"Redis: {error or type(error).__name__}"
