"""Rows that are held between reads beside rows that are read anew each time: nobody can tell which is which."""

import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intent_stores import held_rows
from intent_stores.errors import OnlineKeyError
from intent_stores.held_rows import HoldingReader
from intent_stores.packed_codec import RowTimes, encode_rows
from intent_stores.packed_keys import entity_keys
from intent_stores.packed_reader import WRITINGS, Fetched, PackedReader
from intent_stores.packed_sqlite import PackedSqliteFile
from intent_stores.packed_view import PackedView, ViewColumns
from intent_stores.ragged_column import Ragged

FIELDS = {"title": "String", "price": "Float64", "sold": "Int64", "new": "Bool"}
ITEMS = PackedView("items", FIELDS, ("item_id",), ttl_us=60)
OTHER = PackedView("items", FIELDS | {"brand": "String"}, ("item_id",), ttl_us=60)
DEMAND = PackedView("demand", {"sold": "Int64"}, ("item_id",))
USERS = PackedView("users", {"seen": "Array(Int64)"}, ("user_id",))
VIEWS = [USERS, ITEMS, DEMAND]
IDS = [f"i{number}" for number in range(6)]

writings = st.tuples(
    st.sampled_from([ITEMS, OTHER, DEMAND]), st.lists(st.sampled_from(IDS), unique=True), st.integers(0, 100)
)
readings = st.tuples(st.lists(st.sampled_from([*IDS, "unknown"]), min_size=1), st.integers(0, 200), st.booleans())
steps = st.lists(st.one_of(writings, readings, st.sampled_from(["drop", "copy", "put back"])), min_size=1, max_size=12)


def write(store: PackedSqliteFile, view: PackedView, ids: list[str], event: int) -> None:
    n = len(ids)
    columns = {
        "title": np.array([None if place % 3 == 0 else f"t{event}{item}" for place, item in enumerate(ids)], object),
        "price": np.array([np.nan if place % 2 else event + place / 2 for place in range(n)]),
        "sold": np.arange(n) + event,
        "new": np.arange(n) % 2 == 1,
    }
    given = {name: values for name, values in columns.items() if name in view.fields}
    valid = {"sold": np.arange(n) % 4 != 3}
    values = encode_rows(view.schema, given, RowTimes.of(np.full(n, event)), valid)
    store.write(view.name, entity_keys(["item_id"], {"item_id": ids}), values)


def same(one: dict[str, ViewColumns], other: dict[str, ViewColumns]) -> None:
    assert list(one) == list(other)
    for name, found in one.items():
        for field in ("status", "reason", "age_us", "event_us"):
            assert getattr(found, field).tolist() == getattr(other[name], field).tolist()
        assert found.values.keys() == other[name].values.keys()
        for field, values in found.values.items():
            assert found.valid[field].tolist() == other[name].valid[field].tolist()
            if not isinstance(values, Ragged):
                assert values.dtype == other[name].values[field].dtype
                np.testing.assert_array_equal(values, other[name].values[field])


@given(steps=steps)
def test_nobody_can_tell_a_row_that_is_held(steps: list) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file, copy = Path(folder) / "online.db", Path(folder) / "copy"
        holding = HoldingReader(PackedSqliteFile(file, "shop"), [ITEMS, DEMAND])
        for step in steps:
            store = PackedSqliteFile(file, "shop")
            if step == "drop":
                store.drop(ITEMS.name)
            elif step == "copy" and file.exists():
                copy.write_bytes(file.read_bytes())
            elif step == "put back" and copy.exists():
                shutil.copyfile(copy, file.with_suffix(".new"))
                file.with_suffix(".new").replace(file)
                for left in Path(folder).glob("online.db-*"):
                    left.unlink()
            elif isinstance(step[0], PackedView):
                write(store, *step)
            elif not isinstance(step, str):
                ids, at, keep_stale = step
                asked = {"user_id": ["u"], "item_id": ids}
                for _ in range(2):  # the second time the rows are held
                    found = holding.read_columns(VIEWS, asked, at, keep_stale)
                    same(found, PackedReader(store).read_columns(VIEWS, asked, at, keep_stale))
            store.close()
        assert isinstance(holding.counts, dict)
        holding.close()


class Counting(PackedSqliteFile):
    """Notes how many rows are read."""

    read = 0

    def fetch(self, wanted):
        self.read += sum(len(keys) for name, keys in wanted if name != WRITINGS)
        return super().fetch(wanted)


