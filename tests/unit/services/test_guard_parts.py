"""The guard's parts, without a server: what a request may weigh, where it may come in, how ids are hidden."""

import asyncio
import hashlib
import hmac
import json
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.errors import SettingsError
from services.bind_address import is_loopback, listening_hosts, require_keys_beyond_loopback
from services.body_limits import UnfinishedBodies, is_too_deep, read_body, read_head
from services.concurrency_limit import REFUSAL_SECONDS, ConcurrencyLimit, Place
from services.hashed_ids import KEY_FILE_VARIABLE, KEY_VARIABLE, id_hasher, required_id_hasher
from services.problems import Refused

JSON = (b"content-type", b"application/json")


def status_of(action) -> int:
    with pytest.raises(Refused) as caught:
        action()
    return caught.value.problem.status


@pytest.mark.parametrize(
    ("headers", "most", "status"),
    [
        ([JSON, (b"content-length", b"11")], 10, 413),
        ([], 10, 415),
        ([(b"content-type", b"text/plain")], 10, 415),
        ([(b"content-type", b"application/jsonx")], 10, 415),
        ([(b"content-type", b"application/vnd.bentoml+pickle")], 0, 415),
        ([JSON, (b"content-encoding", b"gzip")], 10, 415),
        ([JSON, (b"content-encoding", b"identity, gzip")], 10, 415),
        ([(b"content-length", b"1")], 0, 400),
        ([(b"transfer-encoding", b"chunked")], 0, 400),
        ([JSON, JSON], 10, 400),
        ([(b"content-length", b"-1"), JSON], 10, 400),
        ([(b"content-length", b"1e3"), JSON], 10, 400),
        ([(b"content-length", b"9" * 30), JSON], 10, 400),
        ([JSON, *[(b"x-%d" % number, b"") for number in range(64)]], 10, 431),
        ([JSON, (b"cookie", b"x" * 17_000)], 10, 431),
    ],
)
def test_headers_that_are_refused(headers: list, most: int, status: int) -> None:
    assert status_of(lambda: read_head(headers).check(most)) == status


@pytest.mark.parametrize(
    ("headers", "most"),
    [
        ([JSON, (b"content-length", b"10")], 10),
        ([(b"content-type", b"Application/JSON; charset=utf-8"), (b"content-encoding", b"identity")], 10),
        ([JSON, (b"transfer-encoding", b"chunked")], 10),
        ([], 0),
        ([(b"content-length", b"0")], 0),
    ],
)
def test_headers_that_pass(headers: list, most: int) -> None:
    read_head(headers).check(most)


def received(*parts: bytes, end: bool = True):
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = not end
    messages.append({"type": "http.disconnect"})

    async def receive() -> dict:
        return messages.pop(0)

    return receive


def test_bodies_of_one_and_of_many_parts() -> None:
    unfinished = UnfinishedBodies()

    def read(*parts: bytes, end: bool = True) -> bytes | None:
        return asyncio.run(read_body(received(*parts, end=end), 4, unfinished))

    assert read(b"1234") == b"1234"
    assert read(b"1", b"", b"234") == b"1234"
    assert read(b"1", end=False) is None
    assert status_of(lambda: read(b"12345")) == 413
    assert status_of(lambda: read(b"123", b"45")) == 413
    assert unfinished.bytes == 0


def test_bodies_that_have_not_come_whole_are_bounded_together() -> None:
    async def ask() -> list[bytes | Refused]:
        unfinished, last = UnfinishedBodies(10), asyncio.Event()

        async def read(first: bytes) -> bytes | Refused:
            parts = iter([(first, True), (b"!", False)])

            async def receive() -> dict:
                body, more = next(parts)
                if not more:
                    await last.wait()
                return {"type": "http.request", "body": body, "more_body": more}

            try:
                return await read_body(receive, 8, unfinished) or b""
            except Refused as refused:
                return refused

        reading = [asyncio.ensure_future(read(text)) for text in (b"12345", b"678", b"90a", b"b")]
        await asyncio.sleep(0.01)
        assert unfinished.bytes == 9
        reading.pop(1).cancel()  # its time is up
        await asyncio.sleep(0.01)
        assert unfinished.bytes == 6
        last.set()
        found = await asyncio.gather(*reading)
        assert unfinished.bytes == 0
        return found

    first, refused, last = asyncio.run(ask())
    assert (first, last) == (b"12345!", b"b!")
    assert isinstance(refused, Refused)
    assert refused.problem.status == 429


