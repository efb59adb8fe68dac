"""Requests that mean no good, by family: what is wrong with each is in its name. None of them may be answered with 2xx.

Bodies that are worth keeping as they were found stand in `tests/behaviour/hostile_bodies.jsonl`.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Hostile", "hostile_requests", "slow_requests"]

KEPT = Path(__file__).parent / "behaviour" / "hostile_bodies.jsonl"
JSON = "application/json"
MEGABYTE = 1 << 20
BODIES = {
    "/score": b'{"user_id": "00000005", "at": "2001-02-19T00:00:00Z", "context": {"session_seconds": 1.5}}',
    "/score_batch": b'{"user_ids": ["00000005", "00000006"], "at": "2001-02-19T00:00:00Z"}',
    "/rank": b'{"user_id": "00000005", "item_ids": ["1", "2"], "top": 1}',
    "/explain": b'{"user_id": "00000005", "at": "2001-02-19T00:00:00Z"}',
    "/events": b'{"events": [{"event_id": "e1", "user_id": "u", "event_type": "view", '
    b'"event_timestamp": "2001-02-19T00:00:00Z", "quantity": 1.5}]}',
    "/feedback": b'{"outcomes": [{"request_id": "0f8fad5bd9cb469fa16570867728950e", "bought": true}]}',
}
"""A good body of every route, to be spoilt."""


@dataclass(frozen=True)
class Hostile:
    """One request as it goes over the wire: `head` without its blank line, then the parts of the body."""

    family: str
    name: str
    head: bytes
    body: bytes = b""

    @property
    def title(self) -> str:
        return f"{self.family}: {self.name}"


def request(
    family: str,
    name: str,
    path: str,
    body: bytes,
    content_type: str | None = JSON,
    *,
    headers: tuple[str, ...] = (),
    chunked: bool = False,
    method: str = "POST",
) -> Hostile:
    """A request of HTTP's own form, whatever is in it."""
    lines = [f"{method} {path} HTTP/1.1", "host: shop", *headers]
    lines += [] if content_type is None else [f"content-type: {content_type}"]
    lines += ["transfer-encoding: chunked"] if chunked else [f"content-length: {len(body)}"]
    wire = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    return Hostile(family, f"{name} to {path}", "\r\n".join(lines).encode("latin-1"), wire)


def hostile_requests() -> Iterator[Hostile]:
    """All of them, in a fixed order."""
    for path, body in BODIES.items():
        yield from _syntax(path, body)
        yield from _depth(path)
        yield from _sizes(path, body)
        yield from _shapes(path, body)
        yield from _types(path, body)
        yield from _encodings(path, body)
    yield from _numbers()
    yield from _candidates()
    yield from _ids()
    yield from _framing()
    yield from _kept()


def slow_requests() -> Iterator[Hostile]:
    """Requests whose body does not come: to be answered 408 when two seconds are over."""
    for path, body in BODIES.items():
        head = request("slow", "the first byte alone", path, body).head
        yield Hostile("slow", f"the first byte alone to {path}", head, body[:1])
        yield Hostile("slow", f"nothing at all to {path}", head)
        chunked = request("slow", "", path, body, chunked=True).head
        yield Hostile("slow", f"a chunk that does not end to {path}", chunked, b"40\r\n{")


