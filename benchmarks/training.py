"""Training beside the bare libraries on the same arrays, in one run; figures are printed as ratios.

    python -m benchmarks.training             # about twenty minutes on two cores; writes 4 GB to a temporary folder
    python -m benchmarks.training --anchors 50000

Ends with 1 if a bound is missed, and says MISSED behind it: figures of a quiet machine, which a busy one may miss.

1. An epoch of `sequence_lstm` (levels of dates, averaged weights) beside the `fit` of Keras: the same
   network, the same arrays, in memory and padded to one length.
2. Members fitted from a data set on disk: peak memory of the process that does it.
3. `boosted_trees` beside `xgboost.train` on a QuantileDMatrix, the same rounds on the same table: with as many threads
   as the member takes for so many rows, which is one and one more for every 50,000, and with all of them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.transforms.customer import customer_features
from training.dataset.examples import Examples
from training.dataset.stored_examples import StoredExamples
from training.date_levels import date_codes
from training.models import member
from training.models.boosted_trees.model import MEMBER as TREES
from training.models.boosted_trees.model import threads_for
from training.models.contract import FitSettings, chosen_parameters
from training.models.sequence_lstm.model import MEMBER as LSTM

DAY_US = 86_400_000_000
STEPS = 50
DATES = 8
SUMS = ("lines", "quantity", "revenue", "cost", "items", "categories")
IN_MEMORY = 60_000
OF_TABLE, BASKETS_OF_TABLE = 200_000, 5
# Two seconds a run: what else a machine does moves the shortest of three by a twentieth, of nine by a hundredth.
TIMES_OF_TREES = 9
FROM_DISK = {"boosted_trees": {}, "logistic_regression": {}, "sequence_lstm": {"epochs": 1}}
MOST_MEGABYTES = 1_536
MOST_OF_TREES, MOST_OF_EPOCH = 1.10, 1.15


def table(rows: int, date: int, seed: int, steps: int = STEPS) -> pa.Table:
    """Return `rows` anchors of one date as the data set has them: `steps` baskets each, half of them buy again."""
    random = np.random.default_rng(seed)
    at = (20_000 + 7 * date) * DAY_US
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * steps)
    pace = random.gamma(2.0, 3.0, (rows, 1))
    moments = at - (np.cumsum(random.exponential(pace, (rows, steps)), axis=1)[:, ::-1] * DAY_US).astype(np.int64)
    sums = {name: random.integers(1, 200, rows * steps).astype(float) for name in SUMS}
    label = random.random(rows) < 1 / (1 + np.exp((pace[:, 0] - 6) / 3))
    return pa.table(
        {
            "user_id": [f"{date}-{row}" for row in range(rows)],
            "event_timestamp": pa.array(np.full(rows, at), pa.timestamp("us", tz="UTC")),
            "label": label.astype(np.int64),
            "area": random.choice(["north", "south", "harbour"], rows),
            "lifetime_baskets": np.full(rows, float(steps)),
            "lifetime_lines": random.integers(50, 500, rows).astype(float),
            "lifetime_revenue": random.integers(500, 9_000, rows).astype(float),
            "first_purchase_at": moments[:, 0],
            "basket_at": pa.ListArray.from_arrays(offsets, pa.array(moments.ravel())),
            **{f"basket_{n}": pa.ListArray.from_arrays(offsets, pa.array(v)) for n, v in sums.items()},
        }
    )


def examples(rows: int, steps: int = STEPS) -> Examples:
    """Return `rows` anchors over `DATES` dates in memory."""
    parts = [table(rows // DATES, date, date, steps) for date in range(DATES)]
    return Examples.from_table(pa.concat_tables(parts), customer_features)


def write_dataset(folder: Path, rows: int) -> list[Path]:
    """Write `rows` anchors as parts of 50,000."""
    paths = []
    for start in range(0, rows, 50_000):
        paths.append(folder / f"part-{start:09d}.parquet")
        pq.write_table(table(min(50_000, rows - start), start * DATES // rows, start), paths[-1])
    return paths


def compared(times: int, ours: Callable[[], object], bare: Callable[[], object]) -> dict[str, float]:
    """Run each in turn, so many times; return the shortest seconds of each, and the ratios of clock and processor.

    Other work on the machine changes the processor's seconds less than the clock's.
    """
    found = [[_timed(run) for run in (ours, bare)] for _ in range(times)]
    clock, processor = ([min(pair[who][what] for pair in found) for who in (0, 1)] for what in (0, 1))
    ratios = {"ratio": clock[0] / clock[1], "processor": processor[0] / processor[1]}
    return {"ours": clock[0], "bare": clock[1]} | ratios


def _timed(run: Callable[[], object]) -> tuple[float, float]:
    clock, processor = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - clock, time.process_time() - processor


def compare_epochs(data: Examples) -> dict[str, float]:
    """Seconds of an epoch, ours and bare; the first one of each, which traces, is not counted."""
    from training.models.fit_encoding import fit_scaled_table, fit_sequence
    from training.models.network.inputs import inputs_of
    from training.models.network.keras_setup import quiet_keras
    from training.models.network.layers import build_network
    from training.models.network.layout import layout_of
    from training.models.network.member import table_features_of
    from training.models.network.rows import InMemory
    from training.models.network.training_loop import Labels, Training

    keras = quiet_keras(LSTM.name, 1)
    chosen = chosen_parameters(LSTM.name, LSTM.parameters, {}) | {"seed": 1}
    names = table_features_of(data.features, beside_a_sequence=True)
    tabular = fit_scaled_table(data.features, names, data.features.categorical)
    sequence = fit_sequence(data.features, data.features.sequences, STEPS)
    inputs, layout = inputs_of(sequence, tabular, data.features), layout_of(sequence, tabular)

    def build(padded: bool) -> Any:
        return build_network(layout, LSTM.architecture, chosen, padded=padded)

    training = Training(build, InMemory(inputs), Labels(data.label, date_codes(data.anchor_us)), chosen)
    bare = build(True)
    bare.compile(keras.optimizers.AdamW(chosen["learning_rate"]), keras.losses.BinaryCrossentropy(from_logits=True))
    arrays = [inputs.padded(np.arange(len(inputs))), inputs.lengths.astype(np.int32), inputs.tabular]
    label = data.label.astype(np.float32)[:, None]

    def keras_fit() -> None:
        bare.fit(arrays, label, batch_size=chosen["batch"], epochs=1, verbose=0)

    training.run_epoch(), keras_fit()
    return compared(3, training.run_epoch, keras_fit)


def compare_trees(data: Examples, threads: int, rounds: int = 100) -> dict[str, float]:
    """Seconds of a fit beside the same rounds of XGBoost alone with so many threads, from the same features.

    Both encode the features first, each once.
    """
    import xgboost as xgb

    from training.models.boosted_trees.model import FIXED, xgboost_parameters
    from training.models.fit_encoding import fit_raw_table

    chosen = chosen_parameters(TREES.name, TREES.parameters, {"rounds": rounds})

    def bare() -> None:
        table_of = fit_raw_table(data.features).apply(data.features)
        matrix = xgb.QuantileDMatrix(table_of, data.label, nthread=threads)
        told = {**FIXED, **xgboost_parameters(chosen), "nthread": threads}
        xgb.train(told, matrix, rounds)

    def ours() -> None:
        TREES.fit(data, None, FitSettings(7, parameters={"rounds": rounds}))

    return compared(TIMES_OF_TREES, ours, bare)


def fit_from_disk(folder: Path, name: str) -> None:
    """Fit a member from the parts in `folder`; print seconds, rows and peak memory. In a process of its own."""
    data = StoredExamples.open(sorted(folder.glob("*.parquet")), customer_features)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bench-scratch-") as scratch:
        member(name).fit(data, None, FitSettings(7, parameters=FROM_DISK[name], scratch=Path(scratch)))
    seconds = time.perf_counter() - start
    print(json.dumps({"rows": len(data), "seconds": seconds, "peak_mb": peak_megabytes()}))


def peak_megabytes() -> float:
    """Return the peak of resident memory since this program began (Linux's VmHWM).

    What `getrusage` tells goes on from the process that started this one, which has held all of the lines before.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(text.split()[1]) for text in lines if text.startswith("VmHWM:")) / 1024


