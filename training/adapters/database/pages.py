"""The rows of a query in pages by key; each page is kept as a file until the log is whole."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Engine, TextClause, and_, case, column, create_engine, func, literal, or_, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.sql import ColumnElement, Executable, Select

from feature_repo.errors import DependencyDown, SettingsError, SourceDataError
from training.adapters.contract import Source
from training.adapters.csv_rows import SourceRows, refuse_twins
from training.atomic import write_bytes, write_parquet

__all__ = ["Query", "pages"]

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
NEVER_BETTER = ("no such", "syntax error", "ambiguous")  # SQLite calls a wrong query an operational error
END, ROWS = "end", "rows"  # beside the pages: that they are all, and how many rows there were when the first was asked
COLON = re.compile(r"(?<![:\w\\]):(?=\w)")  # SQLAlchemy takes a word behind it for a parameter, in quotation marks too
ESCAPED = r"\\:"


@dataclass(frozen=True)
class Query:
    """What to ask: `text` with one row for each combination of `keys`, `page_rows` at once, each up to `attempts`.

    `where` names the settings that say so, for messages.
    """

    about: str
    text: str
    keys: tuple[str, ...]
    page_rows: int
    attempts: int
    where: str


def pages(source: Source, query: Query) -> Iterator[SourceRows]:
    """Yield the rows in the order of their keys: first the pages that an earlier run kept, then the rest.

    Raises:
        SourceDataError: the query fails, or its keys are null or do not tell its rows apart.
        DependencyDown: the database does not answer after `attempts`.
    """
    folder = _folder(source, query)
    number = seen = 0
    last: tuple[Any, ...] | None = None
    while (kept := folder / f"{number:08d}.parquet").is_file():
        table = pq.read_table(kept)
        last, number = _last_key(table, query), number + 1
        yield _numbered(table, seen)
        seen += table.num_rows
    if (folder / END).is_file():
        return
    engine = _engine(source.address, query)
    try:
        if last is None:
            write_bytes(folder / ROWS, str(_rows_with_keys(engine, query, source)).encode())
        while table := _page(engine, query, last, source):
            write_parquet(folder / f"{number:08d}.parquet", table)
            last, number = _last_key(table, query), number + 1
            yield _numbered(table, seen)
            seen += table.num_rows
            if table.num_rows < query.page_rows:
                break
        _refuse_lost(folder, query, seen)
        write_bytes(folder / END, b"")
    finally:
        engine.dispose()


def _folder(source: Source, query: Query) -> Path:
    if source.spool is None:
        raise ValueError("A database is read through a folder that keeps its pages.")
    asked = "\0".join((source.address, query.text, *query.keys, str(query.page_rows)))
    folder = source.spool / f"{query.about}-{sha256(asked.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _engine(address: str, query: Query) -> Engine:
    try:
        return create_engine(address)
    except (ArgumentError, NoSuchModuleError, ImportError) as problem:
        raise SettingsError(
            f"The url cannot be used: {type(problem).__name__}; expected a dialect whose driver is installed. "
            f"Install the driver, or name another one in {query.where}."
        ) from None


def _page(engine: Engine, query: Query, last: tuple[Any, ...] | None, source: Source) -> pa.Table | None:
    """The next page, or None; one row more is asked for, to see that its key differs from the last one's."""
    keys: list[ColumnElement[Any]] = [column(name) for name in query.keys]
    asked: Select[Any] = select(text("*")).select_from(_as_table(query))
    if last is not None:
        asked = asked.where(_behind(keys, last))
    names, rows = _answer(engine, asked.order_by(*keys).limit(query.page_rows + 1), query, source)
    refuse_twins(Path(f"the {query.about} query"), names)
    _check_keys(names, rows, query)
    rows = rows[: query.page_rows]
    if not rows:
        return None
    return pa.table([_column(values) for values in zip(*rows, strict=True)], names=names)


def _behind(keys: Sequence[ColumnElement[Any]], last: tuple[Any, ...]) -> ColumnElement[bool]:
    """The keys come after `last`; written out, for not every database compares rows."""
    told = [literal(value) for value in last]  # a bare True is a word of the language to SQLAlchemy
    ways = [
        and_(*(key == value for key, value in zip(keys[:place], told[:place], strict=True)), keys[place] > told[place])
        for place in range(len(keys))
    ]
    return or_(*ways)


def _as_table(query: Query) -> TextClause:
    return text(f"({COLON.sub(ESCAPED, query.text)}\n) source")  # behind a last line that is a comment


