"""Pushed lists, turned into the rows of a sequence source: one for each event."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from intent_stores.errors import WriteError


def explode_sequences(table: pa.Table, source: Any) -> pa.Table:
    """Return one row for each list element; columns that hold no lists are repeated beside them.

    Arguments:
        table: pushed rows in the source's column names. All its lists in a row must have the same length. A list in
            the timestamp column gives each event its own time; a single timestamp there is every event's.
        source: the sequence source, for messages.

    Raises:
        WriteError: lists of one row differ in length.
    """
    ragged = [name for name, column in zip(table.column_names, table.columns, strict=True) if _is_list(column.type)]
    if not ragged:
        return table
    lengths = {name: pc.fill_null(pc.list_value_length(table.column(name)), 0) for name in ragged}
    first = lengths[ragged[0]]
    for name in ragged[1:]:
        if not pc.all(pc.equal(lengths[name], first), min_count=0).as_py():
            raise WriteError(
                f"Rows for sequence source {source.name!r}: the lists {ragged[0]!r} and {name!r} differ in length; "
                "expected one element in each for every event. Nothing was written. Make the lists equally long."
            )
    parents = pc.list_parent_indices(table.column(ragged[0]).combine_chunks())
    columns = [
        pc.list_flatten(column) if name in ragged else column.take(parents)
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, names=table.column_names)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
