"""A source in the order of time, with repeated rows, comes out in the order of time."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.events import EVENT_SCHEMA
from tests.sources import settings_of
from training.adapters import ingest
from training.adapters.parquet_rows import BATCH_ROWS

VECTOR = 2_048  # rows that DuckDB looks at together
LEFT_OVER = 41  # fewer than it hands on at once: it keeps them until more come, and lets later rows overtake them
COLUMNS = {"user_id": "who", "event_timestamp": "at", "item_id": "item"}


def test_a_log_is_in_the_order_of_time_whatever_was_left_out_of_the_source(tmp_path):
    rows = BATCH_ROWS + 3 * VECTOR
    number = np.arange(rows)
    number[5] = number[4]  # a repetition: then rows are left out when the events are read back
    who = [str(one % 977) for one in number]
    for one in range(100, 100 + VECTOR - LEFT_OVER):  # in quarantine, so that the first batch ends within a vector
        who[one] = None
    at = pa.array(1_704_067_200_000_000 + number * 1_000_000, pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"who": pa.array(who), "at": at, "item": number % 50}), tmp_path / "source.parquet")

    told = ingest(settings_of("table", columns=COLUMNS), tmp_path / "out", path=tmp_path / "source.parquet")

    assert told.quarantined == {"missing_user_id": VECTOR - LEFT_OVER, "duplicate": 1}
    log = pq.read_table(tmp_path / "out" / "events" / "part-0.parquet", columns=["event_timestamp"])
    assert log.num_rows == told.events == rows - VECTOR + LEFT_OVER - 1
    assert (np.diff(log["event_timestamp"].cast(pa.int64()).to_numpy()) > 0).all()


@pytest.mark.parametrize("step", [1, -1], ids=["in order", "out of order"])
def test_the_log_holds_no_text_that_only_a_refused_row_had(tmp_path, step):
    """Its files have dictionaries of texts, and those of the source have more."""
    rows = [(f"u{n % 50}", n, f"i{n % 7}", "view") for n in range(3_000)][::step]
    rows[1_000] = ("nobody", None, "nothing", "view")
    at = pa.array([None if n is None else 1_704_067_200_000_000 + n for _, n, *_ in rows], pa.timestamp("us", "UTC"))
    who, item, kind = (pa.array([row[place] for row in rows]) for place in (0, 2, 3))
    pq.write_table(pa.table({"who": who, "at": at, "item": item, "kind": kind}), tmp_path / "source.parquet")

    columns = {**COLUMNS, "event_type": "kind"}
    told = ingest(settings_of("table", columns=columns), tmp_path / "out", path=tmp_path / "source.parquet")

    assert told.quarantined == {"missing_timestamp": 1}
    log = tmp_path / "out" / "events" / "part-0.parquet"
    names = ["user_id", "item_id", "event_type"]
    events = pq.read_table(log, read_dictionary=names)
    for name in names:
        column = events[name].combine_chunks()
        assert sorted(column.dictionary.to_pylist()) == sorted(column.unique().to_pylist()), name
    assert (np.diff(events["event_timestamp"].cast(pa.int64()).to_numpy()) > 0).all()
    assert pq.read_schema(log).equals(EVENT_SCHEMA)
