"""The task of a benchmark table: split by month, folds over the whole, figures beside references."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.errors import FeatureError, SourceDataError, SplitError
from intent_cli.tables import figure_lines
from training.models import members_for
from training.pipelines import fit
from training.pipelines.build_dataset import build_dataset, read_split, read_test_labels
from training.pipelines.compare import compare_folders
from training.pipelines.evaluate import evaluate_run
from training.pipelines.figures import figures_of
from training.pipelines.fit import fit_run, repeat_run
from training.pipelines.whole_training import require_whole_training
from training.progress import Silent
from training.settings import Settings
from training.tasks import published, task_named
from training.tasks.published import Reference

MONTHS = ("Feb", "Mar", "May", "June", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SETTINGS = Settings.load(Path(__file__).parents[2] / "examples" / "online_shoppers.toml")
ROWS = 1_500


def write_table(out: Path, months: tuple[str, ...] = MONTHS) -> pa.Table:
    rng = np.random.default_rng(2)
    value, exits = rng.exponential(5, ROWS), rng.random(ROWS)
    month = rng.choice(months, ROWS)
    chance = 1 / (1 + np.exp(2.5 - 0.2 * value + exits - (month == "Nov")))
    table = pa.table(
        {
            "source_row": np.arange(1, ROWS + 1),
            "PageValues": value,
            "ExitRates": exits,
            "BounceRates": rng.random(ROWS),
            "ProductRelated": rng.poisson(9, ROWS),
            "Month": month,
            **{name: rng.integers(1, 5, ROWS) for name in ("OperatingSystems", "Browser", "Region", "TrafficType")},
            "VisitorType": rng.choice(["New_Visitor", "Returning_Visitor"], ROWS),
            "Weekend": rng.random(ROWS) < 0.3,
            "Revenue": rng.random(ROWS) < chance,
        }
    )
    (out / "sessions").mkdir(parents=True)
    pq.write_table(table, out / "sessions" / "part-0.parquet")
    return table


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("table")
    write_table(out)
    report = build_dataset(None, SETTINGS, out, Silent())
    assert report.rows == ROWS
    fit_run(SETTINGS, out, ["boosted_trees", "recency"], Silent())
    evaluate_run(SETTINGS, out, Silent())
    return out


def test_the_splits_are_months_and_the_month_is_no_feature(run) -> None:
    whole = pq.read_table(run / "sessions" / "part-0.parquet")
    by_row = dict(zip(whole["source_row"].to_pylist(), whole["Month"].to_pylist(), strict=True))
    expected = {"train": MONTHS[:5], "validation": MONTHS[5:7], "test": MONTHS[7:]}
    for split, months in expected.items():
        table = read_split(run, split)
        assert {by_row[int(row)] for row in table["user_id"].to_pylist()} == set(months)
        assert not {"Month", "Revenue", "source_row"} & set(table.column_names)
    assert "label" not in read_split(run, "test").column_names
    assert read_test_labels(run).num_rows == read_split(run, "test").num_rows


def test_a_feature_that_averages_the_labels_of_the_test_rows_stops_the_evaluation(run, tmp_path) -> None:
    leaking = tmp_path / "leaking"
    shutil.copytree(run, leaking)
    label = read_test_labels(run)["label"].to_numpy()
    region = np.random.default_rng(4).integers(0, 12, len(label))
    rate = np.bincount(region, label) / np.bincount(region)
    (part,) = (leaking / "dataset" / "test").glob("*.parquet")
    table = pq.read_table(part)
    place = table.schema.get_field_index("BounceRates")
    pq.write_table(table.set_column(place, "BounceRates", pa.array(rate[region])), part)
    with pytest.raises(FeatureError, match=r"\['BounceRates'\] are the mean label of the test rows"):
        evaluate_run(SETTINGS, leaking, Silent())


def test_folds_judge_every_row_by_fits_that_did_not_see_it(run) -> None:
    folds = json.loads((run / "folds.json").read_text())
    assert folds["rows"] == ROWS
    trees = folds["members"]["boosted_trees"]["roc_auc"]
    assert 0.6 < trees["mean"] < 0.95
    assert trees["deviation"] > 0
    assert set(folds["members"]) == {"boosted_trees", "recency", "ensemble"}
    assert folds["members"]["ensemble"]["log_loss"]["mean"] < folds["members"]["recency"]["log_loss"]["mean"]


@pytest.mark.parametrize("step", ["train", "_scores", "_forward"])
def test_a_training_that_is_killed_before_it_writes_leaves_the_last_one_whole(run, tmp_path, monkeypatch, step) -> None:
    out = tmp_path / "run"
    shutil.copytree(run, out)
    before = require_whole_training(out)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, step, killed)
    with pytest.raises(KeyboardInterrupt):
        fit_run(SETTINGS, out, ["constant_rate"], Silent())
    assert require_whole_training(out) == before
    assert {path.name for path in (out / "members").iterdir()} == {"boosted_trees", "recency"}


def test_a_training_that_was_cut_off_is_refused_and_the_next_one_is_whole(run, tmp_path, monkeypatch) -> None:
    out = tmp_path / "run"
    shutil.copytree(run, out)
    before = require_whole_training(out)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, "write_parquet", killed)
    with pytest.raises(KeyboardInterrupt):
        fit_run(SETTINGS, out, ["constant_rate"], Silent())
    with pytest.raises(SourceDataError, match="not whole, or of other data"):
        require_whole_training(out)
    monkeypatch.undo()
    fit_run(SETTINGS, out, ["constant_rate"], Silent())
    assert require_whole_training(out) != before
    assert [path.name for path in (out / "members").iterdir()] == ["constant_rate"]


def test_seeds_and_figures_of_a_training_that_was_replaced_do_not_pass_for_the_new_one(run, tmp_path) -> None:
    out, pool = tmp_path / "run", ["recency", "constant_rate"]
    shutil.copytree(run, out)
    fit_run(SETTINGS, out, pool, Silent())
    repeat_run(SETTINGS, out, pool, 2, Silent())
    evaluate_run(SETTINGS, out, Silent())
    (before,) = compare_folders([out], metrics=["log_loss"])
    assert (len(before.runs), before.seeds_left_out) == (2, ())
    other = SETTINGS.model_copy(update={"members": {"recency": {"c": 0.001}}})
    fit_run(other, out, pool, Silent())  # ended before its own further seeds
    with pytest.raises(SourceDataError, match="judges another training"):
        compare_folders([out])
    with pytest.raises(SourceDataError, match="judges another training"):
        figures_of(other, out)
    evaluate_run(other, out, Silent())
    (found,) = compare_folders([out], metrics=["log_loss"])
    assert (len(found.runs), found.seeds_left_out) == (1, (str(out),))
    assert found.spreads["recency"]["log_loss"].mean != before.spreads["recency"]["log_loss"].mean


def test_references_stand_beside_figures_of_the_same_rows_only(run, monkeypatch) -> None:
    same = Reference("session_intent", "online_shoppers", "this table", ROWS, 0.2, "a model", 0.9, 0.5)
    other = Reference("session_intent", "online_shoppers", "another table", 99, 0.2, "another model", 0.9)
    monkeypatch.setattr(published, "PUBLISHED", (same, other))
    out_of_time, folds = figures_of(SETTINGS, run)
    assert "reference: a model" in "\n".join(figure_lines(folds))
    assert "another model" not in "\n".join(figure_lines(folds))
    assert figure_lines(out_of_time)[-1] == (
        "  no reference has these rows; there are some for another table (99 rows), this table (1,500 rows)"
    )


def test_members_that_need_a_sequence_are_left_out() -> None:
    assert "sequence_lstm" not in members_for("session_intent", sequences=False)
    assert "bg_nbd" not in members_for("churn")
    assert {"bg_nbd", "sequence_lstm", "recency"} <= set(members_for("purchase_within_horizon"))


def test_a_table_that_was_not_ingested_or_lacks_a_column_is_told(tmp_path) -> None:
    with pytest.raises(SourceDataError, match="Run `intent ingest` with an adapter"):
        build_dataset(None, SETTINGS, tmp_path, Silent())
    table = write_table(tmp_path)
    with pytest.raises(SourceDataError, match="lacks VisitorType"):
        task_named("session_intent").rule.anchors(table.drop_columns(["VisitorType"]))
    strange = table.set_column(table.column_names.index("Month"), "Month", pa.array(["Brumaire"] * ROWS))
    with pytest.raises(SourceDataError, match="Brumaire"):
        task_named("session_intent").rule.anchors(strange)


def test_months_that_leave_a_split_empty_are_refused(tmp_path) -> None:
    write_table(tmp_path, MONTHS[:6])
    with pytest.raises(SplitError, match="'test' has 0 anchors"):
        build_dataset(None, SETTINGS, tmp_path, Silent())
    assert not (tmp_path / "dataset" / "manifest.json").exists()
