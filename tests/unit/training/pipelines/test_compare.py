"""What is compared belongs together: figures of the training that is there, and repetitions of it alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import InputError, SourceDataError
from intent_cli.main import run
from tests.judged_runs import write_metrics, write_training
from tests.unit.training.evaluation.conftest import make_predictions
from training.atomic import write_json, write_parquet
from training.evaluation.judged_run import JudgedRun
from training.evaluation.predictions import Predictions
from training.pipelines.compare import compare_folders
from training.pipelines.seeds import fit_more_seeds, over_seeds, seed_runs
from training.pipelines.whole_training import judged_metrics

OWN = make_predictions(customers=80, rows=200)


def of_seed(seed: int) -> Predictions:
    moved = np.clip(OWN.probability["sharp"] + np.random.default_rng(seed).normal(scale=0.05, size=200), 0.01, 0.99)
    return replace(OWN, probability={**OWN.probability, "sharp": moved}, slices={})


def judge(out: Path, seed: int = 7) -> str:
    """Evaluate the training that is there, and the further seeds of it, as `intent evaluate` does."""
    digest = write_metrics(out, seed=seed)
    write_parquet(out / "test_predictions.parquet", of_seed(seed).to_table())
    over_seeds(out, JudgedRun(of_seed(seed)), seed, digest)
    return digest


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A run of three seeds that was trained and evaluated."""
    digest = write_training(tmp_path)
    fit_more_seeds(tmp_path, 7, 3, digest, lambda seed: {"test_scores.parquet": of_seed(seed).to_table()})
    assert judge(tmp_path) == digest
    return tmp_path


def test_seeds_of_another_training_are_left_out_and_told(out, capsys) -> None:
    (whole,) = compare_folders([out])
    assert (whole.spreads["sharp"]["roc_auc"].runs, whole.seeds_left_out) == (3, ())
    write_training(out, "second")  # killed before its own further seeds
    digest = judge(out)
    assert seed_runs(out, digest) == {}
    (found,) = compare_folders([out])
    assert found.runs == (f"{out.name}, seed 7",)
    assert found.spreads["sharp"]["roc_auc"].runs == 1
    assert found.to_json()["seeds_left_out"] == [str(out)]
    (by_run,) = compare_folders([out], by="run")
    assert (len(by_run.runs), by_run.seeds_left_out) == (1, (str(out),))
    assert run(["compare", str(out), "--metric", "log_loss"]) == 0
    told = capsys.readouterr().out
    assert f"further seeds below {out} are of another training, and were left out" in told
    assert f"`intent train --seeds N --out {out}`, then `intent evaluate --out {out}`" in told


def test_seeds_that_do_not_say_of_which_training_they_are_do_not_count(out) -> None:
    (out / "seeds" / "of_training.json").unlink()
    (found,) = compare_folders([out])
    assert (len(found.runs), found.seeds_left_out) == (1, (str(out),))


@pytest.mark.parametrize("by", ["member", "run"])
def test_a_run_that_was_trained_anew_is_refused_by_name(out, by, capsys) -> None:
    there = write_training(out, "second")
    judged = json.loads((out / "metrics.json").read_text())["training"]
    assert run(["compare", str(out), "--by", by]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert f"{out / 'metrics.json'} judges another training ({judged[:12]}) than the one that is there" in told.err
    assert f"({there[:12]})" in told.err
    assert f"Run `intent evaluate --out {out}` again." in told.err
    judge(out)
    assert len(compare_folders([out], by=by)) == 1


def test_a_run_whose_training_was_cut_off_is_refused(out) -> None:
    write_json(out / "ensemble.json", {"of": "a training that never ended"})
    with pytest.raises(SourceDataError, match=r"is not whole, or of other data; .* Run `intent train`"):
        compare_folders([out])


def test_figures_without_a_data_set_are_refused(out) -> None:
    (out / "dataset" / "manifest.json").unlink()
    with pytest.raises(SourceDataError, match="is not whole, or of other data"):
        judged_metrics(out)


def test_a_run_that_was_not_evaluated_is_told_what_to_do(out) -> None:
    (out / "metrics.json").unlink()
    with pytest.raises(SourceDataError, match=r"No figures at .* Run `intent evaluate --out .*` first"):
        compare_folders([out])


def test_whose_predictions_is_asked_of_runs_alone(out, capsys) -> None:
    with pytest.raises(InputError, match=r"--member foo\) .* got --by member, .* Expected --by run .* --against foo"):
        compare_folders([out], member="foo")
    assert run(["compare", str(out), "--member", "sharp"]) == 1
    assert "Expected --by run with it, or --against sharp" in capsys.readouterr().err
    assert run(["compare", str(out), "--by", "run", "--member", "foo"]) == 1
    assert "Member 'foo' is not in" in capsys.readouterr().err
    assert set(compare_folders([out], by="run", member="sharp")[0].spreads) == {out.name}
