"""A leak of any kind stops the build, by the name of the feature, and leaves no data set that anybody would read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo import derived_tables
from feature_repo.errors import FeatureError, SplitError
from tests.small_shop import SETTINGS, build, make_run, rule_anchors, write_log
from training.dataset.leakage_checks import IMPLAUSIBLE_AUC
from training.pipelines.dataset_folder import read_split
from training.pipelines.feature_store import apply, derive_features, open_store
from training.progress import Silent

MONDAYS = [datetime(2000, 12, 4, tzinfo=UTC) + timedelta(weeks=week) for week in range(12)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("honest") / "run", customers=200)


def refused(out: Path, error: type[Exception], match: str, **options: object) -> None:
    """The build ends in `error`, and without a manifest."""
    with pytest.raises(error, match=match):
        build(out, out / "dataset", **options)
    assert not (out / "dataset" / "manifest.json").exists()
    with pytest.raises(Exception, match="No data set"):
        read_split(out, "train")


def test_honest_features_pass_and_the_manifest_says_what_was_checked(shop) -> None:
    report = build(shop, shop / "honest")
    checks = report.leak_checks
    assert checks["gap_between_splits"] == {"horizon_days": 7.0, "shortest_days": 7.0, "checked": True}
    assert checks["single_feature"]["implausible_auc"] == IMPLAUSIBLE_AUC
    assert 0.5 < checks["single_feature"]["auc"] < IMPLAUSIBLE_AUC
    assert checks["planted_events"]["changed"] == []
    assert checks["planted_events"]["anchors"] >= 150


RUNNING = "PARTITION BY user_id ORDER BY known_at"
LEAKS = {
    "a total that runs one row ahead": (
        "user_history",
        {
            "sum(items) OVER running::": (
                f"sum(items) OVER ({RUNNING} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING)::"
            )
        },
        "distinct_items",
    ),
    "the label's own event": (
        "user_history",
        {
            "sum(lines) OVER running::": (
                f"sum(lines) OVER ({RUNNING} RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL 7 DAYS FOLLOWING)::"
            )
        },
        "lifetime_lines",
    ),
    "baskets dated a week early": (
        "user_baskets",
        {
            "max(event_timestamp) AS event_timestamp,": "max(event_timestamp) - INTERVAL 7 DAYS AS event_timestamp,",
            "known_at AS created_timestamp": "known_at - INTERVAL 7 DAYS AS created_timestamp",
        },
        "basket_at",
    ),
    "one second ahead": (
        "user_history",
        {
            "OVER running AS event_timestamp": "OVER running - INTERVAL 1 SECOND AS event_timestamp",
            "known_at AS created_timestamp": "known_at - INTERVAL 1 SECOND AS created_timestamp",
        },
        "last_purchase_at.*lifetime_",
    ),
    "known when it happened, however late it came": (
        "user_baskets",
        {"known_at AS created_timestamp": "max(event_timestamp) AS created_timestamp"},
        "basket_",
    ),
    "a profile that is known before it is": (
        "user_profile",
        {"created_timestamp, age_group": "event_timestamp AS created_timestamp, age_group"},
        "age_group",
    ),
}


@pytest.mark.parametrize("kind", LEAKS)
def test_a_table_that_leaks_is_named(kind, tmp_path, monkeypatch) -> None:
    table, changes, named = LEAKS[kind]
    query = derived_tables.DERIVED_TABLES[table]
    for honest, leaking in changes.items():
        assert honest in query
        query = query.replace(honest, leaking)
    monkeypatch.setitem(derived_tables.DERIVED_TABLES, table, query)
    write_log(tmp_path, customers=120)
    derive_features(tmp_path, Silent())
    apply(open_store(tmp_path), tmp_path)
    refused(tmp_path, FeatureError, named)


def with_label(shop: Path, out: Path, label) -> Path:
    """Anchors of the rule, under another label; the run beside is the shop's."""
    anchors = rule_anchors(shop, *MONDAYS)
    path = out / "anchors.parquet"
    pq.write_table(anchors.set_column(2, "label", pa.array(label(anchors).astype(np.int8))), path)
    return path


def test_a_number_that_gives_the_label_away_is_named(shop, tmp_path) -> None:
    known = build(shop, tmp_path / "first", anchors=with_label(shop, tmp_path, lambda a: np.arange(a.num_rows) % 2))
    assert known.rows > 0
    spent = pa.concat_tables(
        [pq.read_table(part) for part in sorted((tmp_path / "first").glob("t*/part*.parquet"))],
        promote_options="default",
    ).select(["user_id", "event_timestamp", "lifetime_revenue"])
    spent = spent.append_column("label", pa.array(spent["lifetime_revenue"].to_numpy() > 200))
    pq.write_table(spent.drop_columns(["lifetime_revenue"]), tmp_path / "spent.parquet")
    with pytest.raises(FeatureError, match=r"implausibly well .*lifetime_revenue \(1\.000\).* between 0\.05 and 0\.95"):
        build(shop, tmp_path / "second", anchors=tmp_path / "spent.parquet")
    assert not (tmp_path / "second" / "manifest.json").exists()


def test_a_text_that_gives_the_label_away_is_named(shop, tmp_path) -> None:
    def lives_there(anchors: pa.Table) -> np.ndarray:
        return np.array([int(user) % 5 == 3 for user in anchors["user_id"].to_pylist()])

    with pytest.raises(FeatureError, match=r"area \(1\.000\)"):
        build(shop, tmp_path / "dataset", anchors=with_label(shop, tmp_path, lives_there))


@pytest.mark.parametrize(("gap", "good"), [(timedelta(days=7), True), (timedelta(days=7, microseconds=-1), False)])
def test_splits_closer_than_the_horizon_are_refused_before_anything_is_joined(shop, tmp_path, gap, good) -> None:
    anchors = rule_anchors(shop, MONDAYS[0], MONDAYS[2]).to_pandas()
    earlier = anchors["event_timestamp"] == MONDAYS[0]
    anchors["split"] = np.where(earlier, "train", "validation")
    anchors.loc[~earlier, "event_timestamp"] = MONDAYS[0] + gap
    anchors.to_parquet(tmp_path / "anchors.parquet")
    if good:
        assert build(shop, tmp_path / "dataset", anchors=tmp_path / "anchors.parquet").rows == len(anchors)
        return
    with pytest.raises(SplitError, match="'train' and 'validation' are too close"):
        build(shop, tmp_path / "dataset", anchors=tmp_path / "anchors.parquet")
    assert not list((tmp_path / "dataset").glob("*"))


def test_the_same_settings_with_a_longer_horizon_find_no_room(shop, tmp_path) -> None:
    longer = SETTINGS.model_copy(update={"task": SETTINGS.task.model_copy(update={"horizon_days": 60})})
    with pytest.raises(SplitError, match="no anchor date"):
        build(shop, tmp_path / "dataset", settings=longer)
