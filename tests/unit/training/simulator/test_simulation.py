"""The folder of a simulated shop: whole or not at all, the same bytes for the same seed, a log like any other."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from feature_repo.errors import InputError, SettingsError, SourceDataError
from training.adapters import ingest
from training.dataset.anchors import open_log
from training.evaluation.ceiling import read_ceiling, share_of_reachable
from training.simulator import block as blocks
from training.simulator.simulation import Size, read_manifest, simulate
from training.tasks import task_named

SMALL = Size(customers=600, days=42, items=500, seed=3)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    from training.settings import Settings

    out = tmp_path_factory.mktemp("shop")
    root = Path(__file__).resolve().parents[4]
    settings = Settings.load(root / "examples" / "simulated_shop.toml")
    simulate(settings, out, Size(customers=1_500, days=42, items=500, seed=3))
    ingest(settings, out, path=out / "simulation")
    return out


def test_the_same_seed_gives_the_same_bytes(settings_for, tmp_path):
    for name in ("one", "other"):
        simulate(settings_for(), tmp_path / name, SMALL)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    simulate(settings_for(), tmp_path / "other", Size(customers=600, days=42, items=500, seed=4))
    assert contents(tmp_path / "one") != contents(tmp_path / "other")


def test_a_larger_shop_has_the_same_first_customers(settings_for, tmp_path, monkeypatch):
    """Blocks draw their numbers by themselves, so how many there are, and what was written before, changes no byte."""
    monkeypatch.setattr(blocks, "BLOCK", 200)
    monkeypatch.setattr("training.simulator.simulation.BLOCK", 200)
    for customers in (400, 600):
        simulate(settings_for(), tmp_path / str(customers), Size(customers, 42, 500, 3))
    parts = {name: content for name, content in contents(tmp_path / "400").items() if "/part-" in name}
    assert len(parts) == 2
    larger = contents(tmp_path / "600")
    assert {name: larger[name] for name in parts} == parts


def test_events_do_not_depend_on_what_is_asked(settings_for, tmp_path):
    tasks = {
        "purchase_within_horizon": settings_for(),
        "churn": settings_for(task={"name": "churn"}),
        "purchase_in_session": settings_for(
            task={"name": "purchase_in_session", "horizon_days": None}, anchors={"every": None}
        ),
        "purchase_of_item": settings_for(task={"name": "purchase_of_item", "features": None}),
    }
    found = {}
    for name, settings in tasks.items():
        told = simulate(settings, tmp_path / name, SMALL)
        assert told["synthetic"]
        assert (told["ceiling"] is None) == (name == "purchase_of_item")
        found[name] = {file: digest for file, digest in told["files"].items() if file != "ceiling.parquet"}
    assert len({json.dumps(files) for files in found.values()}) == 1


def test_the_manifest_names_version_parameters_and_files(shop):
    told = read_manifest(shop / "simulation")
    assert told["simulator_version"] == 1
    assert len(told["parameters_sha256"]) == 64
    assert told["counts"]["events"] == pq.read_table(shop / "simulation" / "events").num_rows
    card = json.loads((shop / "data_card.json").read_text())
    assert "synthetic" in card["title"]
    assert card["source"].startswith("synthetic, simulator version 1, parameters ")
    assert card["quarantined"] == {}


def test_the_log_has_every_type_and_sessions_are_apart(shop):
    events = pq.read_table(shop / "events").sort_by([("user_id", "ascending"), ("event_timestamp", "ascending")])
    kinds = set(events["event_type"].unique().to_pylist())
    assert kinds == {"view", "search", "favourite", "add_to_cart", "purchase"}
    at = events["event_timestamp"].cast("int64").to_numpy() // 1_000_000
    user = events["user_id"].dictionary_encode().combine_chunks().indices.to_numpy()
    session = events["session_id"].dictionary_encode().combine_chunks().indices.to_numpy()
    pause, same_user, same_session = np.diff(at), np.diff(user) == 0, np.diff(session) == 0
    assert (pause[same_user] >= 1).all()  # no two events of a customer at one moment
    assert (pause[same_session] < 1_800).all()
    assert (pause[same_user & ~same_session] >= 1_800).all()


def test_what_is_bought_was_carted_or_seen_and_costs_its_price(shop):
    bought = pq.read_table(shop / "events").filter(pc.field("event_type") == "purchase")
    items = pq.read_table(shop / "items").select(["item_id", "list_price", "unit_cost", "category", "title"])
    joined = bought.drop_columns(["list_price"]).join(items, "item_id", right_suffix="_known")
    assert joined["title"].null_count == 0
    assert (joined["category"].to_numpy() == joined["category_known"].to_numpy()).all()
    paid = joined["list_price"].to_numpy() * joined["quantity"].to_numpy()
    assert np.allclose(joined["revenue"].to_numpy(), paid, atol=0.006)
    assert (bought["currency"].to_numpy() == "EUR").all()


def test_every_event_about_an_item_tells_its_price(shop):
    events = pq.read_table(shop / "events", columns=["event_type", "item_id", "list_price"])
    prices = pq.read_table(shop / "items", columns=["item_id", "list_price"])
    assert pc.all(pc.equal(pc.is_null(events["item_id"]), pc.is_null(events["list_price"]))).as_py()
    assert {"view", "purchase"} <= set(events.filter(pc.is_valid(events["list_price"]))["event_type"].to_pylist())
    joined = events.drop_null().join(prices, "item_id", right_suffix="_known")
    assert (joined["list_price"].to_numpy() == joined["list_price_known"].to_numpy()).all()


def test_reviews_tell_quality_after_the_purchase(shop):
    told = pq.read_table(shop / "simulation" / "reviews.parquet")
    bought = pq.read_table(shop / "events").filter(pc.field("event_type") == "purchase")
    first = bought.group_by(["user_id", "item_id"]).aggregate([("event_timestamp", "min")])
    joined = told.join(first, ["user_id", "item_id"])
    assert joined.num_rows == told.num_rows > 0
    assert pc.all(pc.greater(joined["event_timestamp"], joined["event_timestamp_min"])).as_py()
    assert set(told["stars"].to_pylist()) <= {1, 2, 3, 4, 5}


@pytest.mark.parametrize("task", ["purchase_within_horizon", "add_to_cart", "churn"])
def test_the_ceiling_has_the_anchors_of_the_task_and_is_calibrated(settings_for, tmp_path, task):
    settings = settings_for(task={"name": task}, anchors={"known_by": "event" if task == "churn" else "purchase"})
    simulate(settings, tmp_path, Size(customers=1_500, days=42, items=500, seed=3))
    ingest(settings, tmp_path, path=tmp_path / "simulation")
    rows = 0
    with open_log(tmp_path) as log:
        for chunk in task_named(task).anchors(tmp_path, settings, 50_000).chunks():
            if chunk.split is None:
                continue
            found = _ceiling_of(tmp_path, chunk.anchors)
            label = chunk.anchors["label"].to_numpy()
            spread = np.sqrt((found.best * (1 - found.best)).sum())
            assert abs(label.sum() - found.best.sum()) < 4 * spread
            rows += len(label)
        assert log is not None
    assert rows == pq.read_metadata(tmp_path / "simulation" / "ceiling.parquet").num_rows


def _ceiling_of(out, anchors):
    at = anchors["event_timestamp"].cast("int64").to_numpy()
    return read_ceiling(out / "simulation" / "ceiling.parquet", anchors["user_id"].to_pylist(), at)


def test_session_prefixes_have_their_ceiling(settings_for, tmp_path):
    settings = settings_for(task={"name": "purchase_in_session", "horizon_days": None}, anchors={"every": None})
    simulate(settings, tmp_path, SMALL)
    ingest(settings, tmp_path, path=tmp_path / "simulation")
    anchors = task_named("purchase_in_session").anchors(tmp_path, settings, 50_000)
    rows = 0
    for chunk in anchors.chunks():
        found, label = _ceiling_of(tmp_path, chunk.anchors), chunk.anchors["label"].to_numpy()
        assert abs(label.sum() - found.best.sum()) < 6 * np.sqrt((found.best * (1 - found.best)).sum())
        rows += len(label)
    assert rows > 2_000


def test_recency_alone_takes_at_most_three_fifths_of_what_is_reachable(shop):
    """Logistic regression on recency, frequency, money and tenure, fitted on the very rows that it is judged on."""
    from training.settings import Settings

    settings = Settings.load(Path(__file__).resolve().parents[4] / "examples" / "simulated_shop.toml")
    query = """SELECT date_diff('hour', max(event_timestamp), $at) AS recency, count(*) AS lines,
            sum(revenue) / count(*) AS money, date_diff('hour', min(event_timestamp), $at) AS tenure, user_id
        FROM events WHERE event_type = 'purchase' AND event_timestamp < $at GROUP BY user_id ORDER BY user_id"""
    tables, labels, best = [], [], []
    with open_log(shop) as log:
        for chunk in task_named("purchase_within_horizon").anchors(shop, settings, 50_000).chunks():
            if chunk.split is None:
                continue
            found = log.execute(query, {"at": chunk.anchors["event_timestamp"][0].as_py()}).fetchnumpy()
            assert found["user_id"].tolist() == chunk.anchors["user_id"].to_pylist()
            columns = np.stack([np.asarray(found[name], float) for name in ("recency", "lines", "money", "tenure")], 1)
            tables.append(np.concatenate([columns, np.log1p(columns)], axis=1))
            labels.append(chunk.anchors["label"].to_numpy())
            best.append(_ceiling_of(shop, chunk.anchors).best)
    table, label, known = np.concatenate(tables), np.concatenate(labels), np.concatenate(best)
    table = (table - table.mean(0)) / table.std(0)
    told = LogisticRegression(max_iter=500).fit(table, label).predict_proba(table)[:, 1]
    taken = share_of_reachable(label, told, float(label.mean()), known)
    assert 0.05 < taken < 0.6
    assert share_of_reachable(label, known, float(label.mean()), known) == pytest.approx(1)
    assert share_of_reachable(label, np.full(len(label), label.mean()), float(label.mean()), known) == pytest.approx(0)


def test_anchors_that_the_ceiling_lacks_are_counted(shop):
    with pytest.raises(SourceDataError, match=r"lacks 2 of 2 anchors .* run `intent simulate`"):
        read_ceiling(shop / "simulation" / "ceiling.parquet", ["c0000001", "nobody"], np.array([1, 2]))


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"task": {"horizon_days": None, "horizon_hours": 30}}, "from midnight to midnight .* 1.25 days"),
        ({"anchors": {"timezone": "Asia/Shanghai"}}, "2024-02-11 16:00 UTC; expected a midnight"),
        ({"anchors": {"first": "2023-12-04"}}, "anchors after the beginning"),
        ({"splits": {"log_end": "2024-02-12T03:00:00"}}, "expected a midnight"),
    ],
)
def test_a_task_that_the_shop_cannot_answer_is_refused_before_anything_is_written(
    settings_for, tmp_path, sections, says
):
    from training.settings import Settings

    settings = Settings.model_validate(settings_for(**sections).model_dump())
    with pytest.raises(SettingsError, match=says):
        simulate(settings, tmp_path, SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_simulation_of_another_version_says_what_to_do(shop, settings_for, tmp_path):
    shutil.copytree(shop / "simulation", tmp_path / "simulation")
    told = json.loads((tmp_path / "simulation" / "simulation.json").read_text())
    (tmp_path / "simulation" / "simulation.json").write_text(json.dumps(told | {"format": 1}))
    with pytest.raises(SourceDataError, match=r"shop of format 1, .* expected 2. Run `intent simulate` again"):
        ingest(settings_for(), tmp_path / "out", path=tmp_path / "simulation")


def test_no_size_is_refused(settings_for, tmp_path):
    with pytest.raises(InputError, match="No shop has customers 0, seed -1; expected"):
        simulate(settings_for(), tmp_path, Size(customers=0, seed=-1))


def test_a_simulation_that_fails_leaves_the_one_before(settings_for, tmp_path, monkeypatch):
    simulate(settings_for(), tmp_path, SMALL)
    before = contents(tmp_path)
    monkeypatch.setattr("training.simulator.simulation.reviews_of", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        simulate(settings_for(), tmp_path, Size(customers=600, days=42, items=500, seed=9))
    assert contents(tmp_path) == before


def test_a_killed_simulation_leaves_nothing_that_the_next_does_not_sweep(settings_for, tmp_path):
    root = Path(__file__).resolve().parents[4]
    command = [
        *(sys.executable, "-m", "intent_cli.main", "simulate", "--config", str(root / "examples/simulated_shop.toml")),
        *("--out", str(tmp_path / "out"), "--customers", "40000"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=root)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob(".simulation.*/events/part-00001.parquet")):
        assert process.poll() is None, "the simulation ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out" / "simulation").exists()
    simulate(settings_for(), tmp_path / "out", SMALL)
    simulate(settings_for(), tmp_path / "again", SMALL)
    assert contents(tmp_path / "out") == contents(tmp_path / "again")
