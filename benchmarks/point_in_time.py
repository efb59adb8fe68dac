"""Point-in-time joins beside their floor and their peers, in one run, as ratios.

    python -m benchmarks.point_in_time            # all cases but the largest
    python -m benchmarks.point_in_time --large    # also 1M anchors x 10M rows, three views

Every contender runs in a process of its own, capped in time, memory and size of spill files, so that a peer that
explodes is reported and not felt. Times are the best of the rounds; memory is what a run adds to its process.
Processor seconds, of all cores together, are what to compare on a machine that has other work.
"""

import argparse
import contextlib
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

BASE = 1_700_000_000_000_000
SPAN = 60 * 86_400 * 10**6
FEATURES = [f"f{i}" for i in range(10)]
MICROSECONDS = pa.timestamp("us", tz="UTC")
SECONDS, MEMORY, SPILL = 180, 9 << 30, 4 << 30


@dataclass(frozen=True)
class Case:
    """One size and shape of data."""

    anchors: int
    rows: int
    keys: int
    zipf: bool = False
    created: bool = False
    views: int = 1
    sequence: bool = False
    rounds: int = 3


CASES = {
    "plain": Case(50_000, 800_000, 2_000, rounds=5),
    "late": Case(50_000, 800_000, 2_000, created=True, rounds=5),
    "zipf": Case(200_000, 1_000_000, 1_000_000, zipf=True, rounds=5),
    "large": Case(1_000_000, 10_000_000, 100_000, views=3, rounds=1),
    "sequence": Case(200_000, 2_000_000, 20_000, sequence=True),
    **{f"growth{i}": Case(25_000 * 2**i, 250_000 * 2**i, 2_500 * 2**i, rounds=7) for i in range(5)},
}
PLAN = {
    "plain": ["raw", "ours", "feast_duckdb", "feast_dask"],
    "late": ["raw", "ours"],
    "zipf": ["raw", "ours", "polars", "feast_duckdb"],
    "sequence": ["numpy", "ours"],
    **{f"growth{i}": ["ours"] for i in range(5)},
    "large": ["ours"],
}
TARGETS = {
    ("plain", "raw"): 1.5,
    ("plain", "feast_duckdb"): 1 / 10,
    ("plain", "feast_dask"): 1 / 25,
    ("late", "raw"): 3.5,
    ("zipf", "raw"): 1.5,
    ("zipf", "polars"): 2.5,
    ("sequence", "numpy"): 2.0,
}
"""The most that our time may be of a contender's."""


def make_data(case: Case, folder: Path) -> None:
    """Write anchors and rows; 5 % of the rows become known up to a day after they happened."""
    random = np.random.default_rng(7)

    def keys(count: int) -> np.ndarray:
        return np.minimum(random.zipf(1.3, count), case.keys) if case.zipf else random.integers(0, case.keys, count)

    writer = None
    for start in range(0, case.rows, 1_000_000):
        count = min(1_000_000, case.rows - start)
        event = BASE + random.integers(0, SPAN, count)
        late = np.where(random.random(count) < 0.05, random.integers(1, 86_400 * 10**6, count), 0)
        columns = {"k": keys(count), "event_timestamp": pa.array(event).cast(MICROSECONDS)}
        columns |= {"created": pa.array(event + late).cast(MICROSECONDS)} if case.created else {}
        columns |= {name: random.random(count) for name in FEATURES[: 4 if case.sequence else 10]}
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(folder / "rows.parquet", table.schema)
        writer.write_table(table)
    if writer:
        writer.close()
    moments = pa.array(BASE + random.integers(0, SPAN, case.anchors)).cast(MICROSECONDS)
    pq.write_table(pa.table({"k": keys(case.anchors), "event_timestamp": moments}), folder / "anchors.parquet")


