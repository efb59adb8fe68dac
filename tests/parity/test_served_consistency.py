"""Served equals offline on a real log, with events pushed in between; where it does not, the job says so, and why."""

import json
import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from feature_repo.transforms import activity
from intent_cli.main import run
from tests.production import production_environment
from tests.serving_days import DAY, DAYS, VIEWS, YEAR_LATER, Shop, micros
from training.adapters import ingest
from training.pipelines import feature_store
from training.progress import Silent
from training.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def serve_days(shop: Shop, folder: Path, vectors: int, days: Sequence[datetime]) -> None:
    """Days in a row and one a year later, each after its nightly batch."""
    log = shop.served_log(folder)
    for day in days:
        shop.nightly_batch(day)
        shop.serve_a_day(day, log, vectors // len(days))
    log.close()
    assert log.dropped == 0
    shop.learn()


def consistency(shop: Shop, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict]:
    capsys.readouterr()
    code = run(["consistency", "--log", str(folder), "--out", str(shop.out), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code in (0, 2), found
    return code, found


def require_exact(code: int, found: dict, vectors: int) -> None:
    """Nothing differs, and nothing of what makes it hard is missing."""
    differing = {
        f"{name}:{feature}": one
        for name, view in found["views"].items()
        for feature, one in view["features"].items()
        if one["exact"] != vectors
    }
    assert (differing, code, found["vectors"], found["differing"]) == ({}, 0, vectors, 0)
    assert set(found["views"]) == {*VIEWS, "user_activity", "customer_features"}
    status = {name: view["status"] for name, view in found["views"].items()}
    for name in ("user_history", "user_counters"):
        assert status[name]["stale"] >= vectors // 100, "expired rows"
        assert status[name]["fresh"] >= vectors // 2
    assert status["user_events"]["missing"] >= vectors // 50, "unknown customers"
    events = found["views"]["user_events"]["features"]["event_at"]
    assert events["unknown_on_both_sides"] < vectors // 5, "lists with something in them"
    activities = found["views"]["user_activity"]["features"]["event_count_7d"]
    assert activities["rows"] == vectors


@pytest.fixture(scope="module")
def shop(sample_run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Path]]:
    """A shop of 1,600 customers that has served for three days, and its log."""
    folder = tmp_path_factory.mktemp("days")
    opened = Shop.open(folder / "run", sample_run.out)
    serve_days(opened, folder / "served", 2100, (*DAYS[:2], YEAR_LATER))
    assert run(["apply", "--out", str(opened.out)]) == 0
    yield opened, folder / "served"
    opened.outbox.close()


def test_what_was_served_is_what_training_sees(shop, capsys: pytest.CaptureFixture[str]) -> None:
    opened, served = shop
    assert opened.pushed > 500
    assert opened.late > 20
    code, found = consistency(opened, served, capsys)
    require_exact(code, found, 2100)
    assert json.loads((opened.out / "consistency.json").read_text())["agrees"]
    page = (opened.out / "consistency.html").read_text()
    assert "same bits on both sides" in page
    assert not any(user in page for user in opened.users[:200])


def test_on_servers_too(
    sample_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Registry, ledger and outbox in PostgreSQL, online rows in Redis."""
    monkeypatch.delenv("INTENT_ONLINE_URL", raising=False)
    with production_environment(tmp_path) as servers:
        for name, value in servers.items():
            monkeypatch.setenv(name, value)
        opened = Shop.open(tmp_path / "run", sample_run.out)
        try:
            serve_days(opened, tmp_path / "served", 1050, (*DAYS[:2], YEAR_LATER))
            assert not list((opened.out / "feast").glob("*.db"))
            assert run(["apply", "--out", str(opened.out)]) == 0
            code, found = consistency(opened, tmp_path / "served", capsys)
            require_exact(code, found, 1050)
        finally:
            opened.outbox.close()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fifty_thousand_served_vectors_of_every_customer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ingest(Settings.load(ROOT / "intent.toml"), tmp_path / "source")
    opened = Shop.open(tmp_path / "run", tmp_path / "source")
    serve_days(opened, tmp_path / "served", 50_000, (*DAYS, YEAR_LATER))
    assert opened.pushed > 15_000
    assert opened.late > 500
    assert run(["apply", "--out", str(opened.out)]) == 0
    code, found = consistency(opened, tmp_path / "served", capsys)
    require_exact(code, found, 50_000)


# ── Skews, each put in on purpose ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def skewed(shop, tmp_path: Path):
    """The shop, and what serves some customers at some moments and returns the log's folder."""
    opened, _ = shop
    kept = opened.lookup

    def serve(asked: dict[int, list[str]]) -> Path:
        log = opened.served_log(tmp_path / "served")
        for at_us, users in asked.items():
            opened.serve(at_us, users, log)
        log.close()
        return tmp_path / "served"

    yield opened, serve
    opened.lookup = kept


def materialised(opened: Shop, at, folder: Path, changed: dict[str, pa.Table] | None = None):
    """A lookup over a store of its own, materialised at a moment, with some tables altered for it."""
    changed, online, project = changed or {}, folder / "online.db", "skewed"
    features = opened.out / "features"
    for name in changed:
        shutil.copy(features / f"{name}.parquet", folder / f"{name}.kept")
        pq.write_table(changed[name], features / f"{name}.parquet")
    try:
        feature_store.materialise(opened.out, at, Silent(), online=online, project=project, views=list(VIEWS))
    finally:
        for name in changed:
            shutil.copy(folder / f"{name}.kept", features / f"{name}.parquet")
    opened.lookup = opened.lookup_over(online, project)


def hints(found: dict, view: str) -> set[str]:
    return {hint["kind"] for hint in found["views"][view]["hints"]}


def mornings(opened: Shop, day) -> dict[int, list[str]]:
    """Before the shop opens: nothing became known since midnight but what was late."""
    return {micros(day) + hour * 3_600_000_000: opened.customers(50) for hour in range(6)}


def test_a_moment_stored_in_the_wrong_time_zone_is_found(skewed, tmp_path: Path, capsys) -> None:
    opened, serve = skewed
    table = pq.read_table(opened.out / "features" / "user_history.parquet")
    place = table.column_names.index("first_purchase_at")
    wrong = pc.add(table["first_purchase_at"], -8 * 3_600_000_000)
    materialised(opened, DAYS[1], tmp_path, {"user_history": table.set_column(place, "first_purchase_at", wrong)})
    code, found = consistency(opened, serve(mornings(opened, DAYS[1])), capsys)
    assert code == 2
    assert "time zone" in hints(found, "user_history")
    assert [hint["text"] for hint in found["views"]["user_history"]["hints"] if hint["kind"] == "time zone"] == [
        "first_purchase_at was served -8 hours from what it is offline"
    ]
    fine = [name for name, one in found["views"]["user_history"]["features"].items() if one["exact"] == one["rows"]]
    assert len(fine) == len(found["views"]["user_history"]["features"]) - 1


def test_a_window_that_is_off_by_one_is_found(skewed, tmp_path: Path, capsys, monkeypatch) -> None:
    """Each customer is asked about exactly a week after a visit, when a window of 7 days lets it go."""
    opened, serve = skewed
    materialised(opened, DAYS[1], tmp_path)
    leaving = opened.happened + 7 * 86_400_000_000
    today = np.flatnonzero((leaving >= micros(DAYS[1])) & (leaving < micros(DAYS[1] + DAY)))
    asked = dict(sorted(zip(leaving[today].tolist(), opened.visitors[today].tolist(), strict=True)))
    longer = {name: length + 1 for name, length in activity.WINDOWS.items()}  # [t - w, t] for (t - w, t]
    with monkeypatch.context() as patched:
        patched.setattr(activity, "WINDOWS", longer)
        folder = serve({at: [user] for at, user in asked.items()})
    code, found = consistency(opened, folder, capsys)
    assert code == 2
    assert "off by one" in hints(found, "user_activity")
    assert any("event_count_7d" in hint["text"] for hint in found["views"]["user_activity"]["hints"])


def test_a_stale_materialisation_is_found(skewed, tmp_path: Path, capsys) -> None:
    opened, serve = skewed
    materialised(opened, DAYS[0], tmp_path)
    folder = serve(mornings(opened, DAYS[1]))
    code, found = consistency(opened, folder, capsys)
    assert code == 2
    assert "stale" in hints(found, "user_history")
    assert "stale" in hints(found, "user_baskets")
    assert found["views"]["user_baskets"]["features"]["basket_at"]["mean_edit_distance"] >= 1
    assert run(["consistency", "--log", str(folder), "--out", str(opened.out), "--limit", "1"]) == 0
    told = capsys.readouterr().out
    assert "looks like stale" in told
    assert "served and offline agree" in told
