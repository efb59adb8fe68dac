"""Any database that SQLAlchemy reaches: events, items and customers by query.

A query is read in pages by its key columns, each page from behind the last row of the one before, so that a page costs
the same wherever it lies. A connection that drops in the middle is taken up where it ended; pages that were read are
kept beside the log until it is whole, and a run that failed goes on from them.
"""

import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from feature_repo.errors import SettingsError, SourceDataError
from training.adapters.attributes import attribute_chunk
from training.adapters.canonical_rows import canonical_chunk, require_columns
from training.adapters.contract import About, Adapter, CanonicalChunk, DataSettings, Description, Source, SqlSettings
from training.adapters.csv_rows import SourceRows
from training.adapters.mapping import check_mapping, check_type, constants_of, read_moment
from training.adapters.readings import TypeReader

__all__ = ["ADAPTER"]

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def locate(settings: DataSettings, path: Path | None) -> Source:
    """Return the database, after the settings were found to make sense; `path` is a SQLite file instead of `url`.

    Raises:
        SettingsError: there is no `[data.sql]`, no address, a variable that is not set, or a mapping without sense.
        SourceDataError: the SQLite file is missing.
    """
    sql = _section(settings)
    check_mapping(settings, sql.item_columns if sql.items else None, sql.user_columns if sql.users else None)
    for about, (query, _) in _queries(settings).items():
        if query and not sql.keys.get(about):
            raise SettingsError(
                f"[data.sql] keys says nothing about {about}; expected the columns that tell its rows apart, such as "
                f'keys = {{ {about} = ["id"] }}. Add them in {settings.file}.'
            )
    if path is not None and not path.is_file():
        raise SourceDataError(
            f"There is no file {path}; expected a SQLite file. Or name a database by url in {_where(settings)}."
        )
    address = f"sqlite:///{path}" if path else _filled(sql.url, settings)
    return Source(_shown(address, settings), address=address)


def read(source: Source, settings: DataSettings) -> Iterator[CanonicalChunk]:
    """Yield the rows of the events query as events, then those about items and customers.

    Raises:
        SourceDataError: a query fails, lacks a column, or its keys do not tell its rows apart.
        DependencyDown: the database does not answer, even after several attempts; pages that were read are kept.
    """
    moments = partial(read_moment, settings=settings)
    types, constants = TypeReader(settings.event_types), constants_of(settings)
    for about, (query, columns) in _queries(settings).items():
        if not query:
            continue
        for rows in _rows(source, settings, about, query, columns):
            if about == "events":
                yield canonical_chunk(rows, columns, constants, moments, types)
            else:
                yield attribute_chunk(about, rows, columns, moments, constants)


def _queries(settings: DataSettings) -> dict[About, tuple[str | None, Mapping[str, str]]]:
    sql = _section(settings)
    return {
        "events": (sql.events, settings.columns),
        "items": (sql.items, sql.item_columns),
        "users": (sql.users, sql.user_columns),
    }


def _rows(
    source: Source, settings: DataSettings, about: About, query: str, columns: Mapping[str, str]
) -> Iterator[SourceRows]:
    from training.adapters.database.pages import Query, pages  # SQLAlchemy is imported by those who use it

    name, sql = f"the {about} query", _section(settings)
    text = query.strip().rstrip(";")
    asked = Query(about, text, sql.keys[about], sql.page_rows, sql.attempts, _where(settings))
    for rows in pages(source, asked):
        require_columns(name, rows.table.column_names, columns)
        for field, column in columns.items():
            check_type(name, field, column, rows.table.schema.field(column).type)
        yield rows


def _section(settings: DataSettings) -> SqlSettings:
    if settings.sql is None:
        raise SettingsError(
            "There is no [data.sql]; expected the database's url, the events query and its keys. Add them to "
            f"{settings.file}; docs/adapters.md has an example."
        )
    return settings.sql


def _where(settings: DataSettings) -> str:
    return f"[data.sql] in {settings.file}"


def _filled(url: str | None, settings: DataSettings) -> str:
    if not url:
        raise SettingsError(
            "[data.sql] names no database: got no url; expected one such as postgresql+psycopg://${SHOP_DB}. Set it "
            f"in {settings.file}, or name a SQLite file: `intent ingest --adapter sql PATH`."
        )
    missing = [name for name in VARIABLE.findall(url) if name not in os.environ]
    if missing:
        raise SettingsError(
            f"[data.sql] url needs {', '.join(missing)}, which the environment does not have. Set it and run again, "
            f"or change the url in {settings.file}."
        )
    return VARIABLE.sub(lambda found: os.environ[found[1]], url)


def _shown(address: str, settings: DataSettings) -> str:
    """What may be told of an address: the kind of database and its name."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(address)
    except ArgumentError:
        raise SettingsError(
            "[data.sql] url is not an address that SQLAlchemy knows; expected dialect://user@host/name, such as "
            f"sqlite:///shop.db. Correct it in {settings.file}."
        ) from None
    return f"{url.get_backend_name()} {Path(url.database or '').name}".strip()


ADAPTER = Adapter(
    Description(
        name="sql",
        title="Any database that SQLAlchemy reaches, by query",
        licence="your own data",
        page="your own settings: the queries of [data.sql], and [data.columns]",
        delay_hours=None,
    ),
    locate,
    read,
)
