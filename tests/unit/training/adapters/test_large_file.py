"""Fifty million rows in the memory of a few hundred thousand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import ingest as benchmark

ROWS = 50_000_000
ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_fifty_million_rows_take_at_most_500_mb(tmp_path):
    file = tmp_path / "source.parquet"
    benchmark.generate("table", file, ROWS)
    (tmp_path / "intent.toml").write_text(benchmark.CONFIG)
    command = [
        sys.executable, "-m", "intent_cli.main", "ingest", "--config", str(tmp_path / "intent.toml"),
        "--out", str(tmp_path / "out"), "--json", str(file),
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    told = json.loads(process.stdout.read())
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    spent, memory_mb = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(f"{ROWS:,} rows, {spent:.0f} s of the processor, {memory_mb:.0f} MB")  # noqa: T201
    assert told["rows_in"] == ROWS == told["events"] + sum(told["quarantined"].values())
    assert memory_mb <= 500
