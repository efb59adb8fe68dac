from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intent_stores.errors import WriteError
from intent_stores.parquet_files import append_part, replace_file, write_dataset

TABLE = pa.table({"x": [1, 2]})


def test_parts_sort_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    written = [append_part(TABLE, tmp_path / "rows").name for _ in range(12)]
    assert sorted(written) == written


def test_a_replaced_file_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.parquet"
    replace_file(TABLE, path)
    replace_file(TABLE.slice(1), path)
    assert pq.read_table(path).column("x").to_pylist() == [2]
    assert [p.name for p in path.parent.iterdir()] == ["rows.parquet"]


def test_a_remote_destination_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="expected a local path"):
        write_dataset(TABLE, "s3://bucket/rows", "s3://bucket/rows", False)


def test_nanoseconds_are_written_as_microseconds(tmp_path: Path) -> None:
    replace_file(pa.table({"t": pa.array([1_500], pa.timestamp("ns", tz="UTC"))}), tmp_path / "t.parquet")
    assert pq.read_schema(tmp_path / "t.parquet").field("t").type == pa.timestamp("us", tz="UTC")
