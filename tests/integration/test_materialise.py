"""A run's online store, written in place: forward in time, resumable, beside what was pushed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from feature_repo.errors import DependencyDown, InputError
from tests.small_shop import write_log
from training.dataset.log_manifest import hash_log, write_log_manifest
from training.pipelines.feature_store import derive_features, materialise, open_store
from training.progress import Silent

END = datetime(2001, 3, 1, tzinfo=UTC)
VIEWS = ["user_profile", "user_history", "user_baskets"]
FEATURES = ["user_profile:area", "user_history:lifetime_baskets", "user_baskets:basket_at"]
CUSTOMERS = [f"{number:06d}" for number in range(60)]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    write_log(tmp_path, customers=60)
    write_log_manifest(tmp_path, hash_log(tmp_path), {})
    derive_features(tmp_path, Silent())
    return tmp_path


def online(store: Any) -> list[tuple[Any, ...]]:
    found = store.get_online_features(FEATURES, [{"user_id": user} for user in CUSTOMERS]).to_dict()
    return list(zip(*(found[name.split(":")[1]] for name in FEATURES), strict=True))


def offline(store: Any, at: datetime) -> list[tuple[Any, ...]]:
    rows = pd.DataFrame({"user_id": CUSTOMERS, "event_timestamp": [at] * len(CUSTOMERS)})
    found = store.get_historical_features(rows, FEATURES).to_arrow().to_pydict()
    # A customer without a basket has no row online, and an empty list offline.
    columns = [[cell if cell != [] else None for cell in found[name.split(":")[1]]] for name in FEATURES]
    return list(zip(*columns, strict=True))


def without_time_to_live(store: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Read as of the log's end; what Feast serves is judged by the clock, and this log is long past."""
    from intent_stores import packed_online_store

    monkeypatch.setattr(packed_online_store, "microseconds", lambda at: int(END.timestamp()) * 1_000_000)
    return store


def test_online_equals_offline_run_after_run(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = without_time_to_live(open_store(out), monkeypatch)
    first = materialise(out, END - timedelta(days=30), Silent(), views=VIEWS)
    assert online(store) == offline(store, END - timedelta(days=30))
    assert materialise(out, END - timedelta(days=29), Silent(), views=VIEWS, only_new=True)["user_history"] < 60
    assert online(store) == offline(store, END - timedelta(days=29))
    assert materialise(out, END, Silent(), views=VIEWS)["user_history"] >= first["user_history"]
    assert online(store) == offline(store, END)


def test_an_earlier_moment_is_refused_unless_the_store_is_rebuilt(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, earlier = without_time_to_live(open_store(out), monkeypatch), END - timedelta(days=60)
    materialise(out, END, Silent(), views=VIEWS)
    with pytest.raises(InputError, match=r"2001-03-01 00:00:00 UTC.*--rebuild"):
        materialise(out, earlier, Silent(), views=VIEWS)
    assert online(store) == offline(store, END)
    materialise(out, earlier, Silent(), views=VIEWS, rebuild=True)
    assert online(store) == offline(store, earlier)


def test_a_replay_beside_the_store_changes_nothing_in_it(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, earlier = without_time_to_live(open_store(out), monkeypatch), END - timedelta(days=60)
    materialise(out, END, Silent(), views=VIEWS)
    replay = {"online": out / "feast" / "replay.db", "project": "replay", "views": VIEWS}
    for moment in (END, earlier):
        materialise(out, moment, Silent(), **replay)
        beside = open_store(out, replay["online"], "replay")
        assert online(beside) == offline(beside, moment)
    assert online(store) == offline(store, END)
    materialise(out, END + timedelta(days=1), Silent(), views=VIEWS, only_new=True)


def test_a_ledger_that_is_away_is_a_dependency(out: Path) -> None:
    with pytest.raises(DependencyDown, match="no watermark has moved"):
        materialise(out, END, Silent(), views=VIEWS, ledger="postgresql://nobody@127.0.0.1:9/none")
