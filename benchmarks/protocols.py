"""Every task on every data set that fits it, from the published file to figures, through `intent` alone.

    python -m benchmarks.protocols --data FOLDER                       # of the real data sets; about 40 minutes
    python -m benchmarks.protocols --data FOLDER --only taobao_session online_shoppers
    python -m benchmarks.protocols --only ta_feng simulated_shop       # what needs no folder

Each line of a table is a member that was trained on that protocol's training period and judged on its test period;
lines marked as references are what plain scripts reached on the same test rows. A set that is not in the folder is
skipped, and named. What each command printed is kept in `<out>/<protocol>.txt`.
"""

import argparse
import json
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "online_retail": "online_retail/online_retail.parquet",
    "online_shoppers": "online_shoppers/online_shoppers_intention.csv",
    "rees46": "rees46/2019-Oct.csv",
    "taobao_userbehavior": "taobao_userbehavior/UserBehavior.csv",
}
"""Where the published files lie below the folder; other adapters find their own."""


@dataclass(frozen=True)
class Protocol:
    """A configuration, by the name of its file, and the adapter that it reads through."""

    name: str
    config: Path
    adapter: str


def protocols() -> list[Protocol]:
    """Return the demonstration's protocol and those of `examples/`, those of one data set together."""
    found = [Protocol("ta_feng", ROOT / "intent.toml", "ta_feng")]
    for config in sorted((ROOT / "examples").glob("*.toml")):
        adapter = tomllib.loads(config.read_text())["data"]["adapter"]
        found.append(Protocol(config.stem, config, adapter))
    return sorted(found, key=lambda one: (one.adapter, one.name))


def run(protocol: Protocol, source: Path | None, out: Path, options: argparse.Namespace) -> str:
    """Run all commands of a protocol and return what `intent figures` printed.

    Raises:
        RuntimeError: a command failed.
    """
    log = out / f"{protocol.name}.txt"
    log.write_text("")
    folder, config = out / protocol.name, ["--config", str(protocol.config)]
    of_table, simulated = protocol.adapter == "online_shoppers", protocol.adapter == "simulated_shop"
    # Tasks on one data set share its log; a simulated shop is written anew for each, with the ceiling of the task.
    shared = folder if of_table or simulated else out / f"log_of_{protocol.adapter}"
    named = [str(source)] if source else []
    if simulated:
        intent(["simulate", *config, "--customers", str(options.customers), "--out", str(folder)], log)
        named = [str(folder / "simulation")]
    if not (shared / "features").exists():
        intent(["ingest", *named, *config, "--out", str(shared)], log)
        if not of_table:
            intent(["apply", "--out", str(shared)], log)
    elsewhere = [] if shared == folder else ["--log", str(shared)]
    intent(["dataset", *config, "--out", str(folder), *elsewhere], log)
    members = [part for member in options.member for part in ("--member", member)]
    intent(["train", *config, "--out", str(folder), *members], log)
    intent(["evaluate", *config, "--out", str(folder)], log)
    return intent(["figures", *config, "--out", str(folder)], log)


def intent(arguments: list[str], log: Path) -> str:
    """Run a command and return what it printed."""
    command = [sys.executable, "-m", "intent_cli.main", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    with log.open("a") as handle:
        handle.write(f"$ intent {' '.join(arguments)}\n{done.stdout}{done.stderr}\n")
    if done.returncode:
        raise RuntimeError(f"`intent {' '.join(arguments)}` ended with {done.returncode}: {done.stderr[-600:]}")
    return done.stdout


def counts(folder: Path) -> str:
    """Return rows and base rates of the splits of a data set."""
    splits = json.loads((folder / "dataset" / "manifest.json").read_text())["splits"]
    each = (f"{name} {split['anchors']:,} ({split['base_rate']:.2%})" for name, split in splits.items())
    return ", ".join(each)


def main() -> None:
    """Print one table for each protocol."""
    known = protocols()
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, help="folder of the real data sets")
    options.add_argument("--out", type=Path, default=ROOT / "artifacts" / "protocols")
    options.add_argument("--only", nargs="*", default=[one.name for one in known], choices=[one.name for one in known])
    options.add_argument("--member", nargs="*", default=["boosted_trees", "recency"])
    options.add_argument("--customers", type=int, default=20_000, help="of the simulated shop")
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for protocol in (one for one in known if one.name in chosen.only):
        source = chosen.data / FILES[protocol.adapter] if chosen.data and protocol.adapter in FILES else None
        if protocol.adapter in FILES and (source is None or not source.is_file()):
            print(f"{protocol.name}: skipped, there is no {FILES[protocol.adapter]} below --data\n", flush=True)
            continue
        began = time.perf_counter()
        try:
            figures = run(protocol, source, chosen.out, chosen)
        except RuntimeError as problem:
            failed += 1
            print(f"{protocol.name}: {problem}\n", flush=True)
            continue
        print(f"{protocol.name} ({time.perf_counter() - began:.0f} s): {counts(chosen.out / protocol.name)}")
        print(figures, flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
