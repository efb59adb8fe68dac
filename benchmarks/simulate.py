"""How fast ten million events are simulated, and in how much memory, beside writing the same rows as Parquet.

    python -m benchmarks.simulate                     # 90,000 customers: ten million events
    python -m benchmarks.simulate --customers 5000

Both are processes of their own on one core, start-up included. Seconds are those of the clock and, after them, those of
the processor, which other work makes longer by less. The floor reads every part of the shop's events and writes it
again with the same settings: what would be left of the simulation if making up the events cost nothing.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.process_cost import Cost, cost

__all__ = ["command"]

ROOT = Path(__file__).resolve().parents[1]
CUSTOMERS = 90_000
FLOOR = """import sys
from pathlib import Path
import pyarrow.parquet as pq
for part in sorted(Path(sys.argv[1]).glob("part-*.parquet")):
    pq.write_table(pq.read_table(part, use_threads=False), Path(sys.argv[2]) / part.name, compression="zstd")
"""


def command(out: Path, customers: int) -> list[str]:
    """Return the command that simulates a shop of so many customers into `out`."""
    config = ROOT / "examples" / "simulated_shop.toml"
    return [
        sys.executable, "-m", "intent_cli.main", "simulate", "--config", str(config), "--out", str(out),
        "--customers", str(customers), "--json",
    ]  # fmt: skip


def line(name: str, rows: int, one: Cost) -> str:
    """Return what is printed of a process."""
    return (
        f"{name:24} {rows:11,} events {one.clock:7.1f} s {one.processor:7.1f} s of the processor"
        f" {rows / one.processor:10,.0f} events/s {one.memory_mb:5.0f} MB"
    )


def main() -> None:
    """Print the simulation, the floor, and how many times the floor it takes."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--customers", type=int, default=CUSTOMERS)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out, floor = Path(folder) / "out", Path(folder) / "floor"
        floor.mkdir()
        simulated = cost(command(out, chosen.customers))
        rows = json.loads(simulated.told)["counts"]["events"]
        print(line("simulate", rows, simulated), flush=True)
        written = cost([sys.executable, "-c", FLOOR, str(out / "simulation" / "events"), str(floor)])
        print(line("floor: write as Parquet", rows, written), flush=True)
    print(f"{'':24} {simulated.processor / written.processor:11.1f} x the floor")


if __name__ == "__main__":
    main()