def _syntax(path: str, body: bytes) -> Iterator[Hostile]:
    spoilt = {
        "nothing": b"",
        "cut in the middle": body[: len(body) // 2],
        "two documents": body + body,
        "a comma too many": body[:-1] + b",}",
        "single quotes": body.replace(b'"', b"'"),
        "a comment": b"/* hello */" + body,
        "a byte order mark": b"\xef\xbb\xbf" + body,
        "UTF-16": body.decode().encode("utf-16"),
        "UTF-32": body.decode().encode("utf-32"),
        "NUL before it": b"\0" + body,
        "NUL in a text": body.replace(b'"', b'"\0', 1),
        "NULs alone": b"\0" * 1000,
        "bytes that are no UTF-8": body.replace(b'"', b'"\xff', 1),
        "an overlong slash": body.replace(b'"', b'"\xc0\xaf', 1),
        "a raw surrogate": body.replace(b'"', b'"\xed\xa0\x80', 1),
        "a line break in a text": body.replace(b'"', b'"\n', 1),
    }
    for name, text in spoilt.items():
        yield request("syntax", name, path, text)


def _depth(path: str) -> Iterator[Hostile]:
    for levels in (17, 1000, 10_000):
        yield request("depth", f"{levels} lists", path, b"[" * levels + b"]" * levels)
    yield request("depth", "10,000 objects", path, b'{"a":' * 10_000 + b"1" + b"}" * 10_000)
    yield request("depth", "30,000 brackets left open", path, b"[{" * 15_000)
    yield request("depth", "levels inside a field", path, b'{"user_id":' + b"[" * 3000 + b"]" * 3000 + b"}")


def _sizes(path: str, body: bytes) -> Iterator[Hostile]:
    most = 1 << (16 if path in ("/score", "/explain") else 20)
    padded = body[:-1].ljust(most, b" ") + b"}"
    yield request("size", "one byte above the limit", path, padded)
    yield request("size", "one byte above the limit, chunked", path, padded, chunked=True)
    yield request("size", "10 MB", path, b" " * 10 * MEGABYTE)
    yield request("size", "10 MB, chunked", path, b" " * 10 * MEGABYTE, chunked=True)
    long_name = b'{"%s": 1}' % (b"x" * 60_000)
    yield request("size", "a name of 60,000 letters", path, long_name)


def _shapes(path: str, body: bytes) -> Iterator[Hostile]:
    for value in (b"null", b"true", b"1", b'"text"', b"[]", b"{}", b"[" + body + b"]"):
        yield request("shape", value.decode()[:8], path, value)
    first = body[1 : body.index(b":")]
    escaped = b'"\\u%04x' % first[1] + first[2:]
    yield request("fields", "one twice", path, b"{" + first + b": 1, " + body[1:])
    yield request("fields", "one twice, once by escapes", path, b"{" + escaped + b": 1, " + body[1:])
    for name in ("colour", "__proto__", "__class__", "constructor", "", "user_id ", "USER_ID", "$ref"):
        extra = json.dumps(name).encode()
        yield request("fields", f"an unknown {name!r}", path, b"{" + extra + b": {}, " + body[1:])


def _types(path: str, body: bytes) -> Iterator[Hostile]:
    pickled = (
        b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85R."
    )
    for kind in (
        "application/vnd.bentoml+pickle",
        "application/x-pickle",
        "application/python-pickle",
        "application/octet-stream",
        "application/vnd.bentoml.stream+pickle; charset=x",
    ):
        yield request("type", kind, path, pickled, kind)
    for kind in (
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/json-seq",
        "application/problem+json",
        "application/xml",
        "application/x-www-form-urlencoded",
        "image/png",
        "application/vnd.apache.arrow.stream",
        "",
        "application / json",
        "json",
    ):
        yield request("type", repr(kind), path, body, kind)
    yield request("type", "none", path, body, None)
    yield request("type", "two of them", path, body, headers=("content-type: text/plain",))
    for length in (70, 10_000, 100_000):
        yield request("type", f"a boundary of {length}", path, body, "multipart/form-data; boundary=" + "x" * length)
    form = (
        b'--x\r\nContent-Disposition: form-data; name="request"; filename="a.pkl"\r\n\r\n' + pickled + b"\r\n--x--\r\n"
    )
    yield request("type", "a form with a pickle", path, form, "multipart/form-data; boundary=x")


def _encodings(path: str, body: bytes) -> Iterator[Hostile]:
    bomb = gzip.compress(b"0" * 30 * MEGABYTE, 9)
    for coding, data in (
        ("gzip", gzip.compress(body)),
        ("gzip", bomb),
        ("gzip, gzip", gzip.compress(bomb)),
        ("deflate", zlib.compress(body)),
        ("br", body),
        ("zstd", body),
        ("identity, gzip", bomb),
    ):
        yield request("encoding", f"{coding}, {len(data)} bytes", path, data, headers=(f"content-encoding: {coding}",))
    yield request("encoding", "a bomb that says nothing", path, bomb)


def _numbers() -> Iterator[Hostile]:
    digits = b"1" * 23
    for value in (
        b"NaN", b"Infinity", b"-Infinity", b"1e308", b"1e309", b"-1e309", b"-1e308", digits, b"-" + digits, b"9" * 5000,
        b"0x10", b"01", b"+1", b".5", b"1.", b"1e", b"--1", b"1_000", b'"1"', b"[1]", b"{}",
    ):  # fmt: skip
        name = value.decode()[:24]
        seconds = BODIES["/score"].replace(b"1.5", value)
        yield request("number", f"{name} seconds", "/score", seconds)
        yield request("number", f"{name} pages", "/score", seconds.replace(b"session_seconds", b"session_position"))
        yield request("number", f"{name} first", "/rank", BODIES["/rank"].replace(b'"top": 1', b'"top": ' + value))
        yield request("number", f"{name} pieces", "/events", BODIES["/events"].replace(b"1.5", value))


def _candidates() -> Iterator[Hostile]:
    for count in (501, 1001, 100_000):
        ids = json.dumps([str(number) for number in range(count)]).encode()
        yield request("many", f"{count} items", "/rank", b'{"user_id": "a", "item_ids": ' + ids + b"}")
        if count > 1000:
            yield request("many", f"{count} customers", "/score_batch", b'{"user_ids": ' + ids + b"}")
            yield request("many", f"{count} outcomes", "/feedback", b'{"outcomes": ' + ids + b"}")
        yield request("many", f"{count} events", "/events", b'{"events": ' + ids + b"}")
    for name, ids in {
        "ragged": b'["1", ["2", "3"], []]',
        "with null": b'["1", null]',
        "with numbers": b'["1", 2]',
        "one twice": b'["1", "1"]',
        "none": b"[]",
        "an object": b'{"0": "1"}',
        "a text": b'"1"',
        "lists of nothing": b"[" + b"[]," * 20_000 + b"[]]",
    }.items():
        yield request("list", f"{name}, of items", "/rank", b'{"user_id": "a", "item_ids": ' + ids + b"}")
        yield request("list", f"{name}, of customers", "/score_batch", b'{"user_ids": ' + ids + b"}")


def _ids() -> Iterator[Hostile]:
    for name, text in {
        "empty": "", "of 129": "x" * 129, "of 50,000": "x" * 50_000, "NUL": "a\0b", "a line break": "a\nb",
        "an escape": "\x1b[2J", "a lone high surrogate": "\ud800", "a lone low surrogate": "a\udc00",
        "surrogates the wrong way round": "\udc00\ud800", "right to left": "\u202eabc", "a separator": "\u2028",
        "a space of no width": "\u200b", "a private letter": "\ue000", "no letter": "\uffff",
    }.items():  # fmt: skip
        quoted = json.dumps(text).encode()
        yield request("id", name, "/score", b'{"user_id": ' + quoted + b"}")
        yield request("id", f"{name}, of an item", "/rank", b'{"user_id": "a", "item_ids": [' + quoted + b"]}")
        yield request("id", f"{name}, in a batch", "/score_batch", b'{"user_ids": ["a", ' + quoted + b"]}")
        yield request("id", f"{name}, of an event", "/events", BODIES["/events"].replace(b'"e1"', quoted))


def _framing() -> Iterator[Hostile]:
    start = b"POST /score HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n"
    for name, head, body in (
        ("a length that is no number", start + b"content-length: ten", b"{}"),
        ("a length below zero", start + b"content-length: -1", b"{}"),
        ("two lengths", start + b"content-length: 2\r\ncontent-length: 3", b"{}"),
        ("a length and chunks", start + b"content-length: 2\r\ntransfer-encoding: chunked", b"0\r\n\r\n"),
        ("a chunk's size that is no number", start + b"transfer-encoding: chunked", b"zz\r\n{}\r\n"),
        ("a chunk of 2^70 bytes", start + b"transfer-encoding: chunked", b"400000000000000000\r\n"),
        ("another transfer encoding", start + b"transfer-encoding: gzip, chunked", b"0\r\n\r\n"),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n\r\n"),
        ("a line that is no header", start + b"hello", b""),
        ("another protocol", b"POST /score SPDY/3", b""),
        ("100 headers", start + b"content-length: 2\r\n" + b"\r\n".join(b"x-%d: 1" % n for n in range(100)), b"{}"),
        ("a header of 20,000", start + b"content-length: 2\r\ncookie: " + b"x" * 20_000, b"{}"),
    ):
        yield Hostile("framing", name, head, body)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "GET", "HEADX"):
        yield request("method", method, "/score", BODIES["/score"], method=method)
    for path in (
        *("/score/", "//score", "/SCORE", "/score;a", "/score%2f", "/score%00", "/../score", "/nothing", "/score/x"),
        *("/static_content/../score", "/static_content/%2e%2e/%2e%2e/etc/passwd", "/score_batch/submit"),
    ):
        yield request("path", path, path, BODIES["/score"])
    for path in ("/livez", "/readyz", "/metrics", "/model", "/docs.json"):
        yield request("path", "a body", path, b"{}", method="GET")
        yield request("path", "a pickle", path, b"x", "application/vnd.bentoml+pickle", method="GET")


def _kept() -> Iterator[Hostile]:
    for line in KEPT.read_text(encoding="utf-8").splitlines():
        kept = json.loads(line)
        yield request("kept", kept["name"], kept["path"], kept["body"].encode("utf-8", "surrogatepass"))
