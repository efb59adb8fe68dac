"""More than the service can do, and half of it for long: what is refused, what grows."""

import asyncio
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.bounds import Bounds
from benchmarks.http_load import Load
from benchmarks.serving_servers import Server

__all__ = ["Growth", "overload", "soak"]

_MANY = 512  # with fewer, all of them wait for an answer before four times the load is sent
_WARM_SHARE = 0.2
_MOST_WARM_SECONDS = 120.0


def overload(server: Server, requests: Iterator[bytes], seconds: float, bounds: Bounds) -> None:
    """Print what becomes of four times the requests that the server can answer, and when it is as before."""
    normal = asyncio.run(Load(server.address, requests, 16).run(5))
    rate = 4 * normal.throughput
    flood = asyncio.run(Load(server.address, requests, _MANY, rate).run(seconds))
    begun, after = time.perf_counter(), None
    while time.perf_counter() - begun < 10 and after is None:
        again = asyncio.run(Load(server.address, requests, 16).run(0.5))
        if set(again.counts()) == {200} and again.quantile(0.5) <= 1.5 * normal.quantile(0.5):
            after = time.perf_counter() - begun
    ratio = flood.quantile(0.99) / normal.quantile(0.99)
    print(f"overload: {rate:.0f} requests/s due for {seconds:.0f} s, over {_MANY} connections")
    print(
        f"  statuses {dict(flood.counts())}, {flood.unsent} not sent for want of a free connection; accepted p99 "
        f"{flood.quantile(0.99) * 1e3:.1f}, {ratio:.1f} x the {normal.quantile(0.99) * 1e3:.1f} of 16 connections; "
        f"normal again after {'more than 10' if after is None else f'{after:.1f}'} s; generator "
        f"{flood.processor / flood.seconds:.0%} of a core"
    )
    others = sum(count for status, count in flood.counts().items() if status not in (200, 429))
    bounds.most("4 x overload, answers neither 200 nor 429", others, 0)
    bounds.most("4 x overload, accepted p99 x normal", ratio, 3)
    bounds.most("4 x overload, seconds until normal again", math.inf if after is None else after, 5)


@dataclass(frozen=True)
class Growth:
    """What a long load changed, after its first part: megabytes, file descriptors, and answers that were not 200."""

    megabytes: float
    files: int
    errors: int
    answers: int


def soak(server: Server, requests: Iterator[bytes], seconds: float) -> Growth:
    """Load the server with half of what it can do; print and return what grew after the first fifth."""
    normal = asyncio.run(Load(server.address, requests, 16).run(5))
    warm = min(_WARM_SHARE * seconds, _MOST_WARM_SECONDS)
    before = asyncio.run(Load(server.address, requests, 16, normal.throughput / 2).run(warm))
    megabytes, files = server.megabytes(), server.files()
    load = asyncio.run(Load(server.address, requests, 16, normal.throughput / 2).run(seconds - warm))
    time.sleep(1.0)  # connections that were closed are seen to be closed
    counts = load.counts() + before.counts()
    errors = sum(count for status, count in counts.items() if status != 200)
    growth = Growth(server.megabytes() - megabytes, server.files() - files, errors, counts[200])
    print(f"soak: {normal.throughput / 2:.0f} requests/s for {seconds:.0f} s")
    print(
        f"  after the first {warm:.0f} s: {growth.megabytes:+.1f} MB in the worker, {growth.files:+d} file "
        f"descriptors; {growth.errors} of {growth.errors + growth.answers} answers not 200"
    )
    return growth
