"""What was materialised, run by run, in SQL: where a killed run goes on, and up to when a view is known online.

Two tables, made on first use: `materialization_runs` (one row a run: what it is, how far it is) and
`materialization_watermarks` (one row a view: its last complete run). SQLite or PostgreSQL, by SQLAlchemy's URL.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from intent_stores.errors import ConfigurationError, LedgerError
from intent_stores.materialization_lock import exclusive
from intent_stores.write_ahead import use_write_ahead

_CONNECT_SECONDS = 5
_TABLES = sa.MetaData()
_NAME = sa.String(255)
_RUNS = sa.Table(
    "materialization_runs",
    _TABLES,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("project", _NAME, nullable=False),
    sa.Column("view", _NAME, nullable=False),
    sa.Column("identity", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),  # running, complete, replaced
    sa.Column("end_us", sa.BigInteger, nullable=False),
    sa.Column("rows_in", sa.BigInteger, nullable=False),
    sa.Column("chunks_in", sa.BigInteger, nullable=False),
    sa.Column("started_us", sa.BigInteger, nullable=False),
    sa.Column("finished_us", sa.BigInteger),
    sa.Index("materialization_runs_of_view", "project", "view", "state"),
)
_WATERMARKS = sa.Table(
    "materialization_watermarks",
    _TABLES,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("view", _NAME, primary_key=True),
    sa.Column("run_id", sa.String(32), nullable=False),
    sa.Column("definition", sa.String(64), nullable=False),
    sa.Column("end_us", sa.BigInteger, nullable=False),
    sa.Column("seen_us", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True)
class Run:
    """One run of one view.

    Attributes:
        run_id: its name, never used again.
        rows_in: rows of the source's stable order that are in the online store for certain.
        started_us: when it began, microseconds since 1970.
    """

    run_id: str
    rows_in: int
    started_us: int


@dataclass(frozen=True)
class Watermark:
    """What a view's last complete run brought online.

    Attributes:
        run_id: that run.
        definition: hash of what the view and its source were then.
        end_us: the moment as of which its rows hold, microseconds since 1970.
        seen_us: up to when its source had been read: `end_us`, or the run's start if the end lay in the future.
    """

    run_id: str
    definition: str
    end_us: int
    seen_us: int


class Ledger:
    """The runs of any number of projects and views. Nothing is opened before the first call.

    Arguments:
        url: `sqlite:///relative.db` or `sqlite:////absolute.db` (missing folders are made), or
            `postgresql://user:password@host:port/database`.
        wait_seconds: how long a run waits for another run of the same view.
        folder: where the path of a relative SQLite file starts.

    Raises:
        ConfigurationError: the URL is none of these.
        LedgerError: the database's driver is not installed.
    """

    def __init__(self, url: str, wait_seconds: float = 600.0, folder: str | Path | None = None) -> None:
        self._url, self._wait, self._ready = _usable(url, Path(folder or ".")), wait_seconds, False
        with _told(self._url):
            self._engine = _engine(self._url, wait_seconds)

    @contextmanager
    def view(self, project: str, view: str) -> Iterator["ViewLedger"]:
        """Open a view's pages; nobody else, in any process, has them open meanwhile.

        Raises:
            LedgerError: the database cannot be used, or another run held the view for too long.
        """
        with ExitStack() as held:
            with _told(self._url):
                connection = self._connect(held)
                held.enter_context(exclusive(connection, f"{project}\0{view}", self._wait))
            yield ViewLedger(connection, project, view)

    def watermark(self, project: str, view: str) -> Watermark | None:
        """Return what the view's last complete run brought online, without waiting for a running one.

        Raises:
            LedgerError: the database cannot be used.
        """
        with ExitStack() as held:
            with _told(self._url):
                connection = self._connect(held)
            return ViewLedger(connection, project, view).watermark()

    def _connect(self, held: ExitStack) -> sa.Connection:
        if self._url.get_backend_name() == "sqlite":
            Path(str(self._url.database)).parent.mkdir(parents=True, exist_ok=True)
        connection = held.enter_context(self._engine.connect())
        if not self._ready:
            with exclusive(connection, "tables", self._wait), connection.begin():
                _TABLES.create_all(connection)
            self._ready = True
        return connection


class ViewLedger:
    """The pages of one view, as `Ledger.view` opens them. Each change is one transaction."""

    def __init__(self, connection: sa.Connection, project: str, view: str) -> None:
        self._connection = connection
        self._place = {"project": project, "view": view}

    def watermark(self) -> Watermark | None:
        """Return what the last complete run brought online."""
        found = self._one(sa.select(_WATERMARKS).where(*self._of(_WATERMARKS)))
        return found and Watermark(found.run_id, found.definition, found.end_us, found.seen_us)

    def unfinished(self, identity: str) -> Run | None:
        """Return the run of this identity that was begun last and neither completed nor replaced."""
        return self._run(_RUNS.c.identity == identity, _RUNS.c.state == "running")

    def completed_since(self, identity: str, moment_us: int) -> Run | None:
        """Return a run of this identity that was completed at or after a moment."""
        return self._run(_RUNS.c.identity == identity, _RUNS.c.state == "complete", _RUNS.c.finished_us >= moment_us)

    def begin(self, identity: str, end_us: int) -> Run:
        """Note a new run; unfinished ones of the view will not be taken up again."""
        run = Run(uuid.uuid4().hex, 0, _now_us())
        others = sa.update(_RUNS).where(*self._of(_RUNS), _RUNS.c.state == "running").values(state="replaced")
        first = {"identity": identity, "state": "running", "end_us": end_us, "rows_in": 0, "chunks_in": 0}
        own = {"run_id": run.run_id, "started_us": run.started_us}
        self._change(others, sa.insert(_RUNS).values(**self._place, **first, **own))
        return run

    def advance(self, run: Run, rows_in: int) -> None:
        """Note that one more chunk is in, and how many rows are."""
        changed = {"rows_in": rows_in, "chunks_in": _RUNS.c.chunks_in + 1}
        self._change(sa.update(_RUNS).where(_RUNS.c.run_id == run.run_id).values(**changed))

    def complete(self, run: Run, watermark: Watermark) -> None:
        """Note that every chunk is in, and move the watermark."""
        done = {"state": "complete", "finished_us": _now_us()}
        reached: dict[str, Any] = {"run_id": watermark.run_id, "definition": watermark.definition}
        reached |= {"end_us": watermark.end_us, "seen_us": watermark.seen_us}
        self._change(
            sa.update(_RUNS).where(_RUNS.c.run_id == run.run_id).values(**done),
            sa.delete(_WATERMARKS).where(*self._of(_WATERMARKS)),
            sa.insert(_WATERMARKS).values(**self._place, **reached),
        )

    def _of(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        return [table.c[name] == value for name, value in self._place.items()]

    def _run(self, *conditions: sa.ColumnElement[bool]) -> Run | None:
        query = sa.select(_RUNS).where(*self._of(_RUNS), *conditions).order_by(_RUNS.c.started_us.desc()).limit(1)
        found = self._one(query)
        return found and Run(found.run_id, found.rows_in, found.started_us)

    def _one(self, query: sa.Select[Any]) -> Any:
        with _told(self._connection.engine.url), self._connection.begin():
            return self._connection.execute(query).first()

    def _change(self, *statements: sa.Executable) -> None:
        with _told(self._connection.engine.url), self._connection.begin():
            for statement in statements:
                self._connection.execute(statement)


def _engine(url: sa.URL, wait_seconds: float) -> sa.Engine:
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": wait_seconds})
        sa.event.listen(engine, "connect", lambda connection, _: _settle(connection, wait_seconds))
        return engine
    limits = {} if "connect_timeout" in url.query else {"connect_timeout": _CONNECT_SECONDS}
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=limits)
    if url.get_driver_name() == "psycopg":
        from intent_stores.postgres_connection import connect_bounded

        sa.event.listen(engine, "do_connect", connect_bounded)
    return engine


def _settle(connection: Any, wait_seconds: float) -> None:
    # What a power cut takes from the end of the ledger is safe to lose: the run then does a chunk again.
    use_write_ahead(connection, wait_seconds)
    connection.execute("PRAGMA synchronous = NORMAL")


@contextmanager
def _told(url: sa.URL) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, OSError, ImportError) as error:
        raise LedgerError(
            f"The materialisation ledger {url.render_as_string()} cannot be used ({error}). Rows that are in the "
            "online store stay there, and no watermark has moved. Expected a database that can be written; run it "
            "again when there is one."
        ) from error


def _usable(given: str, folder: Path) -> sa.URL:
    try:
        url = sa.make_url(given)
    except ArgumentError as error:
        raise ConfigurationError(_unusable("text that is no URL")) from error
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    if not is_file and url.get_backend_name() != "postgresql":
        raise ConfigurationError(_unusable(url.render_as_string()))
    return url.set(database=str(folder / str(url.database))) if is_file else url


def _unusable(shown: str) -> str:
    return f"The materialisation ledger is {shown}; expected sqlite:///file.db or postgresql://user:password@host/database."


def _now_us() -> int:
    return time.time_ns() // 1000
