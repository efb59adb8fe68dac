"""Keys: made, kept as hashes, found again, read from a file that changes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feature_repo.errors import SettingsError
from services.access_control import AccessControl, Rule
from services.access_keys import KeyRing, KeyRow, KeyRows, new_key, read_keys
from services.configured_keys import FILE_VARIABLE, KEYS_VARIABLE, configured_keys
from services.problems import Refused

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = {
    "/open": Rule(frozenset({"GET"}), None),
    "/score": Rule(frozenset({"POST"}), "score", 100),
    "/files/": Rule(frozenset({"GET"}), "score"),
}


def kept(*rows: KeyRow) -> str:
    return KeyRows(keys=rows).model_dump_json()


def bearer(text: str) -> bytes:
    return f"Bearer {text}".encode()


def control(*rows: KeyRow, clock=lambda: 0.0) -> AccessControl:
    keys = configured_keys({KEYS_VARIABLE: kept(*rows)})
    return AccessControl(RULES, keys, clock=clock, wall_clock=NOW.timestamp)


def refused(access: AccessControl, path: str, method: str, authorization: bytes | None) -> int:
    with pytest.raises(Refused) as caught:
        access.admit(path, method, authorization)
    return caught.value.problem.status


def test_a_key_is_found_by_its_text_alone_and_its_text_is_kept_nowhere() -> None:
    text, row = new_key(["events", "score"], None, 5.0)
    other, _ = new_key(["score"], None, 5.0)
    assert text not in kept(row)
    assert text.removeprefix(f"intent_{row.id}_") not in kept(row)  # its secret part may hold strokes itself
    ring = KeyRing(read_keys(kept(row), "here").keys)
    found = ring.find(bearer(text))
    assert found is not None
    assert (found.id, found.scopes, found.expires) == (row.id, {"score", "events"}, float("inf"))
    assert ring.find(b"bearer " + text.encode()) is not None  # the scheme's case does not count
    for wrong in (other, text[:-1], text + "x", text.upper(), row.id, "", "intent_", f"intent_{row.id}_", "x" * 10_000):
        assert ring.find(bearer(wrong)) is None
    assert ring.find(text.encode()) is None
    assert ring.find(b"Basic " + text.encode()) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "not JSON"),
        (b"\xff", "not JSON"),
        ("[]", "at: the whole"),
        ('{"keys": [{}]}', "keys.0.id"),
        ('{"keys": [], "colour": 1}', "colour"),
        (json.dumps({"keys": [{"id": "0" * 12, "sha256": "0" * 64, "scopes": ["root"]}]}), "keys.0.scopes.0"),
        (json.dumps({"keys": [{"id": "0" * 12, "sha256": "0" * 64, "scopes": []}]}), "keys.0.scopes"),
        (json.dumps({"keys": [{"id": "0" * 12, "sha256": "0" * 64, "scopes": ["score"]}] * 2}), "an id twice"),
    ],
)
def test_a_file_that_is_not_one_of_keys_is_refused(text: str | bytes, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        read_keys(text, "here")


def test_who_may_do_what() -> None:
    score, score_row = new_key(["score"], NOW + timedelta(seconds=1), 100.0)
    events, events_row = new_key(["events"], None, 100.0)
    old, old_row = new_key(["score"], NOW, 100.0)
    access = control(score_row, events_row, old_row)
    assert access.admit("/score", "POST", bearer(score)).body_bytes == 100
    assert access.admit("/files/a.js", "GET", bearer(score)).scope == "score"
    assert access.admit("/open", "GET", None).scope is None
    assert refused(access, "/score", "POST", None) == 401
    assert refused(access, "/score", "POST", b"Bearer nonsense") == 401
    assert refused(access, "/score", "POST", bearer(old)) == 401
    assert refused(access, "/score", "POST", bearer(events)) == 403
    assert refused(access, "/score", "GET", bearer(score)) == 405
    assert refused(access, "/unknown", "GET", None) == 401
    assert refused(access, "/unknown", "GET", bearer(score)) == 404
    assert refused(access, "/score/", "POST", bearer(score)) == 404
    assert refused(access, "/open", "POST", None) == 405


def test_without_keys_the_table_alone_counts() -> None:
    access = AccessControl(RULES, None)
    assert access.admit("/score", "POST", None).scope == "score"
    assert refused(access, "/unknown", "POST", None) == 404
    assert refused(access, "/score", "PUT", None) == 405


def test_a_place_is_for_those_who_may_have_one() -> None:
    (right, row), (other, other_row) = new_key(["score"], None, 0.1), new_key(["events"], None, 5.0)
    old, old_row = new_key(["score"], NOW, 5.0)
    access = control(row, other_row, old_row)
    assert not any(access.may("/score", key) for key in (None, b"", b"Bearer wrong", bearer(other), bearer(old)))
    assert [access.may("/score", bearer(right)) for _ in range(3)] == [True] * 3  # to look counts nowhere
    assert access.admit("/score", "POST", bearer(right)).scope == "score"
    assert not access.may("/unknown", bearer(right))
    assert AccessControl(RULES, None).may("/score", None)


def test_a_key_may_be_used_as_often_as_it_says() -> None:
    now = [0.0]
    (quick, quick_row), (slow, slow_row) = new_key(["score"], None, 100.0), new_key(["score"], None, 0.1)
    access = control(quick_row, slow_row, clock=lambda: now[0])
    access.admit("/score", "POST", bearer(slow))
    with pytest.raises(Refused) as caught:
        access.admit("/score", "POST", bearer(slow))
    assert (caught.value.problem.status, caught.value.problem.retry_after) == (429, 10)
    for _ in range(100):
        access.admit("/score", "POST", bearer(quick))
    assert refused(access, "/score", "POST", bearer(quick)) == 429
    now[0] = 0.05
    for _ in range(5):
        access.admit("/score", "POST", bearer(quick))
    assert refused(access, "/score", "POST", bearer(quick)) == 429
    now[0] = 10.0
    access.admit("/score", "POST", bearer(slow))


def written(file: Path, text: str) -> dict[str, str]:
    file.write_text(text)
    file.chmod(0o600)
    return {FILE_VARIABLE: str(file)}


def test_a_changed_file_counts_and_a_broken_one_does_not(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    first, first_row = new_key(["score"], None, 5.0)
    second, second_row = new_key(["score"], None, 5.0)
    keys = configured_keys(written(file, kept(first_row)))
    assert keys is not None
    assert keys.ring(10.0).find(bearer(first)) is not None
    written(file, kept(first_row, second_row))
    assert keys.ring(10.5).find(bearer(second)) is None  # looked at a moment ago
    assert keys.ring(11.5).find(bearer(second)) is not None
    written(file, "{")
    assert keys.ring(13.0).find(bearer(second)) is not None
    file.unlink()
    assert keys.ring(15.0).find(bearer(second)) is not None
    written(file, kept(second_row))
    assert keys.ring(17.0).find(bearer(first)) is None


def test_a_revoked_key_is_refused_once_the_file_can_be_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who edits the file by hand and leaves it open to others does what the log says, and nothing else."""
    file = tmp_path / "keys.json"
    revoked, revoked_row = new_key(["score"], None, 5.0)
    kept_key, kept_row = new_key(["score"], None, 5.0)
    keys = configured_keys(written(file, kept(revoked_row, kept_row)))
    assert keys is not None
    assert keys.trouble(10.0) is None
    file.write_text(kept(kept_row))
    file.chmod(0o664)
    for now in (12.0, 14.0):
        assert keys.ring(now).find(bearer(revoked)) is not None
        assert "chmod 600" in str(keys.trouble(now))
    assert [record.levelname for record in caplog.records].count("ERROR") == 1
    file.chmod(0o600)
    assert keys.ring(16.0).find(bearer(revoked)) is None
    assert keys.ring(16.0).find(bearer(kept_key)) is not None
    assert keys.trouble(16.0) is None


def test_a_file_that_others_may_write_is_told_though_its_keys_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys = configured_keys(written(file, kept()))
    assert keys is not None
    file.chmod(0o660)
    assert "chmod 600" in str(keys.trouble(10.0))
    file.rename(tmp_path / "elsewhere")
    told = str(keys.trouble(12.0))
    assert "No such file" in told
    assert str(tmp_path) not in told
    (tmp_path / "elsewhere").rename(file)
    file.chmod(0o600)
    assert keys.trouble(14.0) is None


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    assert configured_keys({}) is None
    for environment, expected in (
        ({KEYS_VARIABLE: "{}", FILE_VARIABLE: str(file)}, "both set"),
        ({FILE_VARIABLE: "keys.json"}, "relative"),
        ({FILE_VARIABLE: str(file)}, "cannot be read"),
        ({KEYS_VARIABLE: "nonsense"}, "not JSON"),
    ):
        with pytest.raises(SettingsError, match=expected):
            configured_keys(environment)
    environment = written(file, kept())
    assert configured_keys(environment) is not None
    file.chmod(0o620)
    with pytest.raises(SettingsError, match="written by others"):
        configured_keys(environment)