@pytest.mark.parametrize(
    ("body", "deep"),
    [
        (b"[" * 16 + b"]" * 16, False),
        (b"[" * 17 + b"]" * 17, True),
        (b"[" * 10_000, True),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, True),
        (b"[" + b"{}," * 5_000 + b"{}]", False),
        (b'"' + b"[" * 10_000 + b'"', False),
        (b'"\\"' + b"[" * 10_000 + b'"', False),
        (b'"\\\\"' + b"[" * 17, True),
        (b"[{" * 250_000, True),
        (b'"' + b'\\"' * 500_000, False),
        (b'"\\' * 300_000, False),
    ],
)
def test_how_deep_a_body_goes(body: bytes, deep: bool) -> None:
    assert is_too_deep(body) == deep


JSON_VALUES = st.recursive(
    st.none() | st.text(alphabet='[]{}"\\a'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('{"a'), inner),
)


def levels(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(levels, inner), default=0)


@given(JSON_VALUES, st.integers(0, 4))
def test_depth_is_that_of_the_parsed_value(value: object, most: int) -> None:
    assert is_too_deep(json.dumps(value).encode(), most) == (levels(value) > most)


def test_places_are_given_and_come_back() -> None:
    limit = ConcurrencyLimit(2)
    with Place(limit) as first, Place(limit) as second, Place(limit) as third:
        assert [place.take() for place in (first, second, third, first)] == [True, True, False, True]
        assert (limit.in_progress, limit.is_full) == (2, True)
        first.give_back()
        assert third.take()
    with pytest.raises(ZeroDivisionError), Place(limit) as place:
        _ = 1 / (int(place.take()) - 1)
    assert limit.in_progress == 0


@pytest.mark.parametrize("take", [False, True])
def test_a_place_is_required_of_those_who_have_none(take: bool) -> None:
    limit = ConcurrencyLimit(1)
    with Place(limit) as held, Place(limit) as other:
        asyncio.run(held.require(take=take))
        assert limit.in_progress == int(take)
        held.take()
        asyncio.run(held.require(take=take))
        begun = time.monotonic()
        with pytest.raises(Refused) as refused:
            asyncio.run(other.require(take=take))
        assert time.monotonic() - begun >= REFUSAL_SECONDS  # so that it is not asked again at once
        assert refused.value.problem.status == 429
    assert limit.in_progress == 0


def test_which_addresses_are_of_this_machine_alone() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0", "shop", "")))  # noqa: S104


def test_listening_sockets_are_seen() -> None:
    with socket.socket() as listener, socket.socket() as bound:
        bound.bind(("127.0.0.3", 0))
        listener.bind(("127.0.0.2", 0))
        listener.listen()
        hosts = listening_hosts()
    assert "127.0.0.2" in hosts
    assert "127.0.0.3" not in hosts
    assert "127.0.0.2" not in listening_hosts()


def test_keys_are_required_beyond_this_machine() -> None:
    require_keys_beyond_loopback(["127.0.0.1", "::1"], keys=False)
    require_keys_beyond_loopback(["0.0.0.0"], keys=True)  # noqa: S104
    with pytest.raises(SettingsError, match=r"listen on 0\.0\.0\.0 without keys.*intent keys create"):
        require_keys_beyond_loopback(["127.0.0.1", "0.0.0.0"], keys=False)  # noqa: S104


def test_pseudonyms_are_keyed_hashes(tmp_path: Path) -> None:
    key = "0123456789abcdef"
    file = tmp_path / "key"
    file.write_text(key + "\n")
    hasher, same = id_hasher({KEY_VARIABLE: key}), id_hasher({KEY_FILE_VARIABLE: str(file)})
    assert hasher is not None
    assert same is not None
    expected = hmac.new(key.encode(), b"01104905", hashlib.sha256).hexdigest()[:32]
    assert hasher.pseudonym("01104905") == same.pseudonym("01104905") == expected
    assert len(hasher.pseudonym("\ud800")) == 32
    other = required_id_hasher({KEY_VARIABLE: key[::-1]}, "a log")
    assert hasher.pseudonym("a") != other.pseudonym("a")
    assert hasher.check == same.check != other.check


def test_keys_of_ids_that_cannot_be_used(tmp_path: Path) -> None:
    assert id_hasher({}) is None
    with pytest.raises(SettingsError, match="a log is set without a key"):
        required_id_hasher({}, "a log")
    for environment, expected in (
        ({KEY_VARIABLE: "short"}, "5 bytes"),
        ({KEY_VARIABLE: "x" * 16, KEY_FILE_VARIABLE: "/x"}, "both set"),
        ({KEY_FILE_VARIABLE: "key"}, "relative"),
        ({KEY_FILE_VARIABLE: str(tmp_path / "none")}, "cannot be read"),
    ):
        with pytest.raises(SettingsError, match=expected):
            id_hasher(environment)
