"""Retailrocket: views, carts and transactions of a shop, 2015-05-03 to 2015-09-18, with what its items were.

`events.csv` has the events; `item_properties_part1.csv` and `item_properties_part2.csv` say, week by week, what was
known about items; `category_tree.csv` has each category's parent. Of the properties only `categoryid` is used: all
others but `available` are hashed. An item's category is its path in the tree, from the root (`140.659.1051`), and
an event has the category that its item was known to have at that moment. Amounts are not published.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.errors import SettingsError, SourceDataError
from training.adapters.attributes import attribute_chunk
from training.adapters.canonical_rows import canonical_chunk, require_columns, with_column
from training.adapters.coded_text import by_text, coded_by
from training.adapters.contract import Adapter, CanonicalChunk, Counts, DataSettings, Description, Source
from training.adapters.csv_rows import SourceRows
from training.adapters.readings import TypeReader, read_text
from training.adapters.source_rows import named_file, source_columns, source_rows, within_folder
from training.adapters.source_times import read_time

__all__ = ["ADAPTER"]

EVENTS = {
    "event_timestamp": "timestamp",
    "user_id": "visitorid",
    "event_type": "event",
    "item_id": "itemid",
}
PROPERTIES = {"event_timestamp": "timestamp", "item_id": "itemid", "category": "value"}
PROPERTY = "property"
TREE = {"category": "categoryid", "parent": "parentid"}
READ_TYPE = TypeReader({"addtocart": "add_to_cart", "transaction": "purchase"})
BESIDE = ("item_properties_part1", "item_properties_part2", "category_tree")
read_moment = partial(read_time, zone="UTC")


def locate(settings: DataSettings, path: Path | None) -> Source:
    """Return the four files: of the folder that was named, or `events.csv` that was named and those beside it.

    Raises:
        SettingsError: nothing is named.
        SourceDataError: a file is missing.
    """
    if path is None:
        raise SettingsError(
            "No folder is named: got no path; expected the one with events.csv. Set [data] path, or name it: "
            "`intent ingest --adapter retailrocket PATH`."
        )
    if path.is_dir():
        path = within_folder(path, "events.csv", "events.parquet") or path / "events.csv"
    events = named_file("retailrocket", path)
    beside = [within_folder(path, f"{name}.csv", f"{name}.parquet") for name in BESIDE]
    missing = [f"{name}.csv" for name, found in zip(BESIDE, beside, strict=True) if found is None]
    if missing:
        raise SourceDataError(
            f"{', '.join(missing)} missing beside {path.name}; expected all four files of the data set in one folder. "
            "Put them there."
        )
    return replace(events, files=(*events.files, *(found for found in beside if found)))


def read(source: Source, settings: DataSettings) -> Iterator[CanonicalChunk]:
    """Yield the events, then what the properties say about the items' categories.

    Raises:
        SourceDataError: a file is missing, empty or damaged, or lacks a column.
    """
    events, *parts, tree = source.files
    _require(source)
    for rows in source_rows(events):
        yield canonical_chunk(rows, EVENTS, {}, read_moment, READ_TYPE)
    paths = _paths(tree)
    for rows in _numbered_on(parts):
        chunk = attribute_chunk("items", _categories(rows), PROPERTIES, read_moment)
        category = coded_by(partial(_replaced, paths=paths), chunk.rows["category"])
        yield replace(chunk, rows=with_column(chunk.rows, "category", category))


def _require(source: Source) -> None:
    events, *parts, tree = source.files
    require_columns(events.name, source_columns(events), EVENTS)
    for part in parts:
        require_columns(part.name, source_columns(part), PROPERTIES | {PROPERTY: PROPERTY})
    require_columns(tree.name, source_columns(tree), TREE)


def _numbered_on(parts: list[Path]) -> Iterator[SourceRows]:
    """The rows of the parts as if they were one file."""
    seen = 0
    for part in parts:
        before = seen
        for rows in source_rows(part):
            unreadable = tuple(replace(row, source_row=row.source_row + before) for row in rows.unreadable)
            seen += rows.table.num_rows + len(unreadable)
            yield replace(rows, source_row=rows.source_row + before, unreadable=unreadable)


def _categories(rows: SourceRows) -> SourceRows:
    """Only the rows about the category; the broken ones stay, to be counted."""
    wanted = pc.fill_null(pc.equal(rows.table[PROPERTY], "categoryid"), False).combine_chunks()
    mask = wanted.to_numpy(zero_copy_only=False)
    problems = tuple(replace(problem, rows=problem.rows[mask]) for problem in rows.problems)
    return SourceRows(rows.table.filter(wanted), rows.source_row[mask], problems, rows.unreadable)


def _paths(tree: Path) -> dict[str, str]:
    """Each category's path from the root; a circle of parents ends where it closes."""
    parents: dict[str, str | None] = {}
    for rows in source_rows(tree):
        if rows.unreadable:
            row = rows.unreadable[0]
            raise SourceDataError(
                f"{tree.name} has rows that do not say a category's parent, first row {row.source_row}: {row.detail}; "
                "expected categoryid and parentid in each. Without them items' paths would be cut off: correct it."
            )
        names = (by_text(read_text, rows.table[column]).to_pylist() for column in TREE.values())
        parents |= {category: parent for category, parent in zip(*names, strict=True) if category}
    return {category: ".".join(reversed(_up(category, parents))) for category in parents}


def _up(category: str, parents: dict[str, str | None]) -> list[str]:
    path, above = [category], parents.get(category)
    while above and above not in path:
        path.append(above)
        above = parents.get(above)
    return path


def _replaced(categories: pa.Array, paths: dict[str, str]) -> pa.Array:
    return pa.array([paths.get(one, one) for one in categories.to_pylist()], pa.string())


ADAPTER = Adapter(
    Description(
        name="retailrocket",
        title="Retailrocket recommender system data set",
        licence="CC BY-NC-SA 4.0 (Retailrocket)",
        page="https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset",
        delay_hours=0.0,
        counts=Counts(lines=2_756_101, customers=1_407_580, items=235_061),
    ),
    locate,
    read,
)
