"""Small sources in the format of each adapter, and the settings that read them."""

import csv
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.events import TIMESTAMP
from training.adapters import simulated_shop
from training.data_settings import Data

TA_FENG_HEADER = (
    "TRANSACTION_DT", "CUSTOMER_ID", "AGE_GROUP", "PIN_CODE", "PRODUCT_SUBCLASS", "PRODUCT_ID", "AMOUNT", "ASSET",
    "SALES_PRICE",
)  # fmt: skip
ONLINE_RETAIL_HEADER = (
    "InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country",
)  # fmt: skip
REES46_HEADER = (
    "event_time", "event_type", "product_id", "category_id", "category_code", "brand", "price", "user_id",
    "user_session",
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
SQL = {"events": "SELECT * FROM lines", "keys": {"events": ["id"]}, "page_rows": 100}

Row = tuple[str, str, str, int, float, str]


@dataclass(frozen=True)
class SettingsOf:
    """Just the part of the settings that an ingest reads."""

    data: Data


def settings_of(adapter: str, **data: object) -> SettingsOf:
    return SettingsOf(Data.model_validate({"adapter": adapter, **data}))


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]], bom: bool = False) -> Path:
    """Write a CSV file; without a header where it is empty."""
    with path.open("w", newline="", encoding="utf-8-sig" if bom else "utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerows([header] if header else [])
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
# adapter's own format. A new adapter needs its format here, and the contract suite says so.
ROWS: tuple[Row, ...] = (
    ("00104905", "2000-11-06", "0471019", 2, 30.0, "110411"),
    ("00104905", "2000-11-06", "0471020", 1, 46.0, "120107"),
    ("00418683", "2000-11-07", "0471019", 3, 48.0, "110411"),
    ("00104905", "2000-11-08", "0471019", 1, 15.0, "110412"),
    ("00418683", "2000-11-09", "0471020", 1, 46.0, "120107"),
)


def _ta_feng(folder: Path, rows: Sequence[Row]) -> Path:
    def line(user, day, item, quantity, revenue, category):
        year, month, number = day.split("-")
        written = f"{int(month)}/{int(number)}/{year}"
        return [written, user, "45-49", "115", category, item, quantity, "10", f"{revenue:g}"]

    return write_csv(folder / "source.csv", TA_FENG_HEADER, [line(*row) for row in rows], bom=True)


def _table(folder: Path, rows: Sequence[Row]) -> Path:
    lines = [(*row[:3], row[3], f"{row[4]:g}", row[5]) for row in rows]
    return write_csv(folder / "source.csv", TABLE_HEADER, lines)


def _sql(folder: Path, rows: Sequence[Row]) -> Path:
    file = folder / "source.db"
    file.unlink(missing_ok=True)
    connection = sqlite3.connect(file)
    names = ", ".join(f'"{name}"' for name in TABLE_HEADER)
    connection.execute(f"CREATE TABLE lines (id TEXT PRIMARY KEY, {names})")
    lines = [("|".join(map(str, row[:3])), *row) for row in rows]
    connection.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?, ?)", lines)
    connection.commit()
    connection.close()
    return file


def _online_retail(folder: Path, rows: Sequence[Row]) -> Path:
    def line(user, day, item, quantity, revenue, category):
        year, month, number = day.split("-")
        when = f"{int(month)}/{int(number)}/{year} 12:00"
        return ["536365", item, "A LANTERN", quantity, when, revenue / quantity, user, "France"]

    return write_csv(folder / "source.csv", ONLINE_RETAIL_HEADER, [line(*row) for row in rows])


def _taobao(folder: Path, rows: Sequence[Row]) -> Path:
    lines = [(user, item, kind, "buy", seconds(in_2017(day))) for user, day, item, _, _, kind in rows]
    return write_csv(folder / "source.csv", (), lines)


def in_2017(day: str) -> str:
    """The same days of the month, moved into the nine days that Taobao's data covers."""
    return f"2017-11-{int(day[-2:]) + 20}"


def seconds(day: str) -> int:
    return int(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp())


def _rees46(folder: Path, rows: Sequence[Row]) -> Path:
    lines = [
        (f"{day} 12:00:00 UTC", "purchase", item, kind, "", "brand", f"{revenue:g}", user, "s")
        for user, day, item, _, revenue, kind in rows
    ]
    return write_csv(folder / "source.csv", REES46_HEADER, lines)


def _retailrocket(folder: Path, rows: Sequence[Row]) -> Path:
    lines = [(1000 * seconds(day), user, "transaction", item, 7) for user, day, item, _, _, _ in rows]
    header = ("timestamp", "visitorid", "event", "itemid", "transactionid")
    file = write_csv(folder / "events.csv", header, lines)
    told = sorted({(1000 * (seconds(day) - 3600), item, "categoryid", kind) for _, day, item, _, _, kind in rows})
    properties = ("timestamp", "itemid", "property", "value")
    write_csv(folder / "item_properties_part1.csv", properties, [*told, (1, "x", "790", "n552.000")])
    write_csv(folder / "item_properties_part2.csv", properties, [])
    write_csv(folder / "category_tree.csv", ("categoryid", "parentid"), [("9", "")])
    return file


