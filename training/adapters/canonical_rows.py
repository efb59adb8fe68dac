"""Source rows to canonical columns, by a mapping: what every adapter with one row an event shares."""

from collections.abc import Callable, Mapping

import pyarrow as pa

from feature_repo.errors import SourceDataError
from training.adapters.contract import NUMBER_COLUMNS, ROW_SCHEMA, CanonicalChunk, Problem
from training.adapters.csv_rows import SourceRows
from training.adapters.readings import Reading, read_number, read_text

__all__ = ["canonical_chunk", "require_columns"]


def canonical_chunk(
    rows: SourceRows,
    columns: Mapping[str, str],
    constants: Mapping[str, str],
    read_timestamp: Callable[[pa.Array], Reading],
) -> CanonicalChunk:
    """Return `rows` in the columns of `ROW_SCHEMA`.

    `columns` maps canonical names to columns of the source and must hold `user_id` and `event_timestamp`;
    `constants` gives values that hold for every row. A cell that holds something unreadable is null, and its row
    has the problem `not_a_number` or `unreadable_timestamp`.
    """
    problems = list(rows.problems)
    values: list[pa.Array] = []
    for field in ROW_SCHEMA:
        name, source = field.name, columns.get(field.name)
        if source is None:
            values.append(_constant(constants.get(name), field.type, rows.table.num_rows))
            continue
        cells = rows.table[source].combine_chunks()
        if name == "event_timestamp" or name in NUMBER_COLUMNS:
            read = read_timestamp if name == "event_timestamp" else read_number
            reason = "unreadable_timestamp" if name == "event_timestamp" else "not_a_number"
            cells, unreadable = read(cells)
            if unreadable.any():
                problems.append(Problem(reason, f"column {source}", unreadable))
        else:
            cells = read_text(cells)
        values.append(cells)
    table = pa.Table.from_arrays(values, schema=ROW_SCHEMA)
    return CanonicalChunk(rows.table, table, rows.source_row, tuple(problems), rows.unreadable)


def require_columns(source: str, present: list[str], wanted: Mapping[str, str]) -> None:
    """Refuse a source that lacks a wanted column; `wanted` maps canonical names to columns of the source.

    Raises:
        SourceDataError: with the columns that are missing and those that are there.
    """
    missing = [f"{column} (for {name})" for name, column in wanted.items() if column not in present]
    if missing:
        raise SourceDataError(
            f"{source} lacks {len(missing)} column(s): expected {', '.join(missing)}; "
            f"it has {', '.join(present) or 'none'}. Name the right columns or the right file."
        )


def _constant(value: str | None, kind: pa.DataType, length: int) -> pa.Array:
    if value is None:
        return pa.nulls(length, kind)
    typed = float(value) if pa.types.is_floating(kind) else value
    return pa.repeat(pa.scalar(typed, kind), length)
