"""The whole path on a 5 % sample: what it leaves behind, that its ends agree, and what it refuses."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.events import EVENT_SCHEMA, ITEM_SCHEMA, QUARANTINE_SCHEMA, TIMESTAMP, USER_SCHEMA
from tests.conftest import ROOT
from training.evaluation.evaluate import recompute
from training.settings import Settings

pytestmark = pytest.mark.end_to_end
MEMBERS = Settings.load(ROOT / "intent.toml").train.members
STAGES = {"ingest", "apply", "dataset", "train", "evaluate", "publish", "materialize", "serve", "parity"}


def metrics_of(run) -> dict:
    return json.loads((run.out / "metrics.json").read_text())


def test_every_step_prints_rows_seconds_and_memory(sample_run) -> None:
    for stage in STAGES:
        line = next(line for line in sample_run.demo_output.splitlines() if line.startswith(f"{stage}: "))
        assert " rows, " in line
        assert "peak memory" in line
    assert set(json.loads((sample_run.out / "stages.json").read_text())) >= STAGES


def test_the_log_is_canonical(sample_run) -> None:
    for name, schema in (
        ("events", EVENT_SCHEMA),
        ("items", ITEM_SCHEMA),
        ("users", USER_SCHEMA),
        ("quarantine", QUARANTINE_SCHEMA),
    ):
        found = pq.read_schema(next((sample_run.out / name).glob("*.parquet")))
        assert found.remove_metadata().equals(schema), name


def test_metrics_have_the_fixed_names(sample_run) -> None:
    metrics = metrics_of(sample_run)
    assert {"data", "splits", "test", "paired", "stages", "seed"} <= set(metrics)
    for split in metrics["splits"].values():
        assert {"from", "to", "anchors", "base_rate"} <= set(split)
    assert set(metrics["splits"]) == {"train", "validation", "test"}
    assert set(metrics["test"]) == {*MEMBERS, "ensemble"}
    for values in metrics["test"].values():
        assert {"roc_auc", "pr_auc", "log_loss", "brier", "ece", "roc_auc_ci"} <= set(values)
        assert values["roc_auc_ci"][0] <= values["roc_auc"] <= values["roc_auc_ci"][1]
    assert {"member", "delta_roc_auc", "ci"} <= set(metrics["paired"]["ensemble_minus_best_member"])
    for stage in metrics["stages"].values():
        assert {"seconds", "peak_rss_mb", "rows"} <= set(stage)


def test_predictions_have_the_fixed_columns_and_give_the_metrics(sample_run) -> None:
    path = sample_run.out / "test_predictions.parquet"
    table = pq.read_table(path)
    assert table.schema.field("user_id").type == pa.string()
    assert table.schema.field("anchor_timestamp").type == TIMESTAMP
    assert table.schema.field("label").type == pa.int8()
    assert {f"p_{name}" for name in (*MEMBERS, "ensemble")} <= set(table.column_names)
    assert all(len(user) == 8 for user in table["user_id"].to_pylist())
    metrics = metrics_of(sample_run)
    again = recompute(path, seed=metrics["seed"])
    assert again["test"] == metrics["test"]
    assert again["paired"] == metrics["paired"]


def test_nothing_is_too_good_to_be_true(sample_run) -> None:
    assert 0.55 < metrics_of(sample_run)["test"]["ensemble"]["roc_auc"] < 0.83


def test_training_and_serving_agree(sample_run) -> None:
    assert "training and serving agree" in sample_run.demo_output


def test_a_batch_equals_the_predictions(sample_run) -> None:
    sample_run.run(["intent", "score", "--all", "--at", "2001-02-19", "--out", "artifacts/batch.parquet"])
    batch = pq.read_table(sample_run.folder / "artifacts" / "batch.parquet")
    table = pq.read_table(sample_run.out / "test_predictions.parquet").to_pandas()
    last = table[table["anchor_timestamp"] == table["anchor_timestamp"].max()].set_index("user_id")
    assert sorted(batch["user_id"].to_pylist()) == sorted(last.index)
    for name in ("p_ensemble", *(f"p_{name}" for name in MEMBERS)):
        if name in batch.column_names:
            expected = last.loc[batch["user_id"].to_pylist(), name].to_numpy()
            assert np.abs(batch[name].to_numpy() - expected).max() <= 1e-5, name


def test_the_bundle_holds_no_pickle_and_no_path(sample_run) -> None:
    for path in (sample_run.out / "bundle").rglob("*"):
        if path.is_file():
            assert path.suffix in (".json", ".onnx", ".ubj")
            assert str(sample_run.folder).encode() not in path.read_bytes()


def test_what_is_published_is_found_from_the_runs_folder(sample_run) -> None:
    published = (sample_run.out / "published.json").read_text()
    assert str(sample_run.folder) not in published
    assert (sample_run.out / json.loads(published)["home"] / "bentos").is_dir()


def test_the_same_seed_gives_the_same_predictions(sample_run) -> None:
    path = sample_run.out / "test_scores.parquet"
    before = pq.read_table(path)
    sample_run.run(["intent", "train"])
    after = pq.read_table(path)
    for name in before.column_names:
        if name.startswith("p_"):
            assert np.abs(before[name].to_numpy() - after[name].to_numpy()).max() <= 1e-6, name
    sample_run.run(["intent", "evaluate"])  # the other tests find a run whose parts belong together


def test_figures_of_another_training_are_not_published(sample_run, tmp_path) -> None:
    out = tmp_path / "run"
    shutil.copytree(sample_run.out, out)
    sample_run.run(["intent", "train", "--member", "recency", "--member", "constant_rate", "--out", str(out)])
    done = sample_run.run(["intent", "publish", "--out", str(out)], expect=1)
    assert "judges another training" in done.stderr
    (out / "ensemble.json").write_text((out / "ensemble.json").read_text() + " ")
    done = sample_run.run(["intent", "evaluate", "--out", str(out)], expect=1)
    assert "not whole" in done.stderr


def test_ingesting_again_changes_nothing(sample_run) -> None:
    parts = [next((sample_run.out / name).glob("*.parquet")) for name in ("events", "items", "users", "quarantine")]
    before = [part.read_bytes() for part in parts]
    sample_run.run(["intent", "ingest"])
    assert [part.read_bytes() for part in parts] == before


def test_a_killed_build_goes_on_and_gives_the_same(sample_run, tmp_path) -> None:
    out = tmp_path / "run"
    for name in ("events", "users", "items", "quarantine", "features", "feast"):
        shutil.copytree(sample_run.out / name, out / name)
    shutil.copy(sample_run.out / "log.json", out / "log.json")
    command = ["intent", "apply", "--out", str(out)]
    sample_run.run(command)
    killed = subprocess.Popen(
        ["intent", "dataset", "--out", str(out)],
        cwd=sample_run.folder,
        env=sample_run.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list((out / "dataset").glob("*/*.parquet"))) < 2:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    kept = {p: p.stat().st_mtime_ns for p in (out / "dataset").glob("*/[0-9]*.parquet")}
    assert kept
    assert not (out / "dataset" / "manifest.json").exists()
    assert sample_run.run(["intent", "train", "--out", str(out)], expect=1).stderr.count("intent dataset") == 1
    sample_run.run(["intent", "dataset", "--out", str(out)])
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())  # no part twice
    for part in (sample_run.out / "dataset").glob("*/*.parquet"):
        twin = out / "dataset" / part.relative_to(sample_run.out / "dataset")
        assert pq.read_table(part).equals(pq.read_table(twin))


def test_a_port_in_use_is_refused(sample_run) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        done = sample_run.run(["intent", "serve", "--port", port], expect=1)
    assert f"Port {port} of 127.0.0.1 cannot be listened on" in done.stderr


def test_a_changed_byte_in_the_published_model_is_refused(sample_run, tmp_path) -> None:
    tags = json.loads((sample_run.out / "published.json").read_text())
    home = tmp_path / "bentoml"
    shutil.copytree(sample_run.out / tags["home"], home)
    out = tmp_path / "run"
    out.mkdir()
    shutil.copytree(sample_run.out / "feast", out / "feast")
    (out / "published.json").write_text(json.dumps({**tags, "home": str(home)}))
    artefact = next((home / "models" / tags["model"].replace(":", "/")).rglob("*.ubj"))  # others lie beside it
    content = bytearray(artefact.read_bytes())
    content[len(content) // 2] ^= 1
    artefact.write_bytes(bytes(content))
    done = sample_run.run(["intent", "serve", "--check", "--out", str(out)], expect=1)
    assert "model.ubj" in done.stderr


def test_serving_without_a_publication_is_refused(sample_run, tmp_path) -> None:
    done = sample_run.run(["make", "serve", f"OUT={tmp_path}"], expect=2)  # make's own code for a failed recipe
    assert "intent publish" in done.stderr


def test_the_bento_alone_says_why_it_is_not_ready(sample_run) -> None:
    tags = json.loads((sample_run.out / "published.json").read_text())
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    home = str(sample_run.out / tags["home"])
    environment = {**sample_run.environment, "BENTOML_HOME": home, "BENTOML_DO_NOT_TRACK": "True"}
    server = subprocess.Popen(
        [str(Path(shutil.which("bentoml", path=environment["PATH"]))), "serve", tags["bento"], "--port", str(port)],
        env=environment,
        cwd=sample_run.folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert "INTENT_ONLINE_URL is not set" in wait_for_refusal(port)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def wait_for_refusal(port: int) -> str:
    import httpx

    deadline, last = time.monotonic() + 90, ""
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5)
        except httpx.HTTPError:
            time.sleep(0.3)
            continue
        assert answer.status_code == 503
        last = answer.text
        if "starting" not in last:
            return last
        time.sleep(0.3)
    return last
