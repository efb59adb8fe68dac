"""The service beside a BentoML service that only echoes, and beside one of Feast and keras.predict, in one run.

    python -m benchmarks.serving                      # the run in artifacts/demo; about five minutes
    python -m benchmarks.serving --soak 1800          # half an hour at half load
    python -m benchmarks.serving --only score --seconds 5

Every server is a process of its own; they take turns, round by round, so that what else the machine does meets all of
them. The load generator shares the machine: its own processor time is printed, and the workers' for each request, which
other work on the machine does not change as much. Latencies are milliseconds. Ends with 1 if a bound is missed.
"""

import argparse
import asyncio
import itertools
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.bounds import Bounds
from benchmarks.http_load import Load, Outcomes, post
from benchmarks.serving_model import model_alone
from benchmarks.serving_servers import Server, echo, naive, ours
from benchmarks.serving_strain import overload, soak
from training.dataset.anchors import some_customers

ROUNDS, USERS, ITEMS = 20, 20_000, 200
AT = "2001-03-01T00:00:00Z"
PARTS = ("score", "rank", "many", "model", "overload", "soak")


class Bodies:
    """Endless requests: customers drawn at random, always in the same order for the same seed."""

    def __init__(self, out: Path, seed: int = 7) -> None:
        self._users = some_customers(out, USERS, seed)
        self._items = sorted(set(pq.read_table(out / "items", columns=["item_id"])["item_id"].to_pylist()))
        self._random = random.Random(seed)  # noqa: S311  not for secrets

    def score(self, address: str) -> Iterator[bytes]:
        """Requests for /score."""
        while True:
            user_id = self._random.choice(self._users)
            yield post(address, "/score", json.dumps({"user_id": user_id, "at": AT}).encode())

    def rank(self, address: str) -> Iterator[bytes]:
        """Requests for /rank with 200 items."""
        while True:
            items = self._random.sample(self._items, ITEMS)
            body = {"user_id": self._random.choice(self._users), "item_ids": items, "at": AT}
            yield post(address, "/rank", json.dumps(body).encode())


def measured(
    servers: list[Server], bodies: dict[str, Iterator[bytes]], connections: int, seconds: float
) -> dict[str, Outcomes]:
    """Load the servers in turns; print what they did, as ratios to the first one, and return it by their names."""
    found: dict[str, list[Outcomes]] = {server.name: [] for server in servers}
    used = dict.fromkeys(found, 0.0)
    for _ in range(ROUNDS):
        for server in servers:
            before = server.processor()
            load = Load(server.address, bodies[server.name], connections)
            found[server.name].append(asyncio.run(load.run(seconds / ROUNDS)))
            used[server.name] += server.processor() - before
    whole = {name: joined(parts) for name, parts in found.items()}
    base = whole[servers[0].name]
    for server in servers:
        got = whole[server.name]
        each = used[server.name] / len(got.statuses) * 1e3
        others = {status: count for status, count in got.counts().items() if status != 200}
        ratio = got.quantile(0.5) / base.quantile(0.5)
        rate = got.throughput / base.throughput if base.throughput else float("nan")
        print(
            f"  {server.name:6} p50 {got.quantile(0.5) * 1e3:8.2f}  p99 {got.quantile(0.99) * 1e3:8.2f}  "
            f"{got.throughput:7.0f} requests/s   p50 {ratio:6.2f} x echo, throughput {rate:5.2f} x echo   "
            f"processor {each:6.2f} a request   generator {got.processor / got.seconds:4.0%} of a core"
            + (f"   NOT 200: {others}" if others else "")
        )
    return whole


def joined(parts: list[Outcomes]) -> Outcomes:
    """Put rounds together."""
    whole = Outcomes()
    for part in parts:
        whole.latencies += part.latencies
        whole.statuses += part.statuses
        whole.seconds += part.seconds
        whole.processor += part.processor
    return whole


def warm(server: Server, requests: Iterator[bytes], count: int) -> dict[int, int]:
    """Send some requests that do not count; return their statuses."""
    return dict(asyncio.run(Load(server.address, requests).run(count=count)).counts())


