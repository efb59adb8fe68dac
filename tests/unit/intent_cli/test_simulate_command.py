"""`intent simulate`: what it prints, that all of it says synthetic, and what it refuses."""

import json
from pathlib import Path

import pytest

from intent_cli.main import run

EXAMPLE = str(Path(__file__).resolve().parents[3] / "examples" / "simulated_shop.toml")


def test_it_says_what_it_wrote(tmp_path, capsys):
    asked = ["simulate", "--config", EXAMPLE, "--out", str(tmp_path), "--customers", "300"]
    assert run(asked) == 0
    printed = capsys.readouterr().out
    assert "rows/s" in printed
    assert "synthetic: simulator version 1, parameters " in printed
    assert "ceiling of purchase_within_horizon: " in printed
    assert (tmp_path / "simulation" / "simulation.json").is_file()
    assert "simulate" in json.loads((tmp_path / "stages.json").read_text())


def test_the_distances_are_a_table(tmp_path, capsys):
    assert run(["simulate", "--distance", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "synthetic" in lines[0]
    assert lines[1].split() == ["data", "set", "simulated", "real", "distance"]
    assert {"taobao", "rees46", "ta_feng", "online_retail"} <= {word for line in lines for word in line.split()}
    assert list(tmp_path.iterdir()) == []


def test_the_distances_as_json(capsys):
    assert run(["simulate", "--distance", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"what", "data", "simulated", "real", "distance"} == set(told[0])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--customers", "0"], "No shop has customers 0"),
        (["--days", "20"], "anchors after the beginning"),
        (["--seed", "-3"], "seed of 0 or more"),
    ],
)
def test_what_is_no_shop_is_the_users_input(tmp_path, capsys, options, says):
    assert run(["simulate", "--config", EXAMPLE, "--out", str(tmp_path / "out"), *options]) == 1
    assert says in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out" / "simulation").exists()


def test_a_folder_without_a_shop_is_no_source(tmp_path, capsys):
    asked = ["ingest", str(tmp_path), "--config", EXAMPLE, "--out", str(tmp_path / "out")]
    assert run(asked) == 1
    assert "holds no simulated shop" in capsys.readouterr().err


def test_a_part_that_is_missing_is_named(tmp_path, capsys):
    out = str(tmp_path / "out")
    assert run(["simulate", "--config", EXAMPLE, "--out", out, "--customers", "100"]) == 0
    (tmp_path / "out" / "simulation" / "events" / "part-00000.parquet").unlink()
    assert run(["ingest", f"{out}/simulation", "--config", EXAMPLE, "--out", out]) == 1
    assert "part-00000.parquet missing in simulation" in capsys.readouterr().err
