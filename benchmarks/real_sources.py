"""Real data sets made long enough to measure with: repeated, each time with other customers.

Where the published period is longer than the file, each repetition lies after the one before; Taobao's nine days are
published as nine days, so there every customer comes again under another number. Items stay what they are.
"""

import zipfile
from pathlib import Path

import duckdb

from training.adapters.registry import adapter_named
from training.data_settings import Data

__all__ = ["REAL", "repeat"]

TA_FENG = """SELECT strftime(strptime(TRANSACTION_DT, '%m/%d/%Y') + to_days(120 * {k}), '%-m/%-d/%Y') AS TRANSACTION_DT,
    CUSTOMER_ID || '{again}' AS CUSTOMER_ID, AGE_GROUP, PIN_CODE, PRODUCT_SUBCLASS, PRODUCT_ID,
    AMOUNT::INTEGER AS AMOUNT, ASSET::INTEGER AS ASSET, SALES_PRICE::INTEGER AS SALES_PRICE
    FROM read_csv('{file}', all_varchar = true)"""
ONLINE_RETAIL = """SELECT InvoiceNo || '{again}' AS InvoiceNo, StockCode, Description, Quantity,
    InvoiceDate + to_days(374 * {k}) AS InvoiceDate, UnitPrice, CustomerID + 100_000 * {k} AS CustomerID, Country
    FROM '{file}'"""
REES46 = """SELECT strftime(strptime(event_time, '%Y-%m-%d %H:%M:%S UTC') + to_hours(3 * {k}), '%Y-%m-%d %H:%M:%S UTC')
    AS event_time, event_type, product_id, category_id, category_code, brand, price,
    user_id + 1_000_000 * {k} AS user_id, user_session || '{again}' AS user_session
    FROM read_csv('{file}', types = {{'event_time': 'VARCHAR'}})"""
TAOBAO = """SELECT column0 + 2_000_000 * {k} AS user_id, column1 AS item_id, column2 AS category_id,
    column3 AS behavior_type, column4 AS timestamp FROM read_csv('{file}', header = false)"""
REAL = {
    "ta_feng": (TA_FENG, 817_741, None),
    "online_retail": (ONLINE_RETAIL, 541_909, "online_retail/online_retail.parquet"),
    "rees46": (REES46, 17_434, "rees46/2019-Oct.csv"),
    "taobao_userbehavior": (TAOBAO, 84_475, "taobao_userbehavior/UserBehavior.csv"),
}
"""Of each set the query, the lines of one repetition, and where it lies below the folder of the real sets."""


def repeat(name: str, data: Path | None, file: Path, events: int, header: bool) -> bool:
    """Write at least `events` lines of a real set as CSV or Parquet, in the order of the source.

    Returns whether it is there: Ta Feng is installed with the project, the others lie in `data`.
    """
    query, lines, place = REAL[name]
    source = _ta_feng(file.parent) if place is None else data / place if data else None
    if source is None or not source.is_file():
        return False
    kind = "FORMAT parquet" if file.suffix == ".parquet" else f"FORMAT csv, HEADER {str(header).lower()}"
    with duckdb.connect(config={"threads": 1}) as connection:
        for k in range(-(-events // lines)):  # a copy of their union would not keep their order
            begun = "INSERT INTO repeated" if k else "CREATE TABLE repeated AS"
            connection.execute(f"{begun} {query.format(file=source, k=k, again=f'-{k}' if k else '')}")
        connection.execute(f"COPY repeated TO '{file}' ({kind})")
    return True


def _ta_feng(folder: Path) -> Path:
    """Unpack the installed file."""
    (packed,) = adapter_named("ta_feng").locate(Data(adapter="ta_feng"), None).files
    with zipfile.ZipFile(packed) as archive:
        (inside,) = archive.namelist()
        return Path(archive.extract(inside, folder / "unpacked"))
