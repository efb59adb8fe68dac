"""`feast materialize` of 200,000 rows × 20 features through the chunked engine, and through Feast's own stores.

    python -m benchmarks.materialize                # both stores
    python -m benchmarks.materialize --store redis

All go through `FeatureStore.materialize`, from the same Parquet rows, each in a process of its own, whose largest
memory is printed. Feast's way takes minutes for as many rows, so it gets fewer: its rows a second are what is compared
(they do not grow with the number: it works row by row).
"""

import argparse
import contextlib
import io
import multiprocessing
import resource
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.online_read import FEATURES, NOW, PACKED, Place, place_for, rows

ROWS, PEER_ROWS = 200_000, 20_000
ENGINE = {"type": "intent_stores.batch_engine.ChunkedBatchEngine", "ledger": "sqlite:///ledger.db"}
OURS = {"offline_store": {"type": "intent_stores.offline_asof.AsofOfflineStore"}, "batch_engine": ENGINE}


def write_source(folder: Path, count: int) -> None:
    """Write rows of `count` keys, one each."""
    pq.write_table(rows("item_id", count, False), folder / "rows.parquet")


def open_project(place: Place, name: str, online: dict[str, Any], more: dict[str, Any]) -> Any:
    """Return an applied project with one view of 20 floats over the written rows."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource
    from feast.repo_config import RepoConfig
    from feast.types import Float64
    from feast.value_type import ValueType

    config = RepoConfig(
        project=name,
        provider="local",
        registry=str(place.folder / f"{name}-registry.db"),
        online_store=online,
        entity_key_serialization_version=3,
        repo_path=place.folder,
        **more,
    )
    store = FeatureStore(config=config)
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
    source = FileSource(name="rows", path=str(place.folder / "rows.parquet"), timestamp_field="event_timestamp")
    schema = [Field(name=feature, dtype=Float64) for feature in FEATURES]
    store.apply([item, FeatureView(name="items", entities=[item], schema=schema, source=source, ttl=timedelta(0))])
    return store


def online_settings(place: Place, packed: bool) -> dict[str, Any]:
    """Return what stands under `online_store:` for our store of this kind, or for Feast's."""
    if place.kind == "redis":
        theirs = {"type": "redis", "connection_string": f"127.0.0.1:{place.port}"}
        return {"type": PACKED["redis"], "url": place.url} if packed else theirs
    path = str(place.folder / ("packed.db" if packed else "feast.db"))
    return {"type": PACKED["sqlite"] if packed else "sqlite", "path": path}


def measured(place: Place, name: str, packed: bool, more: dict[str, Any], answer: Any) -> None:
    """Materialise once; send seconds, largest memory in MB, and how many of 1,000 keys are then found online."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        store = open_project(place, name, online_settings(place, packed), more)
        begun = time.perf_counter()
        store.materialize(NOW - timedelta(days=2), NOW)
        took = time.perf_counter() - begun
        asked = [{"item_id": f"i{key}"} for key in range(1000)]
        values = store.get_online_features(["items:f0"], asked).to_dict()["f0"]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answer.put((took, memory, sum(value is not None for value in values)))


def in_a_process(place: Place, name: str, packed: bool, more: dict[str, Any]) -> tuple[float, float, int]:
    """Return what `measured` sends.

    Raises:
        RuntimeError: the process failed.
    """
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=measured, args=(place, name, packed, more, answer))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"materialising {name} ended with {process.exitcode}")
    found: tuple[float, float, int] = answer.get()
    return found


def report(kind: str, repeats: int) -> None:
    """Print a row for each contender; they take turns, and the fastest of a contender's runs counts."""
    contenders: dict[str, tuple[bool, dict[str, Any], int]] = {
        "ours": (True, OURS, ROWS),
        "ours, without the engine": (True, {"offline_store": OURS["offline_store"]}, PEER_ROWS),
        "Feast": (False, {}, PEER_ROWS),
    }
    runs: dict[str, list[tuple[float, float, int]]] = {name: [] for name in contenders}
    for turn in range(repeats):
        for name, (packed, more, count) in contenders.items():
            with place_for(kind) as place:
                write_source(place.folder, count)
                runs[name].append(in_a_process(place, f"materialize{turn}", packed, more))
    print(f"\n| {kind}: feast materialize, 20 features | rows | seconds | rows/s | ours / it | largest MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    fastest = {name: min(run[0] for run in found) for name, found in runs.items()}
    for name, (_, _, count) in contenders.items():
        if any(found != 1000 for _, _, found in runs[name]):
            raise RuntimeError(f"{name}: not every key is online")
        rate, memory = count / fastest[name], max(run[1] for run in runs[name])
        ratio = ROWS / fastest["ours"] / rate
        print(f"| {name} | {count:,} | {fastest[name]:.2f} | {rate:,.0f} | {ratio:.1f} | {memory:,.0f} |")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=list(PACKED), action="append")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for kind in options.store or list(PACKED):
        if kind == "redis" and shutil.which("redis-server") is None:
            print("\nno redis-server here: its cases are left out")
            continue
        report(kind, options.repeats)


if __name__ == "__main__":
    main()
