"""Small sources in the format of each adapter, and the settings that read them."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from training.settings import Data

TA_FENG_HEADER = (
    "TRANSACTION_DT", "CUSTOMER_ID", "AGE_GROUP", "PIN_CODE", "PRODUCT_SUBCLASS", "PRODUCT_ID", "AMOUNT", "ASSET",
    "SALES_PRICE",
)  # fmt: skip
TABLE_HEADER = ("who", "when", "sku", "pieces", "total", "kind")
TABLE_COLUMNS = {
    "user_id": "who",
    "event_timestamp": "when",
    "item_id": "sku",
    "quantity": "pieces",
    "revenue": "total",
    "category": "kind",
}


@dataclass(frozen=True)
class SettingsOf:
    """Just the part of the settings that an ingest reads."""

    data: Data


def settings_of(adapter: str, **data: object) -> SettingsOf:
    return SettingsOf(Data.model_validate({"adapter": adapter, **data}))


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], bom: bool = False) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig" if bom else "utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
    return path


def log_of(out: Path, name: str = "events") -> list[dict[str, object]]:
    return pq.read_table(out / name / "part-0.parquet").to_pylist()


def quarantined(out: Path) -> list[tuple[int, str, dict[str, object]]]:
    return [
        (row["source_row"], row["reason"], json.loads(str(row["source_values"]))) for row in log_of(out, "quarantine")
    ]


# One source for each adapter: rows as (user, day, item, quantity, revenue, category); the writer puts them into the
# adapter's own format. A new adapter needs its writer here, and the contract suite says so.
ROWS = (
    ("00104905", "2000-11-06", "0471019", 2, 30.0, "110411"),
    ("00104905", "2000-11-06", "0471020", 1, 46.0, "120107"),
    ("00418683", "2000-11-07", "0471019", 3, 48.0, "110411"),
    ("00104905", "2000-11-08", "0471019", 1, 15.0, "110412"),
    ("00418683", "2000-11-09", "0471020", 1, 46.0, "120107"),
)


def _ta_feng_line(row: tuple[str, str, str, int, float, str]) -> list[str]:
    user, day, item, quantity, revenue, category = row
    year, month, number = day.split("-")
    written = f"{int(month)}/{int(number)}/{year}"
    return [written, user, "45-49", "115", category, item, str(quantity), "10", f"{revenue:g}"]


def _table_line(row: tuple[str, str, str, int, float, str]) -> list[str]:
    user, day, item, quantity, revenue, category = row
    return [user, day, item, str(quantity), f"{revenue:g}", category]


def write_source(adapter: str, path: Path, rows: Sequence[tuple[str, str, str, int, float, str]] = ROWS) -> Path:
    """Write `rows` in the adapter's format to `path` (a folder) and return the file."""
    if adapter == "ta_feng":
        return write_csv(path / "source.csv", TA_FENG_HEADER, [_ta_feng_line(row) for row in rows], bom=True)
    if adapter == "table":
        return write_csv(path / "source.csv", TABLE_HEADER, [_table_line(row) for row in rows])
    raise NotImplementedError(f"The adapter {adapter} has no writer in tests/sources.py; add one.")


def source_settings(adapter: str, delay_hours: float = 0.0) -> SettingsOf:
    columns = TABLE_COLUMNS if adapter == "table" else {}
    return settings_of(adapter, columns=columns, delay_hours=delay_hours)