def _yoochoose(folder: Path, rows: Sequence[Row]) -> Path:
    lines = [(user, f"{day}T12:00:00.000Z", item, "S") for user, day, item, *_ in rows]
    (folder / "yoochoose-buys.dat").touch()
    return write_csv(folder / "yoochoose-clicks.dat", (), lines)


def _otto(folder: Path, rows: Sequence[Row]) -> Path:
    events = [
        {"session": int(user), "events": [{"aid": number(item), "ts": 1000 * seconds(day), "type": "orders"}]}
        for user, day, item, _, _, _ in rows
    ]
    file = folder / "source.jsonl"
    file.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return file


def _simulated_shop(folder: Path, rows: Sequence[Row]) -> Path:
    """Two parts; items and customers are only what the events say."""
    names = ("user_id", "event_timestamp", "item_id", "quantity", "revenue", "category")
    beside = {"event_type": "purchase", "session_id": "s0000-1", "cost": 1.0, "currency": "EUR", "list_price": None}
    lines = [dict(zip(names, row, strict=True)) | {"event_timestamp": noon(row[1])} | beside for row in rows]
    numbers = dict.fromkeys(("quantity", "revenue", "cost", "list_price"), pa.float64()) | {
        "event_timestamp": TIMESTAMP
    }
    schema = pa.schema([(name, numbers.get(name, pa.string())) for name in (*names, *beside)])
    (folder / "events").mkdir(exist_ok=True)
    for part, some in enumerate((lines[:2], lines[2:])):
        pq.write_table(pa.Table.from_pylist(some, schema), folder / "events" / f"part-0000{part}.parquet")
    for file, columns in {"items.parquet": simulated_shop.ITEMS, "users.parquet": simulated_shop.USERS}.items():
        pq.write_table(pa.schema([(name, pa.string()) for name in columns]).empty_table(), folder / file)
    manifest = {
        "format": 2,
        "synthetic": True,
        "simulator_version": 1,
        "parameters_sha256": "0" * 64,
        "size": {"seed": 1},
        "files": {f"events/part-0000{part}.parquet": "" for part in range(2)},
    }
    (folder / "simulation.json").write_text(json.dumps(manifest))
    return folder / "simulation.json"


def noon(day: str) -> datetime | None:
    try:
        return datetime.fromisoformat(f"{day}T12:00:00+00:00")
    except ValueError:
        return None


def number(text: str) -> int:
    return int("".join(letter for letter in text if letter.isdigit()))


@dataclass(frozen=True)
class Format:
    """How the contract suite writes rows for an adapter, and what of them the format can say."""

    write: Callable[[Path, Sequence[Row]], Path]
    carries: frozenset[str] = frozenset({"quantity", "revenue", "category"})
    one_piece: bool = False
    """A purchase line is always one piece, at its revenue."""
    whole_ids: bool = False
    day: Callable[[str], str] = str
    names_everybody: bool = False
    """A row cannot leave out the customer."""
    repeats: bool = True
    event_type: str = "purchase"

    def identity(self, text: str) -> str:
        return str(number(text)) if self.whole_ids else text

    def event(self, row: Row) -> tuple[object, ...]:
        """(user, day, item, quantity, revenue, category) as the log should have them."""
        user, day, item, quantity, revenue, category = row
        told = {"quantity": 1.0 if self.one_piece else float(quantity), "revenue": revenue, "category": category}
        values = [told[name] if name in self.carries else None for name in ("quantity", "revenue", "category")]
        return (self.identity(user), self.day(day), self.identity(item), *values)


FORMATS = {
    "ta_feng": Format(_ta_feng),
    "table": Format(_table),
    "sql": Format(_sql, repeats=False),
    "online_retail": Format(_online_retail, frozenset({"quantity", "revenue"})),
    "taobao_userbehavior": Format(_taobao, frozenset({"category"}), day=in_2017),
    "rees46": Format(_rees46, one_piece=True),
    "retailrocket": Format(_retailrocket, frozenset({"category"})),
    "yoochoose": Format(_yoochoose, frozenset(), event_type="view"),
    "otto": Format(_otto, frozenset(), whole_ids=True, names_everybody=True),
    "simulated_shop": Format(_simulated_shop),
}


def write_source(adapter: str, path: Path, rows: Sequence[Row] = ROWS) -> Path:
    """Write `rows` in the adapter's format into the folder `path` and return what to name to `ingest`."""
    if adapter not in FORMATS:
        raise NotImplementedError(f"The adapter {adapter} has no format in tests/sources.py; add one.")
    return FORMATS[adapter].write(path, rows)


def source_settings(adapter: str, delay_hours: float = 0.0, **data: object) -> SettingsOf:
    if adapter in ("table", "sql"):
        data = {"columns": TABLE_COLUMNS, **data}
    if adapter == "sql":
        data = {"sql": SQL, **data}
    return settings_of(adapter, delay_hours=delay_hours, **data)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