def raw(case: Case, folder: Path) -> Callable[[], Any]:
    """The floor: DuckDB's ASOF LEFT JOIN to Arrow, without TTL, ties, creation times or order."""
    anchors = pq.read_table(folder / "anchors.parquet")
    columns = ", ".join(FEATURES)

    def run() -> Any:
        with duckdb.connect() as connection:
            connection.register("a", anchors)
            return connection.sql(
                f"SELECT a.*, {columns} FROM a ASOF LEFT JOIN read_parquet('{folder}/rows.parquet') f "
                "ON a.k = f.k AND a.event_timestamp >= f.event_timestamp"
            ).to_arrow_table()

    return run


def polars(case: Case, folder: Path) -> Callable[[], Any]:
    """Polars' join_asof, sorting included, as its users must."""
    import polars as pl

    anchors = pl.read_parquet(folder / "anchors.parquet").with_row_index("r")

    def run() -> Any:
        rows = pl.read_parquet(folder / "rows.parquet").sort("event_timestamp")
        joined = anchors.sort("event_timestamp").join_asof(rows, on="event_timestamp", by="k", check_sortedness=False)
        return joined.sort("r").to_arrow()

    return run


def numpy(case: Case, folder: Path) -> Callable[[], Any]:
    """Last 50 events by hand: lexsort, searchsorted, gather (one int64 holds key and time)."""
    anchors = pq.read_table(folder / "anchors.parquet")
    key, t = anchors["k"].to_numpy(), anchors["event_timestamp"].cast(pa.int64()).to_numpy()

    def run() -> Any:
        rows = pq.read_table(folder / "rows.parquet")
        k, e = rows["k"].to_numpy(), rows["event_timestamp"].cast(pa.int64()).to_numpy()
        order = np.lexsort((e, k))
        k, e = k[order], e[order]
        high = np.searchsorted(k * SPAN + (e - BASE), key * SPAN + (t - BASE), side="right")
        low = np.maximum(high - 50, np.searchsorted(k, key))
        count = high - low
        offsets = np.concatenate([[0], np.cumsum(count)])
        index = np.repeat(low - offsets[:-1], count) + np.arange(offsets[-1])
        return offsets, [rows[name].to_numpy()[order][index] for name in FEATURES[:4]]

    return run


def feast_store(case: Case, folder: Path, store_type: str) -> Callable[[], Any]:
    """A whole `get_historical_features(…).to_arrow()` through Feast."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource
    from feast.types import Array, Float64
    from feast.value_type import ValueType

    (folder / "feature_store.yaml").write_text(
        "project: bench\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
        f"online_store: {{type: sqlite, path: online.db}}\noffline_store: {{type: {store_type}}}\n"
    )
    tags = {"sequence.length": "50"} if case.sequence else {}
    options = {"created_timestamp_column": "created"} if case.created else {}
    source = FileSource(
        name="rows", path=str(folder / "rows.parquet"), timestamp_field="event_timestamp", tags=tags, **options
    )
    names = FEATURES[: 4 if case.sequence else 10]
    fields = [Field(name=name, dtype=Array(Float64) if case.sequence else Float64) for name in names]
    entity = Entity(name="key", join_keys=["k"], value_type=ValueType.INT64)
    views = [
        FeatureView(name=f"view{i}", entities=[entity], ttl=timedelta(days=60), schema=fields, source=source)
        for i in range(case.views)
    ]
    store = FeatureStore(repo_path=str(folder))
    store.apply([entity, *views])
    anchors = pd.read_parquet(folder / "anchors.parquet")
    refs = [f"{view.name}:{name}" for view in views for name in names]
    return lambda: store.get_historical_features(anchors, refs, full_feature_names=True).to_arrow()


CONTENDERS: dict[str, Callable[[Case, Path], Callable[[], Any]]] = {
    "raw": raw,
    "polars": polars,
    "numpy": numpy,
    "ours": lambda case, folder: feast_store(case, folder, "intent_stores.offline_asof.AsofOfflineStore"),
    "feast_duckdb": lambda case, folder: feast_store(case, folder, "duckdb"),
    "feast_dask": lambda case, folder: feast_store(case, folder, "dask"),
}


def contend(case: Case, contender: str, folder: Path) -> dict[str, float]:
    """Run one contender in this process, under its caps."""
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    run = CONTENDERS[contender](case, folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, processor = [], []
    added = 0.0
    for number in range(1 if contender.startswith("feast") else case.rounds):
        start, used = time.perf_counter(), time.process_time()
        run()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
        if number == 0:
            # Later rounds reuse the first one's memory or fragment it; a caller pays for the first.
            added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"seconds": min(seconds), "processor": min(processor), "megabytes": added}


def measure(name: str, contender: str, folder: Path) -> dict[str, float] | str:
    """Run one contender in a process of its own; the reason as text where it does not finish."""
    command = [sys.executable, "-m", "benchmarks.point_in_time", "--one", name, contender, str(folder)]
    deadline, room = time.monotonic() + SECONDS, size(folder) + SPILL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while True:
            try:
                shown, complaint = process.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                late, wide = time.monotonic() > deadline, size(folder) > room
            if late or wide:
                process.kill()
                return f"stopped: not within {SECONDS} s" if late else f"stopped: spilled over {SPILL >> 30} GB"
    if process.returncode != 0:
        lines = [line for line in complaint.splitlines() if "Error" in line or "Exception" in line] or ["killed"]
        return f"failed: {lines[-1][:110]}"
    return json.loads(shown.strip().splitlines()[-1])


def size(folder: Path) -> int:
    """Bytes of all files below a folder, of which a process may remove some meanwhile."""
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def compete(name: str, folder: Path) -> dict[str, dict[str, float] | str]:
    """Measure a case's contenders in turn, twice, so that a busy minute of the machine hits all; the best counts."""
    results = {contender: measure(name, contender, folder) for contender in PLAN[name]}
    for contender, first in results.items():
        if contender.startswith("feast") or name == "large":
            continue
        again = measure(name, contender, folder)
        if isinstance(first, dict) and isinstance(again, dict):
            results[contender] = {unit: min(first[unit], again[unit]) for unit in first}
    return results


