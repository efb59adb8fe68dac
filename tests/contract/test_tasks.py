"""One suite for every task over a log that is found below training/tasks: a new module is covered without an edit."""

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.errors import FeatureError, InputError, SettingsError, SourceDataError, SplitError
from services.golden_check import check_golden
from services.scoring import Scorer
from tests import clickstream_shop as shop
from training.evaluation.predictions import Predictions
from training.pipelines.build_dataset import BuildOptions, build_dataset, read_split, read_test_labels
from training.pipelines.evaluate import evaluate_run
from training.pipelines.feature_store import open_store
from training.pipelines.figures import figures_of
from training.pipelines.fit import fit_run
from training.pipelines.publish import make_bundle
from training.progress import Silent
from training.settings import Settings
from training.tasks import task_named, task_names

PAUSE = timedelta(minutes=30)
LOG_TASKS = [name for name in task_names() if not task_named(name).of_table]


def test_the_suite_knows_every_task() -> None:
    assert sorted(shop.TASKS) == LOG_TASKS


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop.make_run(tmp_path_factory.mktemp("clicks") / "run")


@pytest.fixture(scope="module", params=LOG_TASKS)
def run(request: pytest.FixtureRequest, log: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Path]:
    """The task's settings, and a run in which its data set was built and two members were trained."""
    settings, out = shop.settings_of(request.param), tmp_path_factory.mktemp(request.param) / "run"
    shutil.copytree(log, out)
    store = open_store(log)  # its sources lie there
    build_dataset(store, settings, out, Silent(), BuildOptions())
    fit_run(settings, out, ["boosted_trees", "recency"], Silent())
    evaluate_run(settings, out, Silent())
    return settings, out


def anchors_of(out: Path, split: str) -> list[dict]:
    table = read_split(out, split)
    if split == "test":
        table = table.append_column("label", read_test_labels(out)["label"])
    names = ("user_id", "item_id", "event_timestamp", "label", "session_prefix")
    return table.select([name for name in names if name in table.column_names]).to_pylist()


def by_user() -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for row in sorted(shop.events(), key=lambda row: (row["event_timestamp"], row["event_id"])):
        found.setdefault(row["user_id"], []).append(row)
    return found


def expected_dated(settings: Settings) -> dict[tuple, int]:
    """Anchors and labels, straight from the events, one by one."""
    name, horizon, found = settings.task.name, settings.task.horizon, {}
    zone, day = ZoneInfo(shop.ZONE), datetime(2021, 3, 3)
    while (at := day.replace(tzinfo=zone)) + horizon <= datetime(2021, 3, 13, tzinfo=zone):
        for user, rows in by_user().items():
            before = [row for row in rows if row["event_timestamp"] < at]
            window = [row for row in rows if at < row["event_timestamp"] <= at + horizon]
            kinds = {row["event_type"] for row in window}
            if not before:
                continue
            if name == "purchase_of_item":
                since = at - timedelta(days=settings.task.lookback_days)
                for item in {row["item_id"] for row in before if row["event_timestamp"] >= since}:
                    bought = {row["item_id"] for row in window if row["event_type"] == "purchase"}
                    found[user, item, at] = int(item in bought)
            else:
                label = {"churn": not window, "add_to_cart": "add_to_cart" in kinds}.get(name, "purchase" in kinds)
                found[user, None, at] = int(label)
        day += timedelta(days=1)
    return found


def expected_sessions(settings: Settings) -> dict[tuple, tuple[int, datetime]]:
    """(user, k, t) → (label, end of the session), straight from the events, one by one."""
    found = {}
    for user, rows in by_user().items():
        if user in settings.anchors.exclude:
            continue
        sessions: list[list[dict]] = []
        for row in rows:
            if not sessions or row["event_timestamp"] - sessions[-1][-1]["event_timestamp"] >= PAUSE:
                sessions.append([])
            sessions[-1].append(row)
        for session in sessions:
            for k in settings.task.prefixes:
                if len(session) >= k:
                    at = session[k - 1]["event_timestamp"]
                    later = [row for row in session if row["event_timestamp"] > at]
                    label = int(any(row["event_type"] == "purchase" for row in later))
                    found[user, k, at] = (label, session[-1]["event_timestamp"])
    return found


def test_anchors_and_labels_are_those_of_the_events(run) -> None:
    settings, out = run
    found = {split: anchors_of(out, split) for split in ("train", "validation", "test")}
    rows = [row for part in found.values() for row in part]
    if not task_named(settings.task.name).in_sessions:
        expected = expected_dated(settings)
        assert {(r["user_id"], r.get("item_id"), r["event_timestamp"]): r["label"] for r in rows} == expected
        assert len(rows) == len(expected)
        return
    train_until, validation_until, log_end = settings.borders
    kept = {}
    for key, (label, until) in expected_sessions(settings).items():
        border = train_until if key[2] < train_until else validation_until
        if validation_until <= key[2] < log_end or until <= border:
            kept[key] = label
    assert {(r["user_id"], r["session_prefix"], r["event_timestamp"]): r["label"] for r in rows} == kept
    assert len(rows) == len(kept) < len(expected_sessions(settings))


def test_no_label_window_reaches_into_the_next_split(run) -> None:
    settings, out = run
    ends = dict(zip(("train", "validation"), settings.borders, strict=False))
    sessions = task_named(settings.task.name).in_sessions
    whole = expected_sessions(settings) if sessions else {}
    for split, end in ends.items():
        for row in anchors_of(out, split):
            at = row["event_timestamp"]
            until = whole[row["user_id"], row["session_prefix"], at][1] if sessions else at + settings.task.horizon
            assert until <= end


