"""A database that drops the connection in the middle loses nothing, and a failed run is taken up where it ended."""

import multiprocessing
import os
import re
import signal
import sqlite3
import uuid
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import OperationalError

from feature_repo.errors import DependencyDown, SettingsError, SourceDataError
from tests.sources import SettingsOf, log_of, quarantined, settings_of
from training.adapters import ingest
from training.adapters.database import pages

COLUMNS = {"user_id": "who", "event_timestamp": "at", "item_id": "sku", "event_type": "kind"}
LINES = [(n, f"u{n % 7}", f"2024-05-01 10:{n:02d}:00", n % 5, "View" if n % 2 else "ordered") for n in range(50)]
ITEMS = [(n, f"kind {n % 2}", n * 1.5) for n in range(5)]
TABLES = (
    "CREATE TABLE lines (id INTEGER, who TEXT, at TEXT, sku INTEGER, kind TEXT)",
    "CREATE TABLE goods (sku INTEGER, kind TEXT, price DOUBLE PRECISION)",
)


def settings(address, file="intent.toml", **sql):
    asked = {
        "url": address,
        "events": "SELECT * FROM lines;",
        "items": "SELECT * FROM goods",
        "keys": {"events": ["id"], "items": ["sku"]},
        "item_columns": {"item_id": "sku", "category": "kind", "list_price": "price"},
        "page_rows": 8,
        "attempts": 3,
    }
    made = settings_of("sql", columns=COLUMNS, event_types={"ordered": "purchase"}, sql=asked | sql)
    return SettingsOf(made.data.of_file(Path(file)))


def fill(engine, lines=LINES):
    with engine.begin() as connection:
        for statement in TABLES:
            connection.execute(text(statement))
        connection.execute(
            text("INSERT INTO lines VALUES (:id, :who, :at, :sku, :kind)"),
            [dict(zip(("id", "who", "at", "sku", "kind"), line, strict=True)) for line in lines],
        )
        connection.execute(
            text("INSERT INTO goods VALUES (:sku, :kind, :price)"),
            [dict(zip(("sku", "kind", "price"), item, strict=True)) for item in ITEMS],
        )


@pytest.fixture
def sqlite(tmp_path):
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    engine = create_engine(url)
    fill(engine)
    engine.dispose()
    return url


@pytest.fixture
def postgres():
    address = os.environ.get("INTENT_TEST_POSTGRES_URL")
    if not address:
        pytest.skip("INTENT_TEST_POSTGRES_URL is not set")
    schema = f"intent_{uuid.uuid4().hex[:12]}"
    address = re.sub(r"^postgresql:", "postgresql+psycopg:", address)
    admin = create_engine(address)
    with admin.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    url = f"{address}?options=-csearch_path%3D{schema}"
    inside = create_engine(url)
    fill(inside)
    inside.dispose()
    yield url
    with admin.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    admin.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(pages.time, "sleep", lambda _: None)


def whole(out):
    events = log_of(out)
    assert [event["event_timestamp"].minute for event in events] == list(range(50))
    assert {event["category"] for event in events} == {"kind 0", "kind 1"}
    assert len({event["event_id"] for event in events}) == 50


def test_every_row_is_read_whatever_the_pages(database, tmp_path):
    for page_rows in (1, 7, 50, 51):
        report = ingest(settings(database, page_rows=page_rows), tmp_path / str(page_rows))
        assert (report.rows_in, report.events, report.attribute_rows) == (50, 50, {"items": 5})
        whole(tmp_path / str(page_rows))
    one, other = ((tmp_path / name / "events" / "part-0.parquet").read_bytes() for name in ("1", "51"))
    assert one == other
    assert not (tmp_path / "1" / ".source").exists()


def failing(monkeypatch, calls):
    """Let the questions of these numbers (from 1) fail as they do when the connection drops."""
    asked = []

    def fail(connection, cursor, statement, parameters, context, many):
        asked.append((statement, parameters))
        if len(asked) in calls:
            raise OperationalError(statement, parameters, ConnectionError("the server closed the connection"))

    def engine(address):
        made = create_engine(address)
        event.listen(made, "before_cursor_execute", fail)
        return made

    monkeypatch.setattr(pages, "create_engine", engine)
    return asked


@pytest.mark.parametrize("calls", [{1}, {3}, {4, 5}, {2, 4, 7}, {9}])
def test_a_connection_that_drops_is_taken_up_at_the_last_page(database, tmp_path, monkeypatch, calls):
    asked = failing(monkeypatch, calls)
    report = ingest(settings(database), tmp_path / "out")
    assert (report.events, report.attribute_rows) == (50, {"items": 5})
    whole(tmp_path / "out")
    assert len(asked) == 1 + 7 + 1 + 1 + len(calls)  # null keys and pages of both queries; none is asked again


