"""Ten million simulated events in the memory of a laptop."""

import json

import pyarrow.parquet as pq
import pytest

from benchmarks.process_cost import cost
from benchmarks.simulate import command

EVENTS = 10_000_000
MOST_MB = 3_072


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_million_events_take_at_most_three_gigabytes(tmp_path):
    spent = cost(command(tmp_path / "out", customers=90_000))
    told = json.loads(spent.told)
    print(f"{told['counts']['events']:,} events, {spent.processor:.1f} s, {spent.memory_mb:.0f} MB")  # noqa: T201
    parts = (tmp_path / "out" / "simulation" / "events").glob("part-*.parquet")
    written = sum(pq.read_metadata(part).num_rows for part in parts)
    assert written == told["counts"]["events"] >= EVENTS
    assert spent.memory_mb <= MOST_MB