def test_both_members_beat_the_base_rate_and_the_figures_are_told(run) -> None:
    settings, out = run
    (table,) = figures_of(settings, out)
    told = {figure.who: figure.measures for figure in table.figures}
    assert {"boosted_trees", "recency", "ensemble"} == set(told)
    assert max(told[name]["roc_auc"] for name in ("boosted_trees", "recency")) > 0.52
    assert all(np.isfinite(value) for name in told for value in told[name].values())
    assert table.rows == read_split(out, "test").num_rows


def test_what_was_judged_names_every_anchor_with_its_item(run, tmp_path) -> None:
    """Two runs about items are the same test only if the items are; a test of other items is not that of the scores."""
    settings, out = run
    judged = Predictions.read(out / "test_predictions.parquet")
    rows = anchors_of(out, "test")
    assert judged.user_id.tolist() == [row["user_id"] for row in rows]
    if "item_id" not in rows[0]:
        assert judged.item_id is None
        return
    assert judged.item_id.tolist() == [row["item_id"] for row in rows]
    other = tmp_path / "other"
    shutil.copytree(out, other)
    part = next((other / "dataset" / "test").glob("*.parquet"))
    table = pq.read_table(part)
    items = pa.array(["another", *table["item_id"].to_pylist()[1:]])
    pq.write_table(table.set_column(table.schema.get_field_index("item_id"), "item_id", items), part)
    with pytest.raises(SourceDataError, match="do not fit the data set's"):
        evaluate_run(settings, other, Silent())


def test_the_manifest_says_the_task_and_what_was_cut_off(run) -> None:
    settings, out = run
    manifest = json.loads((out / "dataset" / "manifest.json").read_text())
    assert manifest["task"]["name" if settings.task.name != "purchase_within_horizon" else "horizon_hours"]
    assert manifest["leak_checks"]["gap_between_splits"]["checked"]
    if task_named(settings.task.name).in_sessions:
        assert manifest["censored"]["excluded customers"] == 1
        assert manifest["dropped_anchors"] > 0
    else:
        assert manifest["dropped"]


def test_only_what_the_service_can_look_up_is_packed(run) -> None:
    settings, out = run
    if settings.task.name == "purchase_within_horizon":
        bundle = make_bundle(settings, out)
        assert bundle.manifest["features"]["service"] == "customer_events"
        assert bundle.manifest["features"]["calendar"]["zone"] == shop.ZONE
        assert check_golden(bundle, Scorer(bundle)) <= 1e-5
        return
    with pytest.raises(InputError, match="cannot be served yet; expected a task on customers"):
        make_bundle(settings, out)


def test_what_lies_in_the_test_period_moves_nothing_that_was_fitted(run, tmp_path) -> None:
    """Scales, vocabularies, fills, trees: a test period a thousand times as large gives the same bytes."""
    settings, out = run
    moved = tmp_path / "moved"
    shutil.copytree(out, moved)
    for part in (moved / "dataset" / "test").glob("*.parquet"):
        table = pq.read_table(part)
        for place, field in enumerate(table.schema):
            if pa.types.is_floating(field.type):
                table = table.set_column(place, field, pa.array(table[field.name].to_numpy() * 1000 + 7))
            elif pa.types.is_string(field.type) and field.name in ("area", "brand"):
                table = table.set_column(place, field, pa.array(["elsewhere"] * table.num_rows))
        pq.write_table(table, part)
    fit_run(settings, moved, ["boosted_trees", "recency"], Silent())
    for path in [*(out / "members").rglob("*.*"), out / "ensemble.json"]:
        assert (moved / path.relative_to(out)).read_bytes() == path.read_bytes(), path.name
    parts = sorted((out / "dataset" / "test").glob("*.parquet"))
    assert any((moved / part.relative_to(out)).read_bytes() != part.read_bytes() for part in parts)


def test_a_feature_that_tells_the_labels_of_the_test_period_stops_the_evaluation(run, tmp_path) -> None:
    settings, out = run
    leaking = tmp_path / "leaking"
    shutil.copytree(out, leaking)
    told, begun = read_test_labels(out)["label"].cast(pa.float64()), 0
    for part in sorted((leaking / "dataset" / "test").glob("*.parquet")):
        table = pq.read_table(part)
        own = told.slice(begun, table.num_rows)
        begun += table.num_rows
        place = table.schema.get_field_index("lifetime_revenue")
        pq.write_table(table.set_column(place, "lifetime_revenue", own), part)
    with pytest.raises(
        FeatureError, match=r"implausibly well by themselves: got an AUC of .*lifetime_revenue \(1\.000\)"
    ):
        evaluate_run(settings, leaking, Silent())


def test_an_unknown_task_is_told_the_known() -> None:
    with pytest.raises(SettingsError, match=r"got 'clairvoyance'; expected one of add_to_cart, churn, purchase_in_ses"):
        task_named("clairvoyance")


def test_a_split_without_anchors_is_refused(log, tmp_path) -> None:
    settings = shop.settings_of("purchase_in_session")
    late = {"train_until": "2021-03-08", "validation_until": "2021-03-12T23:59:59", "log_end": "2021-03-13"}
    settings = Settings.model_validate(settings.model_dump() | {"splits": late})
    with pytest.raises(SplitError, match=r"'test' has 0 anchors"):
        build_dataset(open_store(log), settings, log, Silent(), BuildOptions(folder=tmp_path / "dataset"))


def test_labels_of_one_class_are_refused(log, tmp_path) -> None:
    settings = shop.settings_of("purchase_in_session", prefixes=[40])
    with pytest.raises(SplitError, match="expected both classes"):
        build_dataset(open_store(log), settings, log, Silent(), BuildOptions(folder=tmp_path / "dataset"))