def test_a_server_that_ends_the_connection(postgres, tmp_path, monkeypatch):
    killed = []

    def engine(address):
        made = create_engine(address)

        def kill(connection, cursor, statement, parameters, context, many):
            if "lines" in statement and len(killed) < 2:
                killed.append(connection.connection.dbapi_connection.info.backend_pid)
                with create_engine(address).begin() as other:
                    other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": killed[-1]})

        event.listen(made, "before_cursor_execute", kill)
        return made

    monkeypatch.setattr(pages, "create_engine", engine)
    assert ingest(settings(postgres), tmp_path / "out").events == 50
    assert len(killed) == 2
    whole(tmp_path / "out")


def test_a_database_that_stays_down_keeps_its_pages_for_the_next_run(sqlite, tmp_path, monkeypatch):
    failing(monkeypatch, set(range(4, 100)))
    with pytest.raises(DependencyDown, match=r"\(sqlite shop\.db\) did not answer the events query in 3 attempts"):
        ingest(settings(sqlite), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".source"]
    asked = failing(monkeypatch, set())
    assert ingest(settings(sqlite), tmp_path / "out").events == 50
    assert len(asked) == 5 + 2  # two of seven pages were there
    whole(tmp_path / "out")


def die_at(question, url, out):
    """Ingest, and die when the database is asked for the page of this number."""
    answer, asked = pages._answer, []

    def count(*told):
        asked.append(told)
        if len(asked) == question:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer(*told)

    pages._answer = count
    ingest(settings(url), out)


def test_a_killed_ingest_goes_on_from_its_pages(sqlite, tmp_path, monkeypatch):
    process = multiprocessing.get_context("fork").Process(target=die_at, args=(5, sqlite, tmp_path / "out"))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    asked = failing(monkeypatch, set())
    assert ingest(settings(sqlite), tmp_path / "out").events == 50
    assert len(asked) == 4 + 2  # of seven pages three were there
    whole(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").glob(".*")) == []


def test_pages_of_another_query_are_not_used(sqlite, tmp_path, monkeypatch):
    failing(monkeypatch, set(range(4, 100)))
    with pytest.raises(DependencyDown):
        ingest(settings(sqlite), tmp_path / "out")
    failing(monkeypatch, set())
    report = ingest(settings(sqlite, events="SELECT * FROM lines WHERE id >= 20"), tmp_path / "out")
    assert report.events == 30


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"events": "SELECT * FROM nowhere"}, SourceDataError, "events query failed: no such table"),
        ({"events": "SELECT FROM"}, SourceDataError, "events query failed: near .* syntax error"),
        ({"keys": {"events": ["who"], "items": ["sku"]}}, SourceDataError, "who do not tell the rows of the events"),
        ({"keys": {"events": ["code"], "items": ["sku"]}}, SourceDataError, "events query failed: no such column"),
        ({"keys": {"events": ["id"]}}, SettingsError, "keys says nothing about items"),
        ({"url": None}, SettingsError, "names no database"),
        ({"url": "sqlite:///${NO_SUCH_VARIABLE}"}, SettingsError, "needs NO_SUCH_VARIABLE, which the environment"),
        ({"url": "no address"}, SettingsError, "is not an address that SQLAlchemy knows"),
        ({"url": "nosql://x"}, SettingsError, "cannot be used: NoSuchModuleError"),
        ({"item_columns": {"user_id": "sku"}}, SettingsError, "names fields that do not exist: got user_id"),
    ],
)
def test_what_cannot_be_asked_is_told_with_the_file_of_the_settings(sqlite, tmp_path, change, error, match):
    with pytest.raises(error, match=rf"{match}.*in shop\.toml"):
        ingest(settings(sqlite, "shop.toml", **change), tmp_path / "out")
    assert not (tmp_path / "out" / "events").exists()


def test_a_column_that_a_query_lacks_is_named(sqlite, tmp_path):
    with pytest.raises(SourceDataError, match=r"items query lacks 1 column.*code .for item_id"):
        ingest(settings(sqlite, item_columns={"item_id": "code"}), tmp_path / "out")


