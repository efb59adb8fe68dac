"""Leaks in tasks over events of all types: each stops the build, by name."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo import derived_tables
from feature_repo.errors import FeatureError, SplitError
from tests import clickstream_shop as shop
from training.dataset.anchor_sessions import SessionAnchors
from training.pipelines.build_dataset import BuildOptions, build_dataset
from training.pipelines.feature_store import apply, derive_features, open_store
from training.progress import Silent

PAUSE = timedelta(minutes=30)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop.make_run(tmp_path_factory.mktemp("clicks") / "run")


def build(out: Path, folder: Path, name: str = "purchase_in_session", anchors: Path | None = None) -> None:
    options = BuildOptions(anchors=anchors, folder=folder)
    build_dataset(open_store(out), shop.settings_of(name), out, Silent(), options)


def test_events_that_are_known_one_second_early_are_named(tmp_path, monkeypatch) -> None:
    query = derived_tables.DERIVED_TABLES["user_events"]
    honest = "SELECT user_id, event_timestamp, created_timestamp,"
    assert honest in query
    early = (
        "SELECT user_id, event_timestamp - INTERVAL 1 SECOND AS event_timestamp, "
        "created_timestamp - INTERVAL 1 SECOND AS created_timestamp,"
    )
    monkeypatch.setitem(derived_tables.DERIVED_TABLES, "user_events", query.replace(honest, early))
    shop.write_log(tmp_path, shop.events())
    derive_features(tmp_path, Silent())
    apply(open_store(tmp_path), tmp_path)
    with pytest.raises(FeatureError, match="event_at"):
        build(tmp_path, tmp_path / "dataset")
    assert not (tmp_path / "dataset" / "manifest.json").exists()


def test_the_label_s_own_event_among_the_features_is_named(log, tmp_path, monkeypatch) -> None:
    """Anchors a moment too late: the purchase that the label is about is among the events known by then."""
    path = tmp_path / "anchors.parquet"
    rows = [row for row in shop.events() if row["event_type"] == "purchase"]
    bought = pa.table(
        {"user_id": [r["user_id"] for r in rows], "event_timestamp": [r["event_timestamp"] for r in rows]}
    )
    other = [row for row in shop.events() if row["event_type"] == "view"][:: max(1, 2000 // len(rows))]
    viewed = pa.table(
        {"user_id": [r["user_id"] for r in other], "event_timestamp": [r["event_timestamp"] for r in other]}
    )
    both = pa.concat_tables([bought, viewed])
    label = np.repeat([1, 0], [bought.num_rows, viewed.num_rows]).astype(np.int8)
    split = np.full(both.num_rows, "train")
    pq.write_table(both.append_column("label", pa.array(label)).append_column("split", pa.array(split)), path)
    with pytest.raises(FeatureError, match=r"implausibly well .*session_purchase_share"):
        build(log, tmp_path / "dataset", "add_to_cart", path)


@pytest.mark.parametrize("own", [False, True])
def test_sessions_that_are_cut_at_the_purchase_of_buyers_only_are_refused(log, tmp_path, own) -> None:
    """Who bought is asked before the purchase, who did not at the session's end: the length says which.

    With sessions of the shop's own, here those of an hour of the clock, some go on without a pause.
    """
    sessions: list[list[dict]] = []
    for row in sorted(shop.events(), key=lambda r: (r["user_id"], r["event_timestamp"])):
        last = sessions[-1][-1] if sessions else None
        if (
            last is None
            or last["user_id"] != row["user_id"]
            or row["event_timestamp"] - last["event_timestamp"] >= PAUSE
            or (own and row["event_timestamp"].hour != last["event_timestamp"].hour)
        ):
            sessions.append([])
        sessions[-1].append(row)
    rows = []
    for session in sessions:
        bought = next((i for i, row in enumerate(session) if row["event_type"] == "purchase"), None)
        if bought is None:
            rows.append(session[-1] | {"label": 0})
        elif session[0]["event_timestamp"] < session[bought]["event_timestamp"]:
            before = [r for r in session if r["event_timestamp"] < session[bought]["event_timestamp"]]
            rows.append(before[-1] | {"label": 1})
    table = pa.table({name: [row[name] for row in rows] for name in ("user_id", "event_timestamp", "label")})
    pq.write_table(table.append_column("split", pa.array(["train"] * len(rows))), tmp_path / "cut.parquet")
    some = "[1-9][0-9]* have" if own else "0 have"
    with pytest.raises(SplitError, match=rf"only {some} .* cut by the same rule whoever buys"):
        build(log, tmp_path / "dataset", anchors=tmp_path / "cut.parquet")


def test_a_random_split_of_overlapping_windows_is_refused(log, tmp_path) -> None:
    settings = shop.settings_of("purchase_in_session")
    anchors = pa.concat_tables(chunk.anchors for chunk in SessionAnchors(log, settings, 10_000).chunks() if chunk.split)
    split = np.random.default_rng(0).choice(["train", "validation", "test"], anchors.num_rows, p=[0.6, 0.2, 0.2])
    pq.write_table(anchors.append_column("split", pa.array(split)), tmp_path / "random.parquet")
    with pytest.raises(SplitError, match="'train' and 'validation' are too close"):
        build(log, tmp_path / "dataset", anchors=tmp_path / "random.parquet")
