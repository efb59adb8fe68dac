"""How fast each adapter is, and how much memory it takes, beside DuckDB's own copy of the same file in the same run.

    python -m benchmarks.ingest --data FOLDER         # three million lines, each adapter and format
    python -m benchmarks.ingest --events 200000 --only table rees46 --formats parquet

Each ingest is a process of its own on one core. Rates are lines of the source per second of processor time, start-up
included; memory is the process's largest. Ta Feng, and the sets that are in the folder of real data, are the real ones,
repeated; the others are generated in the published format. A busy machine makes both sides slower, the ratio less so.
The floor is what any ingestion has to do: read the file, sort it by time, write it as Parquet (DuckDB's `COPY (SELECT *
FROM ... ORDER BY time) TO ...` on one thread).
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.process_cost import Cost, cost
from benchmarks.real_sources import REAL, repeat

Whole = np.ndarray
Random = np.random.Generator
Columns = dict[str, object]

CHUNK = 500_000
CONFIG = """[data]
adapter = "table"
[data.columns]
user_id = "who"
event_timestamp = "at"
event_type = "kind"
item_id = "item"
session_id = "session"
category = "category"
quantity = "pieces"
revenue = "total"
[task]
horizon_days = 7
[anchors]
every = "monday"
first = 2024-01-01
[splits]
train_until = 2024-02-01
validation_until = 2024-03-01
log_end = 2024-04-01
"""
FLOOR = """import duckdb, sys
connection = duckdb.connect(config={"threads": 1})
connection.execute(f"COPY (SELECT * FROM {sys.argv[1]} ORDER BY {sys.argv[2]}) TO '{sys.argv[3]}' (FORMAT parquet)")
"""


@dataclass(frozen=True)
class Shape:
    """How an adapter's file looks: its columns, from seconds, users, items and a random generator; the time's name.

    None instead of columns: the real set is always there, so none like it is generated.
    """

    columns: Callable[[Whole, Whole, Whole, Random], Columns] | None
    time: str
    file: str = "source"
    header: bool = True
    csv: str = ".csv"


def spelt(seconds: Whole, pattern: str) -> pa.Array:
    """Return seconds as text."""
    return pc.strftime(pa.array(seconds, pa.timestamp("s")), format=pattern)


def words(random: Random, size: int, *choices: str) -> pa.Array:
    """Return words of which the first is by far the most frequent."""
    shares = np.array([0.9, *[0.1 / (len(choices) - 1)] * (len(choices) - 1)])
    return pa.array(choices).take(pa.array(random.choice(len(choices), size, p=shares)))


def table(seconds: Whole, users: Whole, items: Whole, random: Random) -> Columns:
    """The columns of table's format."""
    size = len(seconds)
    kind = words(random, size, "view", "add_to_cart", "purchase")
    bought = pc.equal(kind, "purchase")
    price = pa.array(np.round(5 + items % 97 * 1.5, 2))
    return {
        "who": users, "at": spelt(seconds, "%Y-%m-%d %H:%M:%S"), "kind": kind, "item": items,
        "session": pc.binary_join_element_wise("s", pa.array(users).cast(pa.string()), ""),
        "category": pc.binary_join_element_wise("c", pa.array(items % 300).cast(pa.string()), ""),
        "pieces": pc.if_else(bought, 1, None), "total": pc.if_else(bought, price, None),
    }  # fmt: skip


def online_retail(seconds: Whole, users: Whole, items: Whole, random: Random) -> Columns:
    """The columns of online_retail's format."""
    return {
        "InvoiceNo": 500_000 + seconds // 600 % 99_000, "StockCode": items,
        "Description": words(random, len(users), "A", "B"),
        "Quantity": random.integers(1, 9, len(users)), "InvoiceDate": spelt(seconds, "%Y-%m-%d %H:%M:%S"),
        "UnitPrice": np.round(items % 97 * 1.5, 2), "CustomerID": users, "Country": pa.repeat("France", len(users)),
    }  # fmt: skip


