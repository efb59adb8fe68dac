"""Ten million simulated events in the memory of a laptop."""

import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from benchmarks import simulate as benchmark

EVENTS = 10_000_000
MOST_MB = 3_072


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_million_events_take_at_most_three_gigabytes(tmp_path):
    command = benchmark.command(tmp_path / "out", customers=90_000)
    process = subprocess.Popen([sys.executable, *command], cwd=benchmark.ROOT, stdout=subprocess.PIPE)
    told = json.loads(process.stdout.read())
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    seconds, memory_mb = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(f"{told['counts']['events']:,} events, {seconds:.1f} s, {memory_mb:.0f} MB")  # noqa: T201
    parts = (tmp_path / "out" / "simulation" / "events").glob("part-*.parquet")
    written = sum(pq.read_metadata(part).num_rows for part in parts)
    assert written == told["counts"]["events"] >= EVENTS
    assert memory_mb <= MOST_MB
