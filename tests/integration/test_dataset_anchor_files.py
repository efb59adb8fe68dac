"""Anchors from a file: row for row, in its order, with its own columns; and what cannot be used is refused."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from feast import FeatureService

from feature_repo.errors import FeatureError, InputError, SourceDataError, SplitError
from tests.small_shop import SETTINGS, build, content, make_run, rule_anchors, split_table
from training.dataset.point_in_time import join_features
from training.dataset.service_definition import describe_service
from training.pipelines.feature_store import SERVICE, open_store

DAYS = [datetime(2000, 12, 4, tzinfo=UTC), datetime(2001, 1, 15, tzinfo=UTC), datetime(2001, 2, 5, tzinfo=UTC)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("anchors") / "run", customers=120)


@pytest.fixture(scope="module")
def frame(shop) -> pd.DataFrame:
    """Anchors in no order, some twice, at any time of the day, one of a stranger, one of nobody, with other columns."""
    rng = np.random.default_rng(3)
    whole = rule_anchors(shop, *DAYS).to_pandas()
    rows = whole.iloc[rng.integers(0, len(whole), 400)].reset_index(drop=True)
    rows["event_timestamp"] += pd.to_timedelta(rng.integers(0, 6 * 86_400_000_000, 400), unit="us")
    rows.loc[7, "user_id"] = "stranger"
    rows.loc[8, "user_id"] = None
    rows["weight"] = rng.random(400)
    rows["campaign"] = pd.Categorical(rng.choice(["spring", "autumn"], 400))
    rows["place"] = np.arange(400)
    return rows


@pytest.fixture
def unchecked(monkeypatch) -> None:
    """Builds without leak checks, for tests of something else."""
    monkeypatch.setattr("training.pipelines.build_dataset.check_for_leaks", lambda *arguments: {})


def written(frame: pd.DataFrame, path: Path) -> Path:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if path.suffix == ".csv":
        csv.write_csv(
            table.set_column(table.column_names.index("campaign"), "campaign", table["campaign"].cast(pa.string())),
            path,
        )
    else:
        pq.write_table(table, path, row_group_size=37)
    return path


@pytest.mark.parametrize("chunk_rows", [1_000, 64])
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.usefixtures("unchecked")
def test_without_settings_every_row_comes_out_in_order_with_its_columns(
    shop, frame, tmp_path, suffix, chunk_rows
) -> None:
    path = written(frame, tmp_path / f"anchors{suffix}")
    report = build(shop, tmp_path / "dataset", settings=None, anchors=path, chunk_rows=chunk_rows)
    found = split_table(tmp_path / "dataset", "all")
    assert report.rows == found.num_rows == len(frame)
    assert len(list((tmp_path / "dataset" / "all").glob("*"))) == -(-len(frame) // chunk_rows)
    for name in frame.columns:
        assert found[name].to_pylist() == frame[name].astype(object).where(frame[name].notna(), None).tolist(), name
    straight = join_features(open_store(shop), SERVICE, rule_like(frame))
    for name in describe_service(open_store(shop), SERVICE).features:
        assert found[name].combine_chunks().equals(straight[name].combine_chunks()), name


def rule_like(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame[["user_id", "event_timestamp"]], preserve_index=False)


@pytest.mark.usefixtures("unchecked")
def test_the_dates_of_the_settings_split_the_rows_and_drop_what_they_cut(shop, frame, tmp_path) -> None:
    report = build(shop, tmp_path / "dataset", anchors=written(frame, tmp_path / "anchors.parquet"), chunk_rows=100)
    week = timedelta(days=7)
    borders = [
        datetime(1970, 1, 1, tzinfo=UTC),
        *(datetime(*day, tzinfo=UTC) for day in ((2001, 1, 15), (2001, 2, 5), (2001, 3, 1))),
    ]
    written_rows = 0
    for name, begin, end in zip(("train", "validation", "test"), borders[:-1], borders[1:], strict=True):
        inside = (frame["event_timestamp"] >= begin) & (frame["event_timestamp"] + week <= end)
        table = split_table(tmp_path / "dataset", name)
        assert table["place"].to_pylist() == frame["place"][inside].tolist()
        written_rows += table.num_rows
        if name == "test":
            assert "label" not in table.column_names
            labels = split_table(tmp_path / "dataset", "test_labels")
            assert labels.column_names == ["user_id", "event_timestamp", "label"]
            assert labels["label"].to_pylist() == frame["label"][inside].tolist()
    assert report.dropped_anchors == len(frame) - written_rows
    manifest = json.loads((tmp_path / "dataset" / "manifest.json").read_text())
    assert sum(chunk["rows"] for chunk in manifest["chunks"]) == written_rows
    assert set(manifest["sources"]) == {"user_profile", "user_history", "user_baskets", "anchors"}
    assert manifest["cut_offs"]["train_until"] == "2001-01-15"
    assert set(manifest["null_rates"]) == {"train", "validation", "test"}
    assert manifest["service_hash"] == describe_service(open_store(shop), SERVICE).digest


def test_a_column_split_decides_and_labels_may_be_missing(shop, frame, tmp_path) -> None:
    rows = rule_anchors(shop, DAYS[0], DAYS[2]).to_pandas().drop(columns="label")
    rows["split"] = np.where(rows["event_timestamp"] == DAYS[0], "validation", "test")
    rows.to_csv(tmp_path / "anchors.csv", index=False)
    report = build(shop, tmp_path / "dataset", anchors=tmp_path / "anchors.csv")
    assert list(report.splits) == ["validation", "test"]
    assert report.splits["test"]["base_rate"] is None
    assert report.leak_checks["single_feature"]["checked"] is False
    assert not (tmp_path / "dataset" / "test_labels").exists()
    assert (
        split_table(tmp_path / "dataset", "test")["user_id"].to_pylist()
        == rows["user_id"][rows["split"] == "test"].tolist()
    )


def at(frame: pd.DataFrame, moment: str) -> pd.DataFrame:
    moments = frame["event_timestamp"].dt.tz_localize(None).astype("datetime64[us]").to_numpy().copy()
    moments[5] = np.datetime64(moment, "us")
    return frame.assign(event_timestamp=moments)


BAD: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], type[Exception], str]] = {
    "no user": (lambda f: f.drop(columns="user_id"), SourceDataError, "no column 'user_id'.*'event_timestamp'"),
    "no moment": (lambda f: f.drop(columns="event_timestamp"), SourceDataError, "no column 'event_timestamp'"),
    "users as numbers": (lambda f: f.assign(user_id=range(len(f))), SourceDataError, "'user_id'.*int64.*expected text"),
    "moments as text": (
        lambda f: f.assign(event_timestamp=f["event_timestamp"].astype(str)),
        SourceDataError,
        "'event_timestamp'.*has type (large_)?string; expected timestamps",
    ),
    "moments as dates": (
        lambda f: f.assign(event_timestamp=f["event_timestamp"].dt.date),
        SourceDataError,
        "'event_timestamp'.*has type date32",
    ),
    "a moment is missing": (
        lambda f: f.assign(event_timestamp=f["event_timestamp"].mask(f.index == 5)),
        SourceDataError,
        "no timestamp in 1 of .* in row 6",
    ),
    "before 1970": (
        lambda f: at(f, "1969-12-31T23:59:59.999999"),
        SourceDataError,
        "before 1970 or after 9998 .* row 6",
    ),
    "in year 9999": (lambda f: at(f, "9999-12-31"), SourceDataError, "before 1970 or after 9998 .* row 6"),
    "labels of two": (lambda f: f.assign(label=2), SourceDataError, "neither 0 nor 1 in 64 of 64 rows, .* row 1"),
    "a missing label": (
        lambda f: f.assign(label=f["label"].astype(float).mask(f.index == 5)),
        SourceDataError,
        "neither 0 nor 1 in 1 of 64 rows, .* row 6",
    ),
    "labels as words": (lambda f: f.assign(label="yes"), SourceDataError, "'label'.*expected the numbers 0 and 1"),
    "an unknown split": (lambda f: f.assign(split="holdout"), SplitError, r"'split'.*\['holdout'\]; expected one of"),
    "a feature's name": (lambda f: f.assign(area="x"), SourceDataError, r"\['area'\]"),
    "no row": (lambda f: f.iloc[:0], SourceDataError, "is empty"),
    "no row in a split": (
        lambda f: f.assign(event_timestamp=pd.Timestamp("2011-01-01", tz="UTC")),
        SplitError,
        "No anchor .* lies in a split",
    ),
    "one class in validation": (
        lambda f: f.assign(label=f["label"].mask(f["event_timestamp"].between(DAYS[1], DAYS[2]), 0)),
        SplitError,
        r"The split 'validation' of .* has \d+ anchors and 0 positive labels; expected both classes",
    ),
    "one class in test": (
        lambda f: f.assign(label=f["label"].mask(f["event_timestamp"] >= DAYS[2], 1)),
        SplitError,
        r"The split 'test' of .* has (\d+) anchors and \1 positive labels; expected both classes",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_file_that_cannot_be_used_is_refused_and_nothing_is_written(shop, frame, tmp_path, what) -> None:
    spoil, error, message = BAD[what]
    path = written(spoil(frame.drop(index=8).reset_index(drop=True)), tmp_path / "anchors.parquet")
    with pytest.raises(error, match=message):
        build(shop, tmp_path / "dataset", anchors=path, chunk_rows=64)
    assert not (tmp_path / "dataset").exists()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("none.parquet", None, "No anchors at"),
        ("cut.parquet", b"PAR1 and then nothing", "cannot be read"),
        ("empty.csv", b"", "is empty"),
        ("header.csv", b"user_id,event_timestamp\n", "is empty"),
        ("text.csv", b"user_id,event_timestamp\n000001,soon\n", "no timestamp in 1 of 1 rows, the first in row 1"),
        ("label.csv", b"user_id,event_timestamp,label\n000001,2001-01-01,maybe\n", "neither 0 nor 1"),
        ("columns.csv", b"who,when\n000001,2001-01-01\n", r"no column 'user_id'; got \['who', 'when'\]"),
        (
            "ragged.csv",
            b"user_id,event_timestamp\n" + b"000001,2001-01-01\n" * 50 + b"1,2,3,4\n",
            "cannot be read|no column",
        ),
    ],
)
def test_an_unreadable_file_is_refused(shop, tmp_path, name, data, message) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceDataError, match=message):
        build(shop, tmp_path / "dataset", anchors=tmp_path / name)
    assert content(tmp_path / "dataset") == {}


@pytest.mark.usefixtures("unchecked")
def test_identifiers_of_a_csv_stay_text_and_zones_are_heeded(shop, tmp_path) -> None:
    lines = ["user_id,event_timestamp,label", "000001,2000-12-10 08:00:00+08:00,0", "000002,2000-12-10,1"]
    (tmp_path / "anchors.csv").write_text("\n".join(lines) + "\n")
    build(shop, tmp_path / "dataset", settings=None, anchors=tmp_path / "anchors.csv")
    table = split_table(tmp_path / "dataset", "all")
    assert table["user_id"].to_pylist() == ["000001", "000002"]
    assert set(table["event_timestamp"].to_pylist()) == {datetime(2000, 12, 10, tzinfo=UTC)}


@pytest.mark.usefixtures("unchecked")
def test_parts_of_other_anchors_chunks_or_sources_are_not_kept(shop, frame, tmp_path) -> None:
    path, folder = written(frame, tmp_path / "anchors.parquet"), tmp_path / "dataset"
    parts = build(shop, folder, anchors=path, chunk_rows=150)
    assert parts.reused_parts == 0
    assert build(shop, folder, anchors=path, chunk_rows=150).reused_parts == len(
        list(folder.glob("[tv]*[nt]/*.parquet"))
    )
    assert build(shop, folder, anchors=path, chunk_rows=151).reused_parts == 0
    longer = SETTINGS.model_copy(update={"task": SETTINGS.task.model_copy(update={"horizon_days": 3})})
    assert build(shop, folder, settings=longer, anchors=path, chunk_rows=151).reused_parts == 0
    written(frame.assign(weight=1.0), path)
    assert build(shop, folder, settings=longer, anchors=path, chunk_rows=151).reused_parts == 0
    first = next((folder / "train").glob("*.parquet"))
    first.write_bytes(first.read_bytes()[:-7])
    again = build(shop, folder, settings=longer, anchors=path, chunk_rows=151)
    assert again.reused_parts == len(list(folder.glob("[tv]*[nt]/*.parquet"))) - 1


@pytest.mark.usefixtures("unchecked")
def test_a_source_that_changes_meanwhile_is_noticed(shop, frame, tmp_path, monkeypatch) -> None:
    import training.pipelines.build_dataset as module

    path, join = written(frame, tmp_path / "anchors.parquet"), module.join_features

    def join_and_change(*arguments):
        written(frame.assign(weight=2.0), path)
        return join(*arguments)

    monkeypatch.setattr(module, "join_features", join_and_change)
    with pytest.raises(SourceDataError, match="changed while"):
        build(shop, tmp_path / "dataset", anchors=path)
    assert not (tmp_path / "dataset" / "manifest.json").exists()


def test_a_folder_of_something_else_is_left_alone(shop, frame, tmp_path) -> None:
    folder = tmp_path / "thesis"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "chapter.md").write_text("years of work")
    before = content(folder)
    with pytest.raises(InputError, match="no build of a data set wrote"):
        build(shop, folder, anchors=written(frame, tmp_path / "anchors.parquet"))
    assert content(folder) == before


def test_two_builds_do_not_write_one_folder(shop, frame, tmp_path) -> None:
    from training.pipelines.dataset_folder import DatasetFolder

    path = written(frame, tmp_path / "anchors.parquet")
    with DatasetFolder(tmp_path / "dataset").locked(), pytest.raises(InputError, match="Another build"):
        build(shop, tmp_path / "dataset", anchors=path)


def test_an_unknown_service_is_refused_with_those_that_there_are(shop, tmp_path) -> None:
    with pytest.raises(FeatureError, match=r"'no_such' is not registered; got .*purchase_within_horizon"):
        build(shop, tmp_path / "dataset", service="no_such")


def test_the_hash_of_a_service_follows_its_definition_and_not_its_folder(shop, tmp_path) -> None:
    other = make_run(tmp_path / "elsewhere", customers=5)
    mine, theirs = (describe_service(open_store(out), SERVICE) for out in (shop, other))
    assert mine.digest == theirs.digest
    assert mine.sources != theirs.sources
    store = open_store(other)
    history = store.get_feature_view("user_history")
    store.apply([FeatureService(name="fewer", features=[history[["lifetime_lines"]]])])
    fewer = describe_service(store, "fewer")
    assert fewer.features == ("lifetime_lines",)
    history.ttl = timedelta(days=30)
    store.apply([history, FeatureService(name="fewer", features=[history[["lifetime_lines"]]])])
    assert describe_service(open_store(other), "fewer").digest != fewer.digest


def test_a_service_with_items_and_requests(shop, tmp_path) -> None:
    """Items beside customers, and on-demand views whose request is the anchor's own moment."""
    with pytest.raises(InputError, match="is about items"):
        build(shop, tmp_path / "dataset", service="customer_activity")
    anchors = rule_anchors(shop, *DAYS)
    pq.write_table(anchors, tmp_path / "customers.parquet")
    with pytest.raises(SourceDataError, match="no column 'item_id'"):
        build(shop, tmp_path / "dataset", service="customer_activity", anchors=tmp_path / "customers.parquet")
    items = pa.array([f"i{n % 50}" for n in range(anchors.num_rows)])
    pq.write_table(anchors.append_column("item_id", items), tmp_path / "pairs.parquet")
    report = build(shop, tmp_path / "dataset", service="customer_activity", anchors=tmp_path / "pairs.parquet")
    assert report.leak_checks["planted_events"]["anchors"] > 20
    train = split_table(tmp_path / "dataset", "train")
    assert train["item_id"].to_pylist() == items[: train.num_rows].to_pylist()
    features = describe_service(open_store(shop), "customer_activity").features
    assert set(train.column_names) == {"user_id", "item_id", "event_timestamp", "label", *features}
    assert any(train[name].null_count < train.num_rows for name in features)


@pytest.mark.usefixtures("unchecked")
def test_the_named_rule_in_small_chunks_is_the_rule(shop, tmp_path) -> None:
    build(shop, tmp_path / "whole")
    build(shop, tmp_path / "small", chunk_rows=80)
    for split in ("train", "validation", "test", "test_labels"):
        assert split_table(tmp_path / "whole", split).equals(split_table(tmp_path / "small", split)), split
    names = sorted(path.stem for path in (tmp_path / "small" / "train").iterdir())
    assert names[:2] == ["2000-12-04-00000", "2000-12-04-00001"]
    assert (tmp_path / "whole" / "train" / "2000-12-04.parquet").exists()
