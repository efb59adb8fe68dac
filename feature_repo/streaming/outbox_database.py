"""Where the outbox lies: its tables, and transactions on SQLite and PostgreSQL that say what went wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from feature_repo.errors import DependencyDown, SettingsError
from intent_stores.write_ahead import use_write_ahead

__all__ = ["EVENTS", "HEAD", "QUARANTINE", "OutboxDatabase"]

_CONNECT_SECONDS = 3
_LOCKED_SECONDS = 10.0
_TABLES = sa.MetaData()
HEAD = sa.Table(
    "stream_head",
    _TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
)
EVENTS = sa.Table(
    "stream_events",
    _TABLES,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.Text, nullable=False, unique=True),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("event_type", sa.Text, nullable=False),
    sa.Column("event_us", sa.BigInteger, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    *(sa.Column(name, sa.Text) for name in ("item_id", "session_id")),
    *(sa.Column(name, sa.Double) for name in ("quantity", "revenue", "cost")),
    *(sa.Column(name, sa.Text) for name in ("currency", "category")),
    sa.Column("list_price", sa.Double),
    sa.Index("stream_events_of_user", "user_id", "seq"),
    sa.Index("stream_events_known", "user_id", "created_us"),
)
QUARANTINE = sa.Table(
    "stream_quarantine",
    _TABLES,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("received_us", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("source_values", sa.Text, nullable=False),
)


class OutboxDatabase:
    """The tables at an SQL address; they are made on first use. May be used from several threads.

    Raises:
        SettingsError: the URL is neither a SQLite file's nor PostgreSQL's.
    """

    def __init__(self, url: str) -> None:
        self._url = _usable(url)
        self._engine = _engine(self._url)
        self._ready = False

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Open a transaction that writes; it is committed when the block ends without an error.

        Raises:
            DependencyDown: the database cannot be written; nothing of the block was stored.
        """
        with self._told("written"), self._engine.connect() as connection:
            self._prepare(connection)
            with connection.execution_options(writes=True).begin():
                yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a transaction that reads.

        Raises:
            DependencyDown: the database cannot be read.
        """
        with self._told("read"), self._engine.connect() as connection:
            self._prepare(connection)
            with connection.execution_options(writes=False).begin():
                yield connection

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _prepare(self, connection: sa.Connection) -> None:
        if self._ready:
            return
        with connection.execution_options(writes=True).begin():
            if connection.dialect.name == "postgresql":  # two that make the same table at once fail there
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('stream_events'))"))
            _TABLES.create_all(connection)
            _add_columns(connection)
            if connection.execute(sa.select(HEAD.c.seq)).first() is None:
                connection.execute(sa.insert(HEAD).values(id=1, seq=0, created_us=0))
        self._ready = True

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            if self._url.get_backend_name() == "sqlite":
                Path(str(self._url.database)).parent.mkdir(parents=True, exist_ok=True)
            yield
        except (SQLAlchemyError, OSError) as error:
            self._engine.dispose()
            cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise DependencyDown(
                f"The outbox {self._url.render_as_string()} cannot be {what} ({cause}); no event of this call was "
                "acknowledged. Expected a database that answers and can be written; push the same events again when "
                "it does: a repetition is harmless."
            ) from error


def _add_columns(connection: sa.Connection) -> None:
    """Give the events of an earlier version the columns that came since, at the end and null."""
    present = {column["name"] for column in sa.inspect(connection).get_columns(EVENTS.name)}
    for column in EVENTS.c:
        if column.name not in present:
            kind = column.type.compile(connection.dialect)
            connection.execute(sa.text(f"ALTER TABLE {EVENTS.name} ADD COLUMN {column.name} {kind}"))


def _usable(given: str) -> sa.URL:
    try:
        url = sa.make_url(given)
        is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
        if is_file or url.get_backend_name() == "postgresql":
            return url
        shown = url.render_as_string()
    except ArgumentError:
        shown = "text that is no URL"
    raise SettingsError(
        f"The address of the outbox is {shown}; expected sqlite:///folder/outbox.db or "
        "postgresql://user:password@host:port/database."
    )


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() == "postgresql":
        return _postgres_engine(url)
    engine = sa.create_engine(url, connect_args={"timeout": _LOCKED_SECONDS, "isolation_level": None})

    @sa.event.listens_for(engine, "connect")
    def _settle(connection: Any, _: Any) -> None:
        use_write_ahead(connection, _LOCKED_SECONDS)
        connection.execute("PRAGMA synchronous = FULL")  # what is acknowledged survives the machine's end

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres_engine(url: sa.URL) -> sa.Engine:
    from intent_stores.postgres_connection import connect_bounded  # psycopg: not where there are files only

    engine = sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": _CONNECT_SECONDS})
    sa.event.listen(engine, "do_connect", connect_bounded)
    return engine
