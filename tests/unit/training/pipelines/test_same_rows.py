"""Runs about items are the same only if the items are, row by row."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.errors import InputError, SourceDataError
from feature_repo.events import TIMESTAMP
from tests.judged_runs import write_metrics
from tests.unit.training.evaluation.conftest import make_predictions
from training.atomic import write_parquet
from training.evaluation.compare import compare_runs, same_anchors
from training.evaluation.judged_run import JudgedRun
from training.pipelines.compare import compare_folders
from training.pipelines.same_rows import same_rows
from training.pipelines.seeds import fit_more_seeds, over_seeds

SEEDS = {"a": 1, "b": 1, "c": 2}
KEYS = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 2)), max_size=4)


def asked(seed: int):
    """Predictions about items: what differs between seeds is which item a customer is asked about, nothing else."""
    plain = make_predictions(customers=60, rows=200)
    items = np.array([f"item {number % 5}" for number in range(200)], object)
    return replace(plain, item_id=np.random.default_rng(seed).permutation(items))


def table(rows, *, items: bool, time: str) -> pa.Table:
    users, asked_about, at = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {"user_id": pa.array(users, pa.string()), "item_id": pa.array(asked_about, pa.string())}
    kept = columns if items else {"user_id": columns["user_id"]}
    return pa.table(kept | {time: pa.array(at, pa.int64()).cast(TIMESTAMP)})


@given(KEYS, KEYS, st.booleans(), st.booleans())
def test_rows_are_the_same_if_all_that_names_them_is(first, second, of_items, also):
    one = table(first, items=of_items, time="anchor_timestamp")
    other = table(second, items=also, time="event_timestamp")
    names = [
        [row if items else (row[0], row[2]) for row in rows] for rows, items in ((first, of_items), (second, also))
    ]
    assert same_rows(one, other) == (of_items == also and names[0] == names[1])
    assert same_rows(one, pa.concat_tables([one.slice(0, 1), one.slice(1)]))


def test_the_same_customers_and_times_with_other_items_are_another_test():
    first, second = asked(1), asked(2)
    assert same_anchors(first) == same_anchors(asked(1))
    assert len({same_anchors(one) for one in (first, second, replace(first, item_id=None))}) == 3
    with pytest.raises(InputError, match=r"Runs a and b were judged on different anchors \(200 and 200\)"):
        compare_runs({"a": JudgedRun(first), "b": JudgedRun(second)}, draws=5)


def write_run(folder, predictions, seed):
    folder.mkdir()
    write_parquet(folder / "test_predictions.parquet", predictions.to_table())
    write_metrics(folder, seed=seed)
    return folder


def test_runs_about_other_items_are_compared_apart(tmp_path):
    folders = [write_run(tmp_path / name, asked(SEEDS[name]), number) for number, name in enumerate(SEEDS)]
    assert [one.runs for one in compare_folders(folders)] == [("a, seed 0", "b, seed 1"), ("c, seed 2",)]
    (by_run, alone) = compare_folders(folders, by="run")
    assert set(by_run.spreads) == {"a", "b"}
    assert set(alone.spreads) == {"c"}


def test_scores_of_a_seed_about_other_items_are_refused(tmp_path):
    own, other = asked(1), asked(2).to_table().drop_columns(["label"])
    out = write_run(tmp_path / "run", own, 7)
    kept = own.to_table().drop_columns(["label"])
    fit_more_seeds(out, 7, 2, "digest", lambda seed: {"test_scores.parquet": kept})
    assert over_seeds(out, JudgedRun(own), 7, "digest")["seeds"] == [7, 8]
    fit_more_seeds(out, 7, 2, "digest", lambda seed: {"test_scores.parquet": other})
    with pytest.raises(SourceDataError, match="do not fit the run's 200; expected the same anchors"):
        over_seeds(out, JudgedRun(own), 7, "digest")
