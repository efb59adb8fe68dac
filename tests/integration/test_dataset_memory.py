"""A build's memory grows with its chunk and not with its anchors."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.small_shop import make_run, rule_anchors, split_table

ROOT = Path(__file__).parents[2]
FEW, MANY = 60_000, 300_000  # both are more than the rows that the leak checks look at

BUILD = """
import json, resource, sys
from pathlib import Path
from tests.small_shop import build

out, folder, anchors, chunk_rows = sys.argv[1:]
build(Path(out), Path(folder), settings=None, anchors=Path(anchors), chunk_rows=int(chunk_rows))
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
"""


def peak(shop: Path, folder: Path, anchors: int, chunk_rows: int) -> int:
    """Bytes that a process had at most while it built a data set of so many anchors."""
    rows = rule_anchors(shop, datetime(2001, 1, 15, tzinfo=UTC), datetime(2001, 2, 5, tzinfo=UTC))
    place = np.random.default_rng(5).integers(0, rows.num_rows, anchors)
    folder.parent.mkdir(exist_ok=True)
    pq.write_table(rows.take(pa.array(place)), folder.with_suffix(".parquet"), row_group_size=20_000)
    arguments = [str(shop), str(folder), str(folder.with_suffix(".parquet")), str(chunk_rows)]
    done = subprocess.run(
        [sys.executable, "-c", BUILD, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_five_times_the_anchors_need_hardly_more_memory(tmp_path: Path) -> None:
    shop = make_run(tmp_path / "run", customers=200)
    few = peak(shop, tmp_path / "few" / "set", FEW, 5_000)
    many = peak(shop, tmp_path / "many" / "set", MANY, 5_000)
    whole = split_table(tmp_path / "many" / "set", "all").nbytes
    at_once = peak(shop, tmp_path / "at_once" / "set", MANY, MANY)
    assert at_once - few > whole / 2 > 50_000_000  # what this test is about is large enough to be seen
    assert many - few < whole / 4
