"""A run's figures beside the ceiling of a simulated shop: which share of what is reachable a model took."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from feature_repo.errors import SourceDataError
from feature_repo.events import TIMESTAMP
from intent_cli.main import run
from intent_cli.tables import figure_lines
from tests.judged_runs import write_metrics, write_training
from training.atomic import write_json, write_parquet
from training.evaluation.metrics import probability_metrics
from training.evaluation.predictions import Predictions
from training.pipelines.figures import MEASURES, REACHED, figures_of
from training.settings import Settings
from training.simulator.ceilings import CEILING_SCHEMA

EXAMPLE = Path(__file__).resolve().parents[4] / "examples" / "simulated_shop.toml"
SETTINGS = Settings.load(EXAMPLE)
N, RATE = 4_000, 0.3


def run_folder(out: Path, seed: int = 1, events: int = 9, anchors: int = N) -> Path:
    """An evaluated run: one member that is the truth itself, one that is half way, one constant."""
    random = np.random.default_rng(0)
    hidden = random.beta(1, 2, N)
    best = 0.5 * hidden + 0.5 * hidden.mean()
    label = (random.random(N) < hidden).astype(np.int8)
    probability = {"truth": best, "half": (best + RATE) / 2, "constant": np.full(N, RATE)}
    users, at = np.array([f"c{n:07d}" for n in range(N)], object), np.full(N, 1_707_091_200_000_000)
    predictions = Predictions(user_id=users, anchor_us=at, label=label, probability=probability, slices={})
    write_parquet(out / "test_predictions.parquet", predictions.to_table())
    judged = {name: probability_metrics(label, values) for name, values in probability.items()}
    splits = {"train": {"base_rate": RATE}, "test": {"anchors": N, "base_rate": float(label.mean())}}
    write_metrics(out, data={"adapter": "simulated_shop"}, splits=splits, test=judged)
    order = random.permutation(N)[:anchors]
    columns = [pa.array(users[order]), pa.array(at[order]).cast(TIMESTAMP), pa.nulls(len(order), pa.int64())]
    told = pa.Table.from_arrays([*columns, pa.array(best[order]), pa.array(hidden[order])], schema=CEILING_SCHEMA)
    write_parquet(out / "simulation" / "ceiling.parquet", told)
    manifest = {"parameters_sha256": "ab" * 32, "size": {"seed": 1}, "counts": {"events": 9}}
    write_json(out / "simulation" / "simulation.json", manifest)
    source = f"synthetic, simulator version 1, parameters {'ab' * 6}, seed {seed}"
    write_json(out / "data_card.json", {"source": source, "events": events})
    return out


def test_the_share_is_that_between_the_constant_and_the_ceiling(tmp_path):
    (table,) = figures_of(SETTINGS, run_folder(tmp_path))
    told = {figure.who: figure for figure in table.figures}
    assert told["constant"].measures[REACHED] == pytest.approx(0)
    assert told["truth"].measures[REACHED] == pytest.approx(1)
    assert told["best reachable"].measures == pytest.approx(told["truth"].measures)
    losses = {name: told[name].measures["log_loss"] for name in ("constant", "half", "truth")}
    share = (losses["constant"] - losses["half"]) / (losses["constant"] - losses["truth"])
    assert told["half"].measures[REACHED] == pytest.approx(share)
    assert 0 < share < 1 < told["given the hidden state"].measures[REACHED]


def test_the_lines_say_that_it_is_synthetic(tmp_path):
    lines = figure_lines(figures_of(SETTINGS, run_folder(tmp_path))[0])
    assert lines[1].split() == [*MEASURES, REACHED]
    assert any(line.startswith("  ceiling: best reachable") and line.endswith("1.0000") for line in lines)
    assert any("synthetic" in line for line in lines)


def test_the_command_prints_them(tmp_path, capsys):
    assert run(["figures", "--config", str(EXAMPLE), "--out", str(run_folder(tmp_path)), "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)
    assert [figure["kind"] for figure in table["figures"]] == ["ours"] * 3 + ["ceiling"] * 2


def test_figures_of_a_training_that_was_replaced_are_refused(tmp_path, capsys):
    out = run_folder(tmp_path)
    write_training(out, "second")
    assert run(["figures", "--config", str(EXAMPLE), "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert f"{out / 'metrics.json'} judges another training" in told.err
    assert f"Run `intent evaluate --out {out}` again." in told.err


@pytest.mark.parametrize("other", [{"seed": 2}, {"events": 10}])
def test_a_ceiling_of_another_shop_is_refused(tmp_path, other):
    with pytest.raises(SourceDataError, match=r"The ceiling below .* is of a shop with .* seed 1; the log is of"):
        figures_of(SETTINGS, run_folder(tmp_path, **other))


def test_anchors_without_a_ceiling_are_refused(tmp_path):
    with pytest.raises(SourceDataError, match=r"lacks 10 of 4000 anchors"):
        figures_of(SETTINGS, run_folder(tmp_path, anchors=N - 10))
