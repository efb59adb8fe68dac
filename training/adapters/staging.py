"""Where rows wait until the whole source is read: Parquet beside the target, so memory stays bounded.

What needs all rows at once (repetitions, order, what changed) is asked of DuckDB, which spills into the same folder;
the folder is removed after.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.errors import SourceDataError
from training.adapters.contract import CanonicalChunk
from training.adapters.item_history import fill_from_items, told_by_items
from training.adapters.refused_rows import RefusedRows
from training.adapters.repetitions import MaybeSeen, RowSet, find_repetitions
from training.adapters.row_identity import row_identities
from training.adapters.row_text import row_texts, rows_as_json, texts_as_json
from training.adapters.shared_texts import SharedTexts
from training.adapters.sole_texts import SoleTexts
from training.adapters.sole_writer import sole_writer
from training.adapters.staged_events import StagedEvents
from training.adapters.staged_files import ATTRIBUTES, ROW_GROUP, STAGED, TEXTS, VALUES, staged_writer
from training.adapters.validation import Verdicts

__all__ = ["EVERY", "Staging", "staging"]

MEMORY = "128MB"  # of DuckDB; the process with its libraries, a chunk and a row group takes about as much again
SPILL = "100GB"  # a limit, because DuckDB would otherwise take the whole disk for one sort
ATTRIBUTES_FROM = 2**48  # rows of files about items and users are numbered from here, after every event's
IDS = "ids"
EVERY = 64


class Staging:
    """Rows that can be used and rows that cannot.

    After `settle` the connection has the views `staged` (events) and `attributes` (what other files say about items
    and users), with `moment` (microseconds since 1970, UTC), `id_low` and `id_high` (the halves of the MD5 of the
    row's text) and the columns of `ROW_SCHEMA`; and `quarantine`.
    """

    def __init__(self, connection: Any, folder: Path, fingerprinted: bool) -> None:
        self.connection = connection
        self.folder = folder
        self.given = dict.fromkeys(VALUES, 0)
        self._sole = SoleTexts(("event_type", "currency"))
        self.shared = SharedTexts(("user_id", "item_id", "session_id", "event_type", "currency", "category"))
        self._said_beside = dict.fromkeys(VALUES, 0)
        self._attribute_rows: dict[str, int] = {}
        self.ordered = True
        self._last = -(2**63)
        self._last_row = 0
        self._some_moments: list[npt.NDArray[np.int64]] = []
        self._names: dict[str, list[str]] = {}
        self._digests = (sha256(), sha256()) if fingerprinted else ()
        self._rows = staged_writer(folder / "rows.parquet", STAGED)
        self._texts = staged_writer(folder / "texts.parquet", TEXTS)
        self._attributes = staged_writer(folder / "attributes.parquet", ATTRIBUTES)
        self._ids_file = (folder / IDS).open("wb")
        self._refused = RefusedRows(folder)
        self._maybe_seen = MaybeSeen()
        self.events = StagedEvents(folder / "rows.parquet")

    def add(self, chunk: CanonicalChunk, judged: Verdicts) -> None:
        """Take a chunk: rows without a problem are staged, the others and the unreadable ones go to `quarantine`.

        In quarantine the values are text, as the source has them.
        """
        self._names[chunk.about] = chunk.source.column_names
        if not judged.usable.all():
            self._refuse(chunk, judged)
        if chunk.unreadable:
            self._refuse_unreadable(chunk)
        texts = row_texts(chunk.source)
        if not judged.usable.all():
            kept = pa.array(judged.usable)
            texts, chunk = texts.filter(kept), _filtered(chunk, kept, judged.usable)
        low, high = self._ids(texts)
        staged = _staged(chunk, low, high)
        if chunk.about == "events":
            self._stage(staged, texts)
        else:
            self._stage_attributes(chunk.about, staged)

    def settle(self) -> None:
        """Close the files and move every exact repetition of an earlier row to `quarantine`, as `duplicate`."""
        for writer in (self._rows, self._texts, self._attributes, self._ids_file):
            writer.close()
        pa.default_memory_pool().release_unused()  # what the chunks took is DuckDB's from here on
        for name in ("rows", "texts", "attributes"):
            self.connection.read_parquet(str(self.folder / f"{name}.parquet")).create_view(name)
        found = find_repetitions(self.connection, self.folder / IDS, self.given["user_id"], self._maybe_seen.may_repeat)
        self._maybe_seen.forget()
        self.events = StagedEvents(self.folder / "rows.parquet", self._repetitions() if found else None)
        kept = " WHERE source_row NOT IN (SELECT source_row FROM repetition)" if found else ""
        self.connection.execute(f"CREATE VIEW staged AS SELECT * FROM rows{kept}")
        if found:
            self._refuse_repetitions()
            self._take_from_given(found)
        self._refused.close(self.connection)
        for name in told_by_items(self.given, self._said_beside):
            some = [column for column in VALUES if self.given[column]]
            file, self.given[name] = fill_from_items(self.connection, self.folder, some, name)
            self.events = StagedEvents(file)
            self.ordered = False

    def _repetitions(self) -> RowSet:
        rows = RowSet(self._last_row)
        for batch in self.connection.cursor().sql("SELECT source_row FROM repetition").to_arrow_reader(ROW_GROUP):
            rows.add(batch.column("source_row").to_numpy())
        return rows

    def quarantined(self, about: str = "events") -> dict[str, int]:
        """Return the number of rows in quarantine by reason, most frequent first."""
        query = "SELECT reason, count(*) AS n FROM quarantine WHERE about = ? GROUP BY reason ORDER BY n DESC, reason"
        return dict(self.connection.execute(query, [about]).fetchall())

    @property
    def said(self) -> dict[str, int]:
        """How many values each canonical column has, in events and in files about items and users."""
        return {name: self.given[name] + self._said_beside[name] for name in VALUES}

    @property
    def constants(self) -> dict[str, str]:
        """Columns that have one and the same text in every event, with the text."""
        return self._sole.found

    def attribute_counts(self) -> dict[str, int]:
        """Return the rows of files about items and users, those that can be used and those in quarantine."""
        refused = {about: sum(self.quarantined(about).values()) for about in self._attribute_rows}
        return self._attribute_rows | {f"{about}_quarantined": n for about, n in refused.items() if n}

    def some_moments(self) -> npt.NDArray[np.int64]:
        """One moment in EVERY, in the source's order: how the events lie in time."""
        return np.concatenate([np.empty(0, np.int64), *self._some_moments])

    def fingerprint(self) -> str:
        """SHA-256 over the identities of the rows that can be used, in the source's order, if that was asked for."""
        return sha256(b"".join(half.digest() for half in self._digests)).hexdigest()

    def close(self) -> None:
        """Let go of every file."""
        for writer in (self._rows, self._texts, self._attributes, self._ids_file):
            writer.close()
        self._refused.let_go()
        self.connection.close()

    def _ids(self, texts: pa.Array) -> tuple[pa.Array, pa.Array]:
        low, high = row_identities(self.connection, texts)
        for digest, half in zip(self._digests, (low, high), strict=False):
            digest.update(half.tobytes())
        return pa.array(low), pa.array(high)

    def _stage(self, staged: pa.Table, texts: pa.Array) -> None:
        for name in VALUES:
            self.given[name] += staged.num_rows - staged[name].null_count
        self._sole.add(staged)
        self.shared.add(staged)
        self._rows.write_table(staged, row_group_size=ROW_GROUP)
        identities = staged["id_low"].to_numpy()
        self._ids_file.write(identities.tobytes())
        self._keep_texts(staged["source_row"], texts, self._maybe_seen(identities))
        moments = staged["moment"].combine_chunks().to_numpy(zero_copy_only=False)
        if self.ordered and moments.size:
            self.ordered = bool(self._last <= moments[0] and (moments[1:] >= moments[:-1]).all())
            self._last = moments[-1]
        self._some_moments.append(moments[::EVERY].copy())
        if staged.num_rows:
            self._last_row = int(staged["source_row"][-1].as_py())

    def _keep_texts(self, numbers: pa.ChunkedArray, texts: pa.Array, wanted: npt.NDArray[np.bool_]) -> None:
        """Only of rows that may repeat an earlier one the text is asked for again."""
        if wanted.any():
            kept = pa.table([numbers, texts], schema=TEXTS).filter(pa.array(wanted))
            self._texts.write_table(kept, row_group_size=ROW_GROUP)

    def _stage_attributes(self, about: str, staged: pa.Table) -> None:
        self._attribute_rows[about] = self._attribute_rows.get(about, 0) + staged.num_rows
        for name in VALUES:
            self._said_beside[name] += staged.num_rows - staged[name].null_count
        table = staged.add_column(0, "about", pa.repeat(about, staged.num_rows))
        numbers = pc.add(table["source_row"], ATTRIBUTES_FROM)
        self._attributes.write_table(table.set_column(1, "source_row", numbers), row_group_size=ROW_GROUP)

    def _refuse(self, chunk: CanonicalChunk, judged: Verdicts) -> None:
        refused = np.flatnonzero(~judged.usable)
        reasons = pa.array([problem.reason for problem in judged.problems], pa.string())
        details = pa.array([problem.detail for problem in judged.problems], pa.string())
        place = pa.array(judged.place[refused])
        self._refused.add(
            chunk.about,
            chunk.source_row[refused],
            reasons.take(place),
            details.take(place),
            rows_as_json(chunk.source.take(pa.array(refused))),
        )

    def _refuse_unreadable(self, chunk: CanonicalChunk) -> None:
        rows = chunk.unreadable
        values = [json.dumps(dict(row.source_values), ensure_ascii=False) for row in rows]
        self._refused.add(
            chunk.about,
            np.array([row.source_row for row in rows], dtype=np.int64),
            pa.array([row.reason for row in rows], pa.string()),
            pa.array([row.detail for row in rows], pa.string()),
            pa.array(values, pa.string()),
        )

    def _refuse_repetitions(self) -> None:
        names = self._names["events"]
        found = self.connection.cursor().sql(
            "SELECT r.source_row, r.first_row, t.source_text FROM repetition r JOIN texts t USING (source_row)"
        )
        for batch in found.to_arrow_reader(ROW_GROUP // 4):
            first = batch.column("first_row").cast(pa.string())
            self._refused.add(
                "events",
                batch.column("source_row").to_numpy(),
                pa.repeat("duplicate", batch.num_rows),
                pc.binary_join_element_wise("repeats row ", first, ""),
                texts_as_json(batch.column("source_text"), names),
            )

    def _take_from_given(self, repetitions: int) -> None:
        """Count the repetitions' values no more; where every row has one, or none, nothing is to be looked up."""
        rows = self.given["user_id"]
        some = [name for name in VALUES if 0 < self.given[name] < rows]
        counted = ", ".join(f"count({name})" for name in some)
        query = f"SELECT {counted} FROM rows WHERE source_row IN (SELECT source_row FROM repetition)"
        less = self.connection.execute(query).fetchone() if some else ()
        self.given |= {name: rows - repetitions for name in VALUES if self.given[name] == rows}
        self.given |= {name: self.given[name] - fewer for name, fewer in zip(some, less, strict=True)}


@contextmanager
def staging(out: Path, fingerprinted: bool = True) -> Iterator[Staging]:
    """Yield an empty staging place under `out`, and remove it at the end, whatever happened.

    `fingerprinted`: whether `fingerprint` will be asked for, as of a source without files.

    What a killed ingest left is removed first. A folder `out` that was made for it and stays empty is removed too.

    Raises:
        InputError: another ingest is at work under `out`.
        SourceDataError: memory or disk do not suffice for what waits there.
    """
    with sole_writer(out):
        folder = Path(tempfile.mkdtemp(prefix=".ingest.", dir=out))
        connection = duckdb.connect(
            folder / "staging.duckdb",
            config={
                "memory_limit": MEMORY,
                "threads": 1,  # each thread would hold buffers of its own
                "temp_directory": str(folder),
                "max_temp_directory_size": SPILL,
            },
        )
        staged = None
        try:
            staged = Staging(connection, folder, fingerprinted)
            yield staged
        except duckdb.OutOfMemoryException as problem:  # so it says of a full disk, too
            cause = str(problem).splitlines()[0].rstrip(".!")
            raise SourceDataError(
                f"The rows that wait below {out} cannot be put in order: {cause}. Expected {MEMORY} of memory, and "
                "room on that disk for the rest. Nothing was changed: free some and run the same command again."
            ) from problem
        finally:
            if staged:
                staged.close()
            connection.close()
            shutil.rmtree(folder, ignore_errors=True)


def _filtered(chunk: CanonicalChunk, kept: pa.Array, usable: npt.NDArray[np.bool_]) -> CanonicalChunk:
    given = [name for name in chunk.rows.column_names if chunk.rows[name].null_count < chunk.rows.num_rows]
    some, number = chunk.rows.select(given).filter(kept), int(np.count_nonzero(usable))
    columns = [some[field.name] if field.name in given else pa.nulls(number, field.type) for field in chunk.rows.schema]
    rows = pa.Table.from_arrays(columns, schema=chunk.rows.schema)
    return CanonicalChunk(chunk.source, rows, chunk.source_row[usable], about=chunk.about)


def _staged(chunk: CanonicalChunk, low: pa.Array, high: pa.Array) -> pa.Table:
    moments = chunk.rows["event_timestamp"].cast(pa.int64())
    values = [chunk.rows[name] for name in VALUES]
    return pa.Table.from_arrays([pa.array(chunk.source_row), moments, low, high, *values], schema=STAGED)
