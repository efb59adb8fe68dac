"""The files in which rows wait: Parquet that is written fast and read once or twice, by DuckDB.

Text that repeats has a dictionary, which spares DuckDB as much as it costs here; nothing is packed.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from training.adapters.coded_text import TEXT
from training.adapters.contract import NUMBER_COLUMNS, TEXT_COLUMNS

__all__ = ["ATTRIBUTES", "KEYS", "ROW_GROUP", "STAGED", "TEXTS", "VALUES", "staged_columns", "staged_writer"]

VALUES = (*TEXT_COLUMNS, *NUMBER_COLUMNS)
KEYS = ("source_row", "moment", "id_low", "id_high")
ROW_GROUP = 131_072

STAGED = pa.schema(
    [
        pa.field("source_row", pa.int64()),
        pa.field("moment", pa.int64()),
        pa.field("id_low", pa.uint64()),
        pa.field("id_high", pa.uint64()),
        *(pa.field(name, TEXT) for name in TEXT_COLUMNS),
        *(pa.field(name, pa.float64()) for name in NUMBER_COLUMNS),
    ]
)
TEXTS = pa.schema([pa.field("source_row", pa.int64()), pa.field("source_text", pa.string())])
ATTRIBUTES = pa.schema([pa.field("about", pa.string()), *STAGED])


def staged_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Return a writer of such a file."""
    repeating = [name for name in TEXT_COLUMNS if name in schema.names]
    return pq.ParquetWriter(path, schema, compression="none", use_dictionary=repeating, write_statistics=["source_row"])


def staged_columns(present: list[str]) -> str:
    """Return SQL: all columns of STAGED, null where a file lacks one."""
    kinds = {name: "DOUBLE" if name in NUMBER_COLUMNS else "VARCHAR" for name in VALUES}
    return ", ".join(name if name in present else f"NULL::{kinds[name]} AS {name}" for name in STAGED.names)
