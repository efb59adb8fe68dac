"""`intent events` on a small log: pushed, online, in the log, in the next tables; equal on both sides all along.

Once on files, once on servers: the production profile, its outbox in PostgreSQL.
"""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.events import EVENT_SCHEMA, ITEM_SCHEMA, USER_SCHEMA
from intent_cli.main import run
from intent_cli.online_address import packed_store, profile_address
from tests.production import production_environment
from tests.sources import settings_of
from training.adapters import ingest
from training.dataset.log_manifest import hash_log, require_whole_log, write_log_manifest

LONG_AGO = datetime(2024, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["files", "servers"])
def out(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("INTENT_ONLINE_URL", "INTENT_OUTBOX_URL", "INTENT_PROFILE", "INTENT_OUT"):
        monkeypatch.delenv(name, raising=False)
    write_log(tmp_path)
    with production_environment(tmp_path) if request.param == "servers" else nullcontext({}) as servers:
        for name, value in servers.items():
            monkeypatch.setenv(name, value)
        yield tmp_path


def write_log(folder: Path) -> None:
    """One purchase of long ago."""
    row = {"event_id": "old", "user_id": "u1", "event_type": "purchase", "item_id": "i"}
    row |= {"event_timestamp": LONG_AGO, "created_timestamp": LONG_AGO}
    for name, schema in (("events", EVENT_SCHEMA), ("users", USER_SCHEMA), ("items", ITEM_SCHEMA)):
        (folder / name).mkdir()
        table = pa.Table.from_pylist([row] if name == "events" else [], schema=schema)
        pq.write_table(table, folder / name / "part-0.parquet")
    write_log_manifest(folder, hash_log(folder), {"adapter": "none"})


def intent(capsys: pytest.CaptureFixture[str], out: Path, *arguments: str, expect: int = 0) -> dict:
    code = run([*arguments, "--out", str(out), *(["--json"] if "consume" not in arguments else [])])
    printed = capsys.readouterr()
    assert code == expect, printed.err + printed.out
    return json.loads(printed.out.splitlines()[0]) if "consume" not in arguments else {}


def written(out: Path, *events: dict) -> str:
    path = out / "pushed.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return str(path)


def event(number: int, user: str = "u1", **more: object) -> dict:
    moment = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    return {"event_id": f"e{number}", "user_id": user, "event_type": "view", "event_timestamp": moment, **more}


def online(out: Path, *users: str) -> dict[str, tuple[int, int]]:
    """Customer → (views, purchases) that are online."""
    from feature_repo.streaming.views import USER_COUNTERS
    from intent_stores.packed_reader import PackedReader

    store = packed_store(profile_address(out))
    found = PackedReader(store).read_columns([USER_COUNTERS], {"user_id": list(users)})["user_counters"].values
    store.close()
    counts = zip(found["view_count"].tolist(), found["purchase_count"].tolist(), strict=True)
    return dict(zip(users, counts, strict=True))


def test_from_a_push_to_the_next_tables(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(UTC).isoformat()
    intent(capsys, out, "apply")
    first = intent(capsys, out, "events", "push", written(out, event(1), event(2, "new")))
    assert (first["taken"], first["applied"], first["online"]) == (2, 0, False)  # nothing was materialised yet

    intent(capsys, out, "materialize", "--at", now)
    assert intent(capsys, out, "events", "status")["online"] == 0
    intent(capsys, out, "events", "consume", "--once")
    assert online(out, "u1", "new") == {"u1": (1, 1), "new": (1, 0)}

    again = intent(capsys, out, "events", "push", written(out, event(1), event(3)))
    assert (again["taken"], again["repeated"], again["applied"]) == (1, 1, 1)
    assert online(out, "u1") == {"u1": (2, 1)}

    assert intent(capsys, out, "apply")["streamed"] == 3
    rows = pq.read_table(out / "features" / "user_counters.parquet").to_pylist()
    last = {row["user_id"]: (row["view_count"], row["purchase_count"]) for row in rows}  # in order of time
    assert last == {"u1": (2, 1), "new": (1, 0)}
    intent(capsys, out, "materialize", "--at", datetime.now(UTC).isoformat())
    told = intent(capsys, out, "events", "status")
    assert told == {"acknowledged": 3, "online": 3, "in_log": 3, "quarantined": {}}
    assert online(out, "u1", "new") == last


def test_what_cannot_be_taken_is_set_apart_and_the_rest_is_taken(
    out: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(json.dumps(event(1)).encode() + b'\nnot json\n\n{"user_id": "u"}\n\xff\xfe\n' + b"[" * 100_000)
    intent(capsys, out, "events", "push", str(path), expect=1)
    told = intent(capsys, out, "events", "status")
    assert told["acknowledged"] == 1
    assert told["quarantined"] == {"missing_event_type": 1, "not_an_object": 3}
    intent(capsys, out, "events", "push", str(tmp_path / "none.jsonl"), expect=1)


def test_a_killed_or_damaged_part_is_written_again(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        intent(capsys, out, "events", "push", written(out, event(number)))
        intent(capsys, out, "apply")
    whole = require_whole_log(out)
    parts = sorted((out / "events").glob("stream-*.parquet"))
    assert len(parts) == 2
    before = [part.read_bytes() for part in parts]
    parts[0].unlink()
    parts[1].write_bytes(b"damaged")
    (out / "events" / "stream-000000000003-000000000009.parquet").write_bytes(b"of a run that was killed")
    with pytest.raises(Exception, match="intent apply"):
        require_whole_log(out)
    intent(capsys, out, "apply")
    assert require_whole_log(out) == whole
    assert [part.read_bytes() for part in parts] == before


def test_an_ingest_replaces_what_was_imported_and_keeps_what_was_streamed(
    out: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    intent(capsys, out, "events", "push", written(out, event(1), event(2, "new")))
    intent(capsys, out, "apply")
    source = tmp_path / "lines.csv"
    source.write_text("who,when,sku\n" + "".join(f"c{n},2024-02-0{n},x\n" for n in range(1, 5)))
    columns = {"user_id": "who", "event_timestamp": "when", "item_id": "sku"}
    ingest(settings_of("table", path=source, columns=columns, constants={"event_type": "purchase"}), out)
    require_whole_log(out)
    events = pq.read_table(out / "events").to_pylist()
    assert {row["user_id"] for row in events} == {"c1", "c2", "c3", "c4", "u1", "new"}
    assert intent(capsys, out, "events", "status")["in_log"] == 2
    assert intent(capsys, out, "apply")["streamed"] == 0


def test_events_of_a_redis_stream_come_online(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    redis = pytest.importorskip("redis")
    url = os.environ.get("INTENT_TEST_REDIS_URL") or pytest.skip("INTENT_TEST_REDIS_URL names no Redis")
    intent(capsys, out, "apply")
    intent(capsys, out, "materialize", "--at", datetime.now(UTC).isoformat())
    with redis.Redis.from_url(url) as client:
        name = f"t{uuid.uuid4().hex[:12]}"
        try:
            for one in (event(1), event(2, "new"), event(2, "new"), {"user_id": "no event"}):
                client.xadd(name, {"event": json.dumps(one)})
            intent(capsys, out, "events", "consume", "--once", "--stream", f"{url}?stream={name}&group=intent")
            assert client.xpending(name, "intent")["pending"] == 0
        finally:
            client.unlink(name)
    assert online(out, "u1", "new") == {"u1": (1, 1), "new": (1, 0)}
    told = intent(capsys, out, "events", "status")
    assert told == {"acknowledged": 2, "online": 2, "in_log": 0, "quarantined": {"missing_event_type": 1}}


@pytest.mark.parametrize("out", ["files"], indirect=True)
def test_another_outbox_than_the_logs_is_refused(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    intent(capsys, out, "events", "push", written(out, event(1), event(2)))
    intent(capsys, out, "apply")
    (out / "stream" / "outbox.db").rename(out / "elsewhere.db")
    intent(capsys, out, "events", "push", written(out, event(3)))
    intent(capsys, out, "apply", expect=1)
    intent(capsys, out, "events", "push", written(out, event(4), event(5)))  # as long as the other, and longer
    intent(capsys, out, "apply", expect=1)
    intent(capsys, out, "materialize", "--at", datetime.now(UTC).isoformat())
    intent(capsys, out, "events", "consume", "--once", expect=2)
