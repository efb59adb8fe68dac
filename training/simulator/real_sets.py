"""The real data sets that the simulator was fitted to, read from their published files."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv

from feature_repo.errors import SourceDataError
from training.adapters.ta_feng import ADAPTER as TA_FENG
from training.data_settings import Data
from training.simulator.shapes import ShapeLog

__all__ = ["REAL_SETS", "real_log"]


@dataclass(frozen=True)
class _RealSet:
    """`file` lies below the folder of the data sets; `query` gives customer, second, kind, item[, price[, margin]].

    `days` is the window that is looked at, from the set's first day on.
    """

    file: str
    days: float
    query: str


REAL_SETS = {
    "taobao": _RealSet(
        "taobao_userbehavior/UserBehavior.csv",
        9,
        """SELECT column0 AS customer, column4 - 1511539200 AS second, column1 AS item,
            list_position(['pv', '', 'fav', 'cart', 'buy'], column3) - 1 AS kind
        FROM read_csv($file, header=false) WHERE column4 >= 1511539200 AND column4 < 1512316800""",
    ),
    "rees46": _RealSet(
        "rees46/2019-Oct.csv",
        0.125,
        """SELECT user_id AS customer, epoch(event_time)::BIGINT - 1569888000 AS second, product_id AS item,
            list_position(['view', '', '', 'cart', 'purchase'], event_type) - 1 AS kind, price
        FROM read_csv($file)""",
    ),
    "online_retail": _RealSet(
        "online_retail/online_retail.parquet",
        120,
        """SELECT "CustomerID"::BIGINT AS customer, epoch("InvoiceDate")::BIGINT - 1291161600 AS second,
            hash("StockCode") % 1000000007 AS item, 4 AS kind, "UnitPrice"::DOUBLE AS price
        FROM read_parquet($file) WHERE "CustomerID" IS NOT NULL AND "Quantity" > 0 AND "UnitPrice" > 0""",
    ),
    "ta_feng": _RealSet(
        "",
        120,
        """SELECT "CUSTOMER_ID" AS customer, "PRODUCT_ID" % 1000000007 AS item, 4 AS kind,
            epoch(strptime("TRANSACTION_DT", '%m/%d/%Y'))::BIGINT - 973036800 AS second,
            "SALES_PRICE" / "AMOUNT" AS price, ("SALES_PRICE" - "ASSET") / "SALES_PRICE" AS margin
        FROM lines WHERE "SALES_PRICE" > 0""",
    ),
}
"""Taobao's clickstream, REES46's and Online Retail's below one folder; Ta Feng from the package that brings it."""


def real_log(name: str, folder: Path) -> tuple[ShapeLog, float]:
    """Return what the shape of a real set is made of, and the days it covers.

    Raises:
        SourceDataError: its file is not there.
    """
    chosen = REAL_SETS[name]
    with duckdb.connect(config={"threads": 1}) as connection:
        asked: dict[str, Any] = {"file": str(folder / chosen.file)}
        if not chosen.file:
            (file,) = TA_FENG.locate(Data(adapter="ta_feng"), None).files
            connection.register("lines", _zipped(file))
            asked = {}
        elif not (folder / chosen.file).is_file():
            raise SourceDataError(f"There is no {chosen.file} below {folder}; expected the real data set {name}.")
        found = connection.execute(chosen.query, asked).fetchnumpy()
    columns = {column: np.asarray(np.ma.getdata(values)) for column, values in found.items()}
    kept = columns["second"] < chosen.days * 86_400
    customer, second, kind, item = (columns[name][kept].astype(np.int64) for name in _WHOLE)
    price, margin = (
        columns[name][kept].astype(np.float64) if name in columns else None for name in ("price", "margin")
    )
    return ShapeLog(customer, second, kind, item, price, margin), chosen.days


_WHOLE = ("customer", "second", "kind", "item")


def _zipped(file: Path) -> pa.Table:
    with zipfile.ZipFile(file) as archive, archive.open(archive.namelist()[0]) as content:
        return pa.csv.read_csv(content)