def taobao(seconds: Whole, users: Whole, items: Whole, random: Random) -> Columns:
    """The columns of taobao's format."""
    within = 1_511_539_200 + seconds % 777_600
    kind = words(random, len(users), "pv", "cart", "fav", "buy")
    return {
        "user_id": users, "item_id": items, "category_id": items % 300, "behavior_type": kind, "timestamp": within,
    }  # fmt: skip


def rees46(seconds: Whole, users: Whole, items: Whole, random: Random) -> Columns:
    """The columns of rees46's format."""
    return {
        "event_time": spelt(seconds, "%Y-%m-%d %H:%M:%S UTC"),
        "event_type": words(random, len(users), "view", "cart", "purchase"),
        "product_id": items, "category_id": items % 300 + 2_053_013_555_631_882_000,
        "category_code": pc.binary_join_element_wise("a.b.c", pa.array(items % 300).cast(pa.string()), ""),
        "brand": pc.binary_join_element_wise("brand", pa.array(items % 90).cast(pa.string()), ""),
        "price": np.round(5 + items % 97 * 1.5, 2), "user_id": users,
        "user_session": pc.binary_join_element_wise(
            pa.array(users + 2**40).cast(pa.string()), "-4bad-4f00-8c23-", pa.array(users).cast(pa.string()), ""
        ),
    }  # fmt: skip


def retailrocket(seconds: Whole, users: Whole, items: Whole, random: Random) -> Columns:
    """The columns of retailrocket's format."""
    kind = words(random, len(users), "view", "addtocart", "transaction")
    return {
        "timestamp": seconds * 1000 + users % 1000, "visitorid": users, "event": kind, "itemid": items,
        "transactionid": pa.nulls(len(users), pa.int64()),
    }  # fmt: skip


def yoochoose(seconds: Whole, users: Whole, items: Whole, random: Random) -> Columns:
    """The columns of yoochoose's format."""
    return {
        "Session ID": users, "Timestamp": spelt(seconds, "%Y-%m-%dT%H:%M:%S.000Z"), "Item ID": items,
        "Category": items % 12,
    }  # fmt: skip


def otto(seconds: Whole, users: Whole, items: Whole, random: Random) -> Columns:
    """The columns of otto's format."""
    kind = words(random, len(users), "clicks", "carts", "orders")
    return {"session": users, "aid": items, "ts": seconds * 1000 + users % 1000, "type": kind}


SHAPES = {
    "table": Shape(table, "at"),
    "ta_feng": Shape(None, "TRANSACTION_DT"),
    "online_retail": Shape(online_retail, "InvoiceDate"),
    "taobao_userbehavior": Shape(taobao, "timestamp", header=False),
    "rees46": Shape(rees46, "event_time"),
    "retailrocket": Shape(retailrocket, "timestamp", file="events"),
    "yoochoose": Shape(yoochoose, "Timestamp", file="yoochoose-clicks", header=False, csv=".dat"),
    "otto": Shape(otto, "ts", csv=".jsonl"),
}


def generate(name: str, file: Path, events: int) -> None:
    """Write the file, in no order of time, and what lies beside it."""
    random, writer = np.random.default_rng(7), None
    for begin in range(0, events, CHUNK):
        part = rows(name, min(CHUNK, events - begin), events, random)
        if file.suffix == ".parquet":
            part = typed(part, SHAPES[name].time)
        if file.suffix == ".jsonl":
            write_lines(part, file)
            continue
        writer = writer or opened(file, part.schema, SHAPES[name].header)
        writer.write_table(part)
    if writer is not None:
        writer.close()
    beside(name, file.parent)


