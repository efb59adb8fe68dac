"""Rows that cannot be used, on their way to quarantine: appended to a file, for they may be most of a source."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.events import QUARANTINE_SCHEMA

__all__ = ["RefusedRows"]

SCHEMA = pa.schema([pa.field("about", pa.string()), *QUARANTINE_SCHEMA])
ROW_GROUP = 32_768  # a row holds all of its source's cells: with more of them a group would be large


class RefusedRows:
    """Files of the columns of `QUARANTINE_SCHEMA`, and `about` (events, items or users).

    After `close` the view `quarantine` of the connection has them; more can be added, and closed, later.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: pq.ParquetWriter | None = None
        self._files: list[str] = []

    def add(
        self, about: str, numbers: npt.NDArray[np.int64], reasons: pa.Array, details: pa.Array, values: pa.Array
    ) -> None:
        """Append rows: their numbers in the source, and text for each."""
        if self._writer is None:
            self._writer = self._opened()
        if about != "events":
            details = pc.binary_join_element_wise(f"{about}: ", details, "")
        columns = [pa.repeat(about, len(numbers)), pa.array(numbers), reasons, details, values]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA), row_group_size=ROW_GROUP)

    def close(self, connection: Any) -> None:
        """Close what is open and make the view."""
        if not self._files:  # a view needs a file
            self._writer = self._opened()
        self.let_go()
        files = ", ".join(f"'{file}'" for file in self._files)
        connection.execute(f"CREATE OR REPLACE VIEW quarantine AS FROM read_parquet([{files}], file_row_number = true)")

    def let_go(self) -> None:
        """Close what is open."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _opened(self) -> pq.ParquetWriter:
        file = self._folder / f"refused-{len(self._files)}.parquet"
        self._files.append(str(file).replace("'", "''"))
        repeating = ["about", "reason", "detail"]
        return pq.ParquetWriter(file, SCHEMA, compression="lz4", use_dictionary=repeating, write_statistics=False)