def test_keys_that_only_the_database_holds_to_be_equal_lose_no_row_in_silence(tmp_path):
    """Where capitals do not count, the next page begins behind both of two keys, and one of them is in none."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE lines (id TEXT COLLATE NOCASE, who TEXT, at TEXT, sku TEXT, kind TEXT)"))
        for key in ("a1", "b1", "B1", "c1"):
            connection.execute(text(f"INSERT INTO lines VALUES ('{key}', 'u', '2024-05-01', '{key}', 'view')"))
    asked = {"items": None, "keys": {"events": ["id"]}, "page_rows": 2}
    with pytest.raises(
        SourceDataError, match=r"had 4 rows when the reading began, and 3 came in its pages; .*of id are"
    ):
        ingest(settings(url, **asked), tmp_path / "out")
    assert list((tmp_path / "out" / ".source").iterdir()) == []  # pages that lack a row are not taken up again
    assert ingest(settings(url, **asked | {"keys": {"events": ["id", "sku"]}}), tmp_path / "out").events == 4


def test_rows_that_arrive_while_it_reads_are_no_trouble(sqlite, tmp_path, monkeypatch):
    asked = failing(monkeypatch, set())
    answer = pages._answer

    def arriving(engine, question, *told):
        if len(asked) == 4:
            with create_engine(sqlite).begin() as connection:
                connection.execute(text("INSERT INTO lines VALUES (99, 'late', '2024-05-01 11:00:00', 1, 'view')"))
        return answer(engine, question, *told)

    monkeypatch.setattr(pages, "_answer", arriving)
    assert ingest(settings(sqlite), tmp_path / "out").events == 51


def test_words_behind_a_colon_are_part_of_the_query(database, tmp_path):
    query = "SELECT * FROM lines WHERE kind <> ':sold' AND who <> 'a%b' AND CAST(id AS TEXT) <> 'x:y' -- 50 % :all\n"
    report = ingest(settings(database, events=query), tmp_path / "out")
    assert report.events == 50
    whole(tmp_path / "out")


def test_who_is_not_let_in_is_told_why_and_never_with_the_password(sqlite, tmp_path, monkeypatch):
    def refused(_):
        made = create_engine(sqlite)

        def fail(*_):
            said = 'connection failed: no password "open-sesame" for user "shop"\nmore'
            raise OperationalError("SELECT", None, ConnectionError(said))

        event.listen(made, "before_cursor_execute", fail)
        return made

    monkeypatch.setattr(pages, "create_engine", refused)
    address = "postgresql+psycopg://shop:open-sesame@nowhere/shop"
    with pytest.raises(
        DependencyDown, match=r'at last because: connection failed: no password "\*\*\*" for .*; e'
    ) as told:
        ingest(settings(address), tmp_path / "out")
    assert "sesame" not in str(told.value)


def test_rows_without_a_key_are_refused_before_they_could_be_lost(sqlite, tmp_path):
    with create_engine(sqlite).begin() as connection:
        connection.execute(text("INSERT INTO lines VALUES (NULL, 'u', '2024-05-01', 1, 'view')"))
    with pytest.raises(SourceDataError, match="events query has 1 rows without id; expected keys that are never null"):
        ingest(settings(sqlite), tmp_path / "out")


def test_several_keys_and_several_types_in_one_column(tmp_path):
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("CREATE TABLE lines (day TEXT, place INTEGER, who, at, sku, kind)")
    rows = [(f"d{n // 4}", n % 4, ("a", 7, "b", None)[n % 4], 1_714_564_800 + n, n, "view") for n in range(12)]
    connection.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    asked = {"events": "SELECT * FROM lines", "keys": {"events": ["day", "place"]}, "page_rows": 3}
    shop = settings_of("sql", columns=COLUMNS, sql=asked)
    report = ingest(shop, tmp_path / "out", path=tmp_path / "shop.db")
    assert report.rows_in == 12
    assert report.quarantined == {"missing_user_id": 3}
    assert len(quarantined(tmp_path / "out")) == 3


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uuid", "md5(n::text)::uuid"),
        ("numeric(30)", "12345678901234567890 + n"),
        ("numeric", "n + 0.125"),
        ("timestamptz", "timestamptz '2024-05-01 10:00+03' + n * interval '1 microsecond'"),
        ("double precision", "n * 0.1"),
        ("boolean", "mod(n, 2) = 0"),
    ],
)
def test_keys_of_other_kinds_tell_rows_apart_from_page_to_page(postgres, tmp_path, monkeypatch, kind, value):
    """Beside them a column of JSON that nothing is read from, whose rows have different keys, or none."""
    with create_engine(postgres).begin() as connection:
        connection.exec_driver_sql(f"""CREATE TABLE visits AS SELECT ({value})::{kind} AS key, n,
            timestamp '2024-05-01' + n * interval '1 minute' AS at, CASE mod(n, 3)
                WHEN 0 THEN jsonb_build_object('k' || n, n) WHEN 1 THEN '[{{}}, 1]'::jsonb END AS more
            FROM generate_series(0, 22) AS n""")
    identity = "key" if kind in ("uuid", "numeric(30)") else "n"
    asked = {"events": "SELECT * FROM visits", "items": None, "keys": {"events": ["key", "n"]}, "page_rows": 4}
    shop = settings(postgres, **asked)
    columns = {"user_id": identity, "event_timestamp": "at"}
    shop = SettingsOf(shop.data.model_copy(update={"columns": columns, "event_types": {}}))
    failing(monkeypatch, {4, 5, 6})
    with pytest.raises(DependencyDown):
        ingest(shop, tmp_path / "out")
    failing(monkeypatch, set())
    assert ingest(shop, tmp_path / "out").events == 23
    with create_engine(postgres).begin() as connection:
        expected = connection.exec_driver_sql(f"SELECT {identity}::text FROM visits ORDER BY at").scalars().all()
    assert [event["user_id"] for event in log_of(tmp_path / "out")] == expected