def rows(name: str, size: int, events: int, random: Random) -> pa.Table:
    """Return some rows: 90 days, a customer for every 30 events, a few items that most events are about."""
    seconds = 1_704_067_200 + random.integers(0, 90 * 86_400, size)
    users = 500_000_000 + random.zipf(1.3, size) % max(1000, events // 30)
    columns = SHAPES[name].columns
    if columns is None:
        raise ValueError(f"{name} is not generated: the real set is installed with the project")
    return pa.table(columns(seconds, users, random.zipf(1.2, size) % 50_000, random))


def typed(part: pa.Table, time: str) -> pa.Table:
    """Return the rows as Parquet would have them: a time that CSV spells out is a timestamp."""
    place = part.schema.get_field_index(time)
    column = part[time]
    if not pa.types.is_string(column.type) or "/" in column[0].as_py():
        return part
    text = pc.utf8_slice_codeunits(column, 0, 19)
    return part.set_column(place, time, text.cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC")))


def write_lines(part: pa.Table, file: Path) -> None:
    """Append a session with one event for each row."""
    each = zip(*(column.to_pylist() for column in part.columns), strict=True)
    with file.open("a") as handle:
        handle.writelines(
            f'{{"session":{session},"events":[{{"aid":{aid},"ts":{ts},"type":"{kind}"}}]}}\n'
            for session, aid, ts, kind in each
        )


def opened(file: Path, schema: pa.Schema, header: bool) -> Any:
    """Return a writer of the kind that the name of the file says."""
    if file.suffix == ".parquet":
        return pq.ParquetWriter(file, schema)
    options = pyarrow.csv.WriteOptions(include_header=header, quoting_style="needed")
    return pyarrow.csv.CSVWriter(file, schema, write_options=options)


def beside(name: str, folder: Path) -> None:
    """Write the files that a data set has beside its events."""
    if name == "yoochoose":
        (folder / "yoochoose-buys.dat").touch()
    if name == "retailrocket":
        told = "".join(f"1430000000000,{item},categoryid,{item % 300}\n" for item in range(50_000))
        (folder / "item_properties_part1.csv").write_text(f"timestamp,itemid,property,value\n{told}")
        (folder / "item_properties_part2.csv").write_text("timestamp,itemid,property,value\n")
        (folder / "category_tree.csv").write_text("categoryid,parentid\n1,\n")


def floor(shape: Shape, file: Path, target: Path) -> Cost:
    """What DuckDB takes to copy the file, sorted by time."""
    if file.suffix == ".parquet":
        source, at = f"read_parquet('{file}')", shape.time
    elif file.suffix == ".jsonl":
        source, at = f"read_json('{file}', format='newline_delimited')", "events[1].ts"
    else:
        source, at = f"read_csv('{file}', header={shape.header}, all_varchar=true)", shape.time
        if not shape.header and shape.columns:
            names = list(shape.columns(*(np.ones(1, np.int64),) * 3, np.random.default_rng(1)))
            at = f"column{names.index(shape.time)}"
    return cost([sys.executable, "-c", FLOOR, source, at if "(" in at or "[" in at else f'"{at}"', str(target)])


def measure(name: str, suffix: str, events: int, data: Path | None) -> None:
    """Print the line of one adapter and format."""
    shape = SHAPES[name]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{shape.file}{suffix}"
        config = Path(folder) / "intent.toml"
        config.write_text(CONFIG)
        real = name in REAL and repeat(name, data, file, events, shape.header)
        if not real:
            generate(name, file, events)
        command = [sys.executable, "-m", "intent_cli.main", "ingest", "--adapter", name, "--config", str(config)]
        ours = cost([*command, "--out", f"{folder}/out", "--json", str(file)])
        told = json.loads((Path(folder) / "out" / "data_card.json").read_text())["rows_in"]
        least = floor(shape, file, Path(folder) / "floor.parquet")
        size = file.stat().st_size / 2**20
    print(
        f"{name:20} {'real' if real else 'generated':9} {suffix[1:]:8} {size:5.0f} MB {told:11,} events"
        f" {told / ours.processor:10,.0f} events/s {ours.memory_mb:4.0f} MB"
        f"   floor {told / least.processor:11,.0f} events/s {least.memory_mb:4.0f} MB"
        f"   {ours.processor / least.processor:5.1f} x",
        flush=True,
    )


def main() -> None:
    """Print one line for each adapter and format."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=3_000_000)
    options.add_argument("--data", type=Path, help="folder of the real data sets")
    options.add_argument("--only", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    options.add_argument("--formats", nargs="*", default=["text", "parquet"], choices=["text", "parquet"])
    chosen = options.parse_args()
    for name in chosen.only:
        for kind in chosen.formats:
            measure(name, SHAPES[name].csv if kind == "text" else ".parquet", chosen.events, chosen.data)


if __name__ == "__main__":
    main()