def report(name: str, results: dict[str, dict[str, float] | str]) -> None:
    """Print one case: seconds, memory, and our ratio to each other contender."""
    case, ours = CASES[name], results["ours"]
    shape = f"{case.anchors:,} anchors x {case.rows:,} rows" + (f" x {case.views} views" if case.views > 1 else "")
    print(f"\n{name}: {shape}")
    for contender, result in results.items():
        if isinstance(result, str):
            print(f"  {contender:13} {result}")
            continue
        ratio = ""
        if contender != "ours" and isinstance(ours, dict):
            times, used, memory = (ours[unit] / max(result[unit], 1e-9) for unit in result)
            most = f" (target {TARGETS[name, contender]:g})" if (name, contender) in TARGETS else ""
            ratio = f"ours / it: {times:.3f} x time{most}, {used:.3f} x processor, {memory:.2f} x memory"
        shown = f"{result['seconds']:8.2f} s {result['processor']:8.2f} s of processor {result['megabytes']:8.0f} MB"
        print(f"  {contender:13} {shown}   {ratio}", flush=True)


def main() -> None:
    """Run the benchmark, or one contender of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=3, metavar=("CASE", "CONTENDER", "FOLDER"))
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--cases", nargs="*", choices=list(CASES))
    arguments = parser.parse_args()
    if arguments.one:
        name, contender, folder = arguments.one
        print(json.dumps(contend(CASES[name], contender, Path(folder))))
        return
    growth: list[dict[str, float]] = []
    for name in arguments.cases or [name for name in PLAN if name != "large" or arguments.large]:
        with tempfile.TemporaryDirectory(prefix="point-in-time-") as folder:
            make_data(CASES[name], Path(folder))
            results = compete(name, Path(folder))
        report(name, results)
        if name.startswith("growth") and isinstance(results["ours"], dict):
            growth.append(results["ours"])
    for unit in ("seconds", "processor") if len(growth) > 1 else ():
        steps = [f"{after[unit] / before[unit]:.2f}" for before, after in itertools.pairwise(growth)]
        print(f"\ngrowth: each doubling costs x {', x '.join(steps)} ({unit}; target 2.30)")


if __name__ == "__main__":
    main()
