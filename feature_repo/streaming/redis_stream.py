"""Events from a Redis stream with a consumer group: delivered at least once, taken into the outbox exactly once.

    redis://user:password@host:6379/0?stream=shop&group=intent        (rediss:// for TLS; `consumer=` names this one)

A message has the field `event`, which holds one canonical event as JSON. A message is confirmed (XACK) only after the
outbox has it, or the quarantine. What a consumer took and did not confirm is taken over by another after a while.
"""

import json
import os
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis
from redis.exceptions import RedisError, ResponseError

from feature_repo.errors import DependencyDown, SettingsError

__all__ = ["Message", "RedisStream"]

_FIELD = b"event"
_TAKE_OVER_MS = 30_000
_ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class Message:
    """One message: its id in the stream, and the event that it holds (text where that is no JSON, None without one)."""

    message_id: bytes
    event: Any


class RedisStream:
    """One consumer of a group. Stream and group are made if they are not there; a group begins with the oldest message.

    Arguments:
        url: see this module.
        take_over_ms: how long another consumer may hold a message without confirming it.

    Raises:
        SettingsError: the URL names no stream or group, or is none that Redis understands.
    """

    def __init__(self, url: str, take_over_ms: int = _TAKE_OVER_MS) -> None:
        address, self._stream, self._group, consumer = _parts(url)
        self._consumer = consumer or f"{socket.gethostname()}-{os.getpid()}"
        self._take_over_ms = take_over_ms
        try:
            self._client: Any = redis.Redis.from_url(address, socket_timeout=_ANSWER_SECONDS)
        except ValueError as error:
            raise SettingsError(f"The address of the stream cannot be used ({error}); expected {_EXPECTED}.") from None
        self._old, self._ready = True, False

    def read(self, most: int, wait_ms: int = 0) -> list[Message]:
        """Return up to `most` messages: first what this consumer left unconfirmed, then what others did, then new ones.

        Arguments:
            wait_ms: how long to wait for a new one where there is none.

        Raises:
            DependencyDown: Redis does not answer.
        """
        try:
            self._prepare()
            return self._unconfirmed(most) or self._taken_over(most) or self._new(most, wait_ms)
        except (RedisError, OSError) as error:
            raise self._down(error) from error

    def confirm(self, messages: list[Message]) -> None:
        """Tell the group that these messages are dealt with.

        Raises:
            DependencyDown: Redis does not answer; they will be delivered again, which is harmless.
        """
        try:
            if messages:
                self._client.xack(self._stream, self._group, *(message.message_id for message in messages))
        except (RedisError, OSError) as error:
            raise self._down(error) from error

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _prepare(self) -> None:
        if self._ready:
            return
        try:
            self._client.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        self._ready = True

    def _unconfirmed(self, most: int) -> list[Message]:
        if not self._old:
            return []
        found = self._client.xreadgroup(self._group, self._consumer, {self._stream: "0"}, count=most)
        messages = _messages(found[0][1]) if found else []
        self._old = bool(messages)
        return messages

    def _taken_over(self, most: int) -> list[Message]:
        claimed = self._client.xautoclaim(self._stream, self._group, self._consumer, self._take_over_ms, count=most)
        return _messages(claimed[1])

    def _new(self, most: int, wait_ms: int) -> list[Message]:
        found = self._client.xreadgroup(
            self._group, self._consumer, {self._stream: ">"}, count=most, block=wait_ms or None
        )
        return _messages(found[0][1]) if found else []

    def _down(self, error: Exception) -> DependencyDown:
        self._ready, self._old = False, True  # a server that lost its data has no group any more
        return DependencyDown(
            f"The stream {self._stream!r} cannot be read ({error or type(error).__name__}); expected a Redis that "
            "answers. Nothing is lost: what was not confirmed is delivered again."
        )


_EXPECTED = "redis://user:password@host:port/db?stream=NAME&group=NAME, or rediss:// for TLS"


def _parts(url: str) -> tuple[str, str, str, str | None]:
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query)
    except ValueError:
        raise SettingsError(f"The address of the stream is no URL; expected {_EXPECTED}.") from None
    told = dict(query)
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or not told.get("stream") or not told.get("group"):
        raise SettingsError(
            f"The address of the stream names {sorted(told) or 'neither stream nor group'}; expected {_EXPECTED}."
        )
    rest = urlencode([pair for pair in query if pair[0] not in ("stream", "group", "consumer")])
    return parts._replace(query=rest).geturl(), told["stream"], told["group"], told.get("consumer")


def _messages(entries: Any) -> list[Message]:
    return [Message(message_id, _event(fields or {})) for message_id, fields in entries]


def _event(fields: dict[bytes, bytes]) -> Any:
    raw = fields.get(_FIELD)
    try:
        return None if raw is None else json.loads(raw)
    except (ValueError, RecursionError):  # the latter: lists in lists, thousands deep
        return raw.decode(errors="replace") if raw is not None else None