def main() -> int:
    """Measure and print; 1 if a bound is missed."""
    arguments = parsed()
    parts, bounds = arguments.only or PARTS, Bounds()
    bodies = Bodies(arguments.out)
    if "model" in parts:
        model_alone(arguments.out / "bundle", bounds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="serving-")))
        mine = stack.enter_context(ours(folder, arguments.out))
        print(f"ours: ready {mine.ready_seconds:.1f} s after its start, {mine.start_processor:.1f} s of processor time")
        floor = stack.enter_context(echo(folder))
        print(f"echo: ready {floor.ready_seconds:.1f} s after its start, {floor.megabytes():.0f} MB in its worker")
        servers = [floor, mine]
        if {"score", "rank", "many"} & set(parts) and not arguments.without_naive:
            servers.append(stack.enter_context(naive(folder, arguments.out)))
            print(f"naive: ready {servers[2].ready_seconds:.1f} s after its start")
        score = {server.name: bodies.score(server.address) for server in servers}
        for server in servers:
            warm(server, score[server.name], 20 if server.name == "naive" else 300)
        print(f"ours: {mine.megabytes():.0f} MB in its worker")
        bounds.most("start to ready, seconds", mine.ready_seconds, 6)
        bounds.most("memory of a worker, MB", mine.megabytes(), 450)
        compare(servers, score, bodies, parts, arguments.seconds, bounds)
        if "overload" in parts:
            overload(mine, score["ours"], arguments.overload, bounds)
        if "soak" in parts:
            growth = soak(mine, score["ours"], arguments.soak)
            what = f"half load for {arguments.soak:.0f} s"
            bounds.most(f"{what}, MB more", growth.megabytes, 20)
            bounds.most(f"{what}, file descriptors more", growth.files, 0)
            bounds.most(f"{what}, answers not 200", growth.errors, 0)
    return bounds.told()


def compare(
    servers: list[Server],
    score: dict[str, Iterator[bytes]],
    bodies: Bodies,
    parts: tuple[str, ...],
    seconds: float,
    bounds: Bounds,
) -> None:
    """Print the cases in which all servers are asked the same."""
    if "score" in parts:
        print(f"/score, 1 connection, customers drawn from {USERS:,}")
        got = measured(servers, score, 1, seconds)
        bounds.most("/score, 1 connection, p50 x echo", _slower(got, "echo"), 2)
    if "many" in parts:
        print("/score, 16 connections, 1 worker each")
        got = measured(servers, score, 16, seconds)
        bounds.least("/score, 16 connections, throughput x echo", got["ours"].throughput / got["echo"].throughput, 0.5)
        if "naive" in got:
            ratio = got["ours"].throughput / got["naive"].throughput
            bounds.least("/score, 16 connections, throughput x naive", ratio, 15)
    if "rank" in parts:
        rank = {server.name: bodies.rank(server.address) for server in servers}
        statuses = {
            server.name: warm(server, rank[server.name], 10 if server.name == "naive" else 300) for server in servers
        }
        answering = [server for server in servers if set(statuses[server.name]) == {200}]
        print(f"/rank, 1 connection, {ITEMS} items")
        for server in itertools.filterfalse(answering.__contains__, servers):
            print(f"  {server.name:6} does not answer: {statuses[server.name]}")
        got = measured(answering, rank, 1, seconds)
        bounds.most(f"/rank, {ITEMS} items, p50 x echo", _slower(got, "echo"), 2)
        if "naive" in got:
            bounds.least(f"/rank, {ITEMS} items, times faster than naive", 1 / _slower(got, "naive"), 10)


def _slower(got: dict[str, Outcomes], other: str) -> float:
    return got["ours"].quantile(0.5) / got[other].quantile(0.5)


def parsed() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("artifacts/demo"), help="a run of the demo")
    parser.add_argument("--only", nargs="+", choices=PARTS)
    parser.add_argument("--seconds", type=float, default=20.0, help="of load, for each server and case")
    parser.add_argument("--overload", type=float, default=60.0, help="seconds")
    parser.add_argument("--soak", type=float, default=120.0, help="seconds")
    parser.add_argument("--without-naive", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