def _rows_with_keys(engine: Engine, query: Query, source: Source) -> int:
    """Count the rows; one whose key is null would lie in no page."""
    anyone_null = or_(*(column(name).is_(None) for name in query.keys))
    asked = select(func.count(), func.count(case((anyone_null, 1)))).select_from(_as_table(query))
    _, ((rows, without),) = _answer(engine, asked, query, source)
    if without:
        raise SourceDataError(
            f"The {query.about} query has {without:,} rows without {' or '.join(query.keys)}; expected keys that "
            f"are never null, or those rows would be lost. Choose other keys in {query.where}."
        )
    return int(rows)


def _refuse_lost(folder: Path, query: Query, seen: int) -> None:
    """A page begins behind the last key: rows whose keys only the database holds to be equal to it are in none."""
    told = folder / ROWS
    rows = int(told.read_text()) if told.is_file() else 0
    if seen < rows:
        shutil.rmtree(folder)
        raise SourceDataError(
            f"The {query.about} query had {rows:,} rows when the reading began, and {seen:,} came in its pages; "
            f"expected all of them. To the database some values of {', '.join(query.keys)} are equal that are spelt "
            "differently, as where capitals do not count, or rows were deleted meanwhile. Add a column to keys in "
            f"{query.where}, or run again; the pages were thrown away."
        )


def _answer(engine: Engine, asked: Executable, query: Query, source: Source) -> tuple[list[str], list[Any]]:
    """Ask, again after growing pauses where the connection failed; a query that is wrong is not asked again."""
    pause, cause = FIRST_PAUSE, ""
    for attempt in range(1, query.attempts + 1):
        try:
            with engine.connect() as connection:
                result = connection.execute(asked)
                return list(result.keys()), list(result.fetchall())
        except DBAPIError as problem:
            cause = _cause(problem, source)
            _refuse_wrong(problem, cause, query)
            engine.dispose()  # the next attempt gets a connection of its own
            if attempt < query.attempts:
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
    raise DependencyDown(
        f"The database ({source.name}) did not answer the {query.about} query in {query.attempts} attempts, at last "
        f"because: {cause}; expected it to be up, and to let the url's user in. The pages that were read are kept: run "
        "the same command again to go on from them."
    )


def _cause(problem: DBAPIError, source: Source) -> str:
    """The first line of what the driver says, without the password, should it repeat it."""
    said, password = str(problem.orig).strip(), make_url(source.address).password
    cause = said.splitlines()[0] if said else type(problem).__name__
    return cause.replace(str(password), "***") if password else cause


def _refuse_wrong(problem: DBAPIError, cause: str, query: Query) -> None:
    failed = problem.connection_invalidated or isinstance(problem, OperationalError | InterfaceError)
    if not failed or any(sign in cause for sign in NEVER_BETTER):
        raise SourceDataError(
            f"The {query.about} query failed: {cause}; expected a SELECT that the database takes, with the columns "
            f"{', '.join(query.keys)}. Correct it in {query.where}."
        ) from None


def _check_keys(names: list[str], rows: list[Any], query: Query) -> None:
    places = [names.index(name) for name in query.keys if name in names]
    if len(places) < len(query.keys):
        raise SourceDataError(
            f"The {query.about} query lacks a key: got {', '.join(names)}; expected {', '.join(query.keys)} among its "
            f"columns. Name the right ones as keys in {query.where}."
        )
    told = [tuple(row[place] for place in places) for row in rows]
    if any(one == other for one, other in pairwise(told)):
        raise SourceDataError(
            f"{', '.join(query.keys)} do not tell the rows of the {query.about} query apart: the same key came twice; "
            f"expected keys that are unique, or rows would be lost between two pages. Add one to keys in {query.where}."
        )


def _last_key(table: pa.Table, query: Query) -> tuple[Any, ...]:
    return tuple(table[name][-1].as_py() for name in query.keys)


def _column(values: Sequence[Any]) -> pa.Array:
    given = next((value for value in values if value is not None), None)
    if given is None:
        return pa.nulls(len(values), pa.string())
    if isinstance(given, dict | list):  # JSON, whose rows need not be of one type
        return _written(values, partial(json.dumps, ensure_ascii=False, default=str))
    try:
        if isinstance(given, datetime):
            return pa.array(values, pa.timestamp("us", tz="UTC" if given.tzinfo else None))
        return pa.array(values)
    except (pa.ArrowException, TypeError, OverflowError):  # several types in one column, or one that Arrow has not
        return _written(values, str)


def _written(values: Sequence[Any], write: Callable[[Any], str]) -> pa.Array:
    return pa.array([None if value is None else write(value) for value in values], pa.string())


def _numbered(table: pa.Table, seen: int) -> SourceRows:
    """The rows as a source has them; in a page a UUID stays one, for the next page is asked for behind it."""
    for place, field in enumerate(table.schema):
        if field.type == pa.uuid():
            table = table.set_column(place, field.name, _written(table[field.name].to_pylist(), str))
    return SourceRows(table, seen + 1 + np.arange(table.num_rows, dtype=np.int64))