def main() -> int:
    """Run all, and print a line each; 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anchors", type=int, default=1_000_000)
    parser.add_argument("--fit-from", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--member", choices=FROM_DISK, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fit_from:
        fit_from_disk(options.fit_from, options.member)
        return 0
    print(
        f"load of the last minute before the first line: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores", flush=True
    )
    held = [*trees_lines(options.anchors), epoch_line(options.anchors)]
    with tempfile.TemporaryDirectory(prefix="bench-training-") as folder:
        write_dataset(Path(folder), options.anchors)
        held += [disk_line(folder, name) for name in FROM_DISK]
    print(f"load of the last minute after the last: {os.getloadavg()[0]:.1f}")
    return 0 if all(held) else 1


def trees_lines(anchors: int) -> Iterator[bool]:
    """Print the trees' line, with the member's own threads, and one beside all cores if those are more.

    Yields whether the first is within its bound.
    """
    data = examples(min(OF_TABLE, anchors), BASKETS_OF_TABLE)
    own, all_of_them = threads_for(len(data)), os.cpu_count() or 1
    what = f"boosted_trees, {len(data):,} rows, {own} of {all_of_them} threads"
    yield line(what, compare_trees(data, own), f"XGBoost alone with {own}", MOST_OF_TREES)
    if own < all_of_them:
        line(what, compare_trees(data, all_of_them), f"XGBoost alone with {all_of_them}", None)


def epoch_line(anchors: int) -> bool:
    """Print the line of an epoch; return whether it is within its bound."""
    data = examples(min(IN_MEMORY, anchors))
    return line(
        f"an epoch of sequence_lstm, {len(data):,} x {STEPS}", compare_epochs(data), "Keras alone", MOST_OF_EPOCH
    )


def disk_line(folder: str, name: str) -> bool:
    """Print the line of a fit from disk; return whether it is within its bound."""
    command = [sys.executable, "-m", "benchmarks.training", "--fit-from", folder, "--member", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    disk = json.loads(done.stdout.splitlines()[-1])
    told = ", ".join(f"{key} {value}" for key, value in FROM_DISK[name].items())
    print(
        f"{name} from disk, {disk['rows']:,} x {STEPS}{f', {told}' if told else ''}: {disk['seconds']:.0f} s, peak "
        f"memory {disk['peak_mb']:,.0f} MB (at most {MOST_MEGABYTES:,}){verdict(disk['peak_mb'] <= MOST_MEGABYTES)}",
        flush=True,
    )
    return bool(disk["peak_mb"] <= MOST_MEGABYTES)


def line(what: str, found: dict[str, float], peer: str, most: float | None) -> bool:
    """Print ours, the peer's, and the ratio; return whether it is within its bound, if it has one."""
    held = most is None or found["ratio"] <= most
    bound = f" (at most {most:.2f})" if most is not None else ""
    print(
        f"{what}: {found['ours']:.2f} s, {peer} {found['bare']:.2f} s: ratio {found['ratio']:.2f}{bound}"
        f"{verdict(held)}, of processor seconds {found['processor']:.2f}",
        flush=True,
    )
    return held


def verdict(held: bool) -> str:
    """Return what stands behind a figure."""
    return "" if held else " MISSED"


if __name__ == "__main__":
    sys.exit(main())
