"""Anchors of a benchmark table: each row is one session that is over, with what was counted in it and a label.

Such a table has months and no days, and no customers. Each row is its own customer, and its moment is the first of its
month in a nominal year: enough to split by month.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feature_repo.errors import SourceDataError
from feature_repo.events import TIMESTAMP
from training.dataset.time_splits import microseconds
from training.settings import midnight

__all__ = ["NOMINAL_YEAR", "TableRule"]

NOMINAL_YEAR = 2001
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True)
class TableRule:
    """One anchor a row of the table that `intent ingest` wrote to `<out>/sessions/`.

    `label` is the column with the label, `month` the one with the month's English name, whole or cut to three letters.
    `words` are columns whose numbers are only names.
    """

    label: str
    month: str
    words: tuple[str, ...] = ()

    def label_events(self) -> str | None:
        """None: the table has no events."""
        return None

    def anchors(self, table: pa.Table, *, with_month: bool = False) -> pa.Table:
        """Return `user_id` (the row's number), `event_timestamp`, `label`, and the columns as numbers or text.

        The month is left out unless asked for: in a split by month, no month of the test was ever seen.

        Raises:
            SourceDataError: a column is missing, or a month is none.
        """
        missing = sorted({self.label, self.month, *self.words} - set(table.column_names))
        if missing:
            raise SourceDataError(f"The table lacks {', '.join(missing)}; got {table.column_names}. Ingest it again.")
        rows = table["source_row"] if "source_row" in table.column_names else pa.array(np.arange(table.num_rows))
        taken = {
            "user_id": rows.cast(pa.string()),
            "event_timestamp": pa.array(self._moments(table[self.month])).cast(TIMESTAMP),
            "label": table[self.label].cast(pa.int8()),
        }
        for name in table.column_names:
            if name not in (self.label, "source_row") and (with_month or name != self.month):
                as_text = name in self.words or pa.types.is_string(table.schema.field(name).type)
                taken[name] = table[name].cast(pa.string() if as_text else pa.float64())
        return pa.table(taken)

    def _moments(self, months: pa.ChunkedArray) -> NDArray[np.int64]:
        names = pc.utf8_slice_codeunits(pc.utf8_lower(months), 0, 3)
        number = pc.index_in(names, pa.array(_MONTHS))
        if number.null_count:
            strange = sorted({str(name) for name in months.filter(number.is_null()).unique().to_pylist()})[:5]
            raise SourceDataError(f"Column {self.month!r} holds {strange}; expected months in English, such as Feb.")
        starts = [microseconds(midnight(date(NOMINAL_YEAR, month, 1))) for month in range(1, 13)]
        moments: NDArray[np.int64] = np.array(starts, np.int64)[number.to_numpy()]
        return moments