def test_a_row_is_read_once_until_its_view_is_written(tmp_path: Path) -> None:
    store = Counting(tmp_path / "online.db", "shop")
    write(store, ITEMS, IDS, 5)
    write(store, DEMAND, IDS, 5)
    reader = HoldingReader(store, [ITEMS])
    for ids, read in ([IDS[:2], 2], [IDS[:2], 0], [IDS[:3], 1], [["unknown"], 1], [["unknown"], 0]):
        store.read = 0
        reader.read_columns([ITEMS], {"item_id": ids}, 10)
        assert store.read == read
    for view, read in ([DEMAND, 0], [ITEMS, 3]):
        write(store, view, IDS[:1], 6)
        store.read = 0
        reader.read_columns([ITEMS], {"item_id": IDS[:3]}, 10)
        assert store.read == read


@pytest.mark.parametrize("ids", [[1, 2], ["1", "2"], [b"1"], np.array([2, 1]), np.array(["1"]), [True], ["\ud800"], []])
def test_any_kind_of_id_is_taken_or_refused_as_without(tmp_path: Path, ids) -> None:
    store = PackedSqliteFile(tmp_path / "online.db", "shop")
    write(store, ITEMS, [1, 2], 5)
    write(store, ITEMS, ["1", "2"], 6)
    holding, plain = HoldingReader(store, [ITEMS]), PackedReader(store)
    for reader in (holding, plain):
        reader.read_columns([ITEMS], {"item_id": ["1", "2"]}, 10)  # what is held must not answer for another kind
    answers = []
    for reader in (holding, plain, holding):
        try:
            answers.append(reader.read_columns([ITEMS], {"item_id": ids}, 10))
        except OnlineKeyError as error:
            answers.append(str(error))
    for answer in answers[1:]:
        if isinstance(answer, str):
            assert answer == answers[0]
        else:
            same(answers[0], answer)


def test_no_more_rows_are_held_than_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_rows, "MOST_ROWS", 3)
    store = Counting(tmp_path / "online.db", "shop")
    write(store, ITEMS, IDS, 5)
    reader = HoldingReader(store, [ITEMS])
    for ids in (IDS[:2], IDS[2:4], IDS[:1], IDS):
        found = reader.read_columns([ITEMS], {"item_id": ids}, 10)["items"]
        same({"items": found}, PackedReader(store).read_columns([ITEMS], {"item_id": ids}, 10))


def test_a_store_that_is_away_is_told(tmp_path: Path) -> None:
    class Away(PackedSqliteFile):
        away: frozenset[str] = frozenset()

        def fetch(self, wanted):
            if self.away & {name for name, _ in wanted}:
                return Fetched([[None] * len(keys) for _, keys in wanted], "away")
            return super().fetch(wanted)

    store = Away(tmp_path / "online.db", "shop")
    write(store, ITEMS, IDS, 5)
    reader = HoldingReader(store, [ITEMS])
    for away in ({WRITINGS}, {"items"}):
        store.away = frozenset(away)
        found = reader.read_columns([ITEMS], {"item_id": IDS[:2]}, 10)["items"]
        assert found.reason.tolist() == ["away", "away"]
    store.away = frozenset()
    assert reader.read_columns([ITEMS], {"item_id": IDS[:2]}, 10)["items"].status.tolist() == ["fresh", "fresh"]


def test_readers_of_several_threads_see_what_a_writer_wrote(tmp_path: Path) -> None:
    store = PackedSqliteFile(tmp_path / "online.db", "shop")
    write(store, DEMAND, IDS, 0)
    reader, wrong, done = HoldingReader(store, [DEMAND]), [], threading.Event()

    def read() -> None:
        seen = 0
        while not done.is_set():
            found = reader.read_columns([DEMAND], {"item_id": IDS}, 10**6)["demand"]
            event = int(found.event_us.min())
            if event < seen or found.values["sold"].tolist()[:3] != [event, event + 1, event + 2]:
                wrong.append((seen, found))
            seen = event

    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    for event in range(1, 60):
        write(store, DEMAND, IDS, event)
        now = reader.read_columns([DEMAND], {"item_id": IDS[:1]}, 10**6)["demand"]
        assert now.event_us.tolist() == [event]
    done.set()
    for thread in readers:
        thread.join()
    assert not wrong
