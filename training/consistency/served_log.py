"""Read the log of what was served: parts of gzip members with one answer a line (`docs/consistency.md` has the format).

It is read from its description alone: nothing is imported from the service that writes it.
"""

import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from feature_repo.errors import SourceDataError

__all__ = ["LogFacts", "ServedRows", "ServedView", "arrow_type", "read_answers", "read_served", "served_parts"]

FORMAT = 1
_READ_BYTES = 1 << 20
_LINES_AT_ONCE = 2000
_TYPES = {
    "Float64": pa.float64(),
    "Float32": pa.float32(),
    "Int64": pa.int64(),
    "Int32": pa.int32(),
    "Bool": pa.bool_(),
    "String": pa.string(),
}


@dataclass(frozen=True)
class ServedView:
    """A view as the log describes it: its join keys, and its fields (name → type, such as `Array(Int64)`)."""

    join_keys: tuple[str, ...]
    fields: dict[str, str]


@dataclass(frozen=True)
class ServedRows:
    """n answers that have the same views.

    `asked` has the join keys (string) and `event_timestamp` (timestamp[us, UTC]: t). `values` maps a view to a table
    of its fields, `status` to n words or nulls. `hidden` is the pseudonym of nobody where customers stand under
    pseudonyms, else None.
    """

    views: dict[str, ServedView]
    asked: pa.Table
    values: dict[str, pa.Table]
    status: dict[str, pa.Array]
    hidden: str | None = None


@dataclass
class LogFacts:
    """What a log holds, besides the rows. `cut` counts parts whose end is not whole: of a kill, or still written."""

    parts: int = 0
    cut: int = 0
    rows: int = 0
    dropped: int = 0
    unanswered: int = 0
    models: Counter[str] = field(default_factory=Counter)
    services: Counter[str] = field(default_factory=Counter)


def served_parts(folder: Path) -> list[Path]:
    """Return the parts of the log below `folder`, oldest first.

    Raises:
        SourceDataError: there is none.
    """
    parts = sorted(folder.glob("served-*.jsonl.gz"))
    if not parts:
        raise SourceDataError(
            f"There is no served log below {folder}: got no file served-*.jsonl.gz. Start the service with "
            f"INTENT_SERVED_LOG={folder.resolve()}, ask it about some customers (it logs a share of them, the folder "
            "is made with the first), or name another folder with --log."
        )
    return parts


def read_served(part: Path, facts: LogFacts, rows_at_once: int = 20_000) -> Iterator[ServedRows]:
    """Return the answers of a part, in pieces, and add to `facts`. Answers given without a store are only counted.

    Raises:
        SourceDataError: the part is not a served log.
    """
    facts.parts += 1
    lines = _lines(part, facts)
    views, hidden = _header(part, next(lines, None), facts)
    waiting: dict[tuple[str, ...], _Pieces] = {}
    for line in lines:
        record = _record(part, line)
        if "t" not in record:
            facts.dropped += int(record.get("dropped", 0))
        elif not record["answered"]:
            facts.unanswered += 1
        else:
            facts.rows += 1
            facts.models[record["model"]] += 1
            kind = (*record["keys"], "|", *record["views"])
            pieces = waiting.setdefault(kind, _Pieces(part, {name: views[name] for name in record["views"]}, hidden))
            pieces.add(record)
            if len(pieces) >= rows_at_once:
                yield waiting.pop(kind).rows()
    for pieces in waiting.values():
        yield pieces.rows()


def read_answers(part: Path, facts: LogFacts) -> Iterator[Mapping[str, Any]]:
    """Return the answers of a part as its lines say them, without their views, and add to `facts`.

    Each has `request`, `t`, `keys`, `model`, `answered` and `probability`.

    Raises:
        SourceDataError: the part is not a served log.
    """
    facts.parts += 1
    lines = _lines(part, facts)
    _header(part, next(lines, None), facts)
    for line in lines:
        record = _record(part, line)
        if "t" not in record:
            facts.dropped += int(record.get("dropped", 0))
            continue
        facts.rows += 1
        record.pop("views", None)
        yield record


def arrow_type(kind: str) -> Any:
    """Return the Arrow type of a field's type.

    >>> arrow_type("Array(Int64)")
    ListType(list<item: int64>)

    Raises:
        SourceDataError: it is not known.
    """
    inner = kind.removeprefix("Array(").removesuffix(")")
    if inner not in _TYPES:
        raise SourceDataError(f"A field of the served log has the type {kind!r}; expected {sorted(_TYPES)} or arrays.")
    return pa.list_(_TYPES[inner]) if kind.startswith("Array(") else _TYPES[inner]


class _Pieces:
    """Answers on their way into Arrow: a few thousand at a time, for as Python objects they are ten times as large."""

    def __init__(self, part: Path, views: dict[str, ServedView], hidden: str | None) -> None:
        self._part, self._views, self._hidden = part, views, hidden
        self._records: list[Mapping[str, Any]] = []
        self._done: list[ServedRows] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, record: Mapping[str, Any]) -> None:
        self._records.append(record)
        self._count += 1
        if len(self._records) >= _LINES_AT_ONCE:
            self._convert()

    def rows(self) -> ServedRows:
        self._convert()
        done = self._done
        return ServedRows(
            self._views,
            pa.concat_tables([rows.asked for rows in done]).combine_chunks(),
            {n: pa.concat_tables([rows.values[n] for rows in done]).combine_chunks() for n in self._views},
            {n: pa.concat_arrays([rows.status[n] for rows in done]) for n in self._views},
            self._hidden,
        )

    def _convert(self) -> None:
        records, self._records = self._records, []
        if not records:
            return
        try:
            keys = {key: pa.array([r["keys"][key] for r in records], pa.string()) for key in records[0]["keys"]}
            at = pa.array([r["t"] for r in records], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
            self._done.append(
                ServedRows(
                    self._views,
                    pa.table(keys | {"event_timestamp": at}),
                    {n: _values([r["views"][n]["values"] for r in records], v) for n, v in self._views.items()},
                    {n: pa.array([r["views"][n].get("status") for r in records], pa.string()) for n in self._views},
                )
            )
        except (KeyError, TypeError, ValueError) as error:  # pa.ArrowInvalid is a ValueError
            raise _not_a_log(self._part, f"values that do not fit their types ({type(error).__name__})") from error


def _values(rows: list[Mapping[str, Any]], view: ServedView) -> pa.Table:
    columns = {name: pa.array([row[name] for row in rows], arrow_type(kind)) for name, kind in view.fields.items()}
    return pa.table(columns)


def _header(part: Path, line: bytes | None, facts: LogFacts) -> tuple[dict[str, ServedView], str | None]:
    if line is None:  # killed before the first member was whole
        return {}, None
    header = _record(part, line)
    try:
        if header["format"] != FORMAT:
            raise _not_a_log(part, f"format {header['format']!r}")
        facts.services[header["service"]] += 1
        views = {n: ServedView(tuple(v["join_keys"]), dict(v["fields"])) for n, v in header["views"].items()}
        return views, header.get("pseudonyms", {}).get("user_id")
    except (KeyError, TypeError, AttributeError):
        raise _not_a_log(part, "another first line") from None


def _record(part: Path, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        raise _not_a_log(part, "a line that is not JSON") from None
    if not isinstance(record, dict):
        raise _not_a_log(part, "a line that is no object")
    return record


def _lines(part: Path, facts: LogFacts) -> Iterator[bytes]:
    """The lines of all whole gzip members; a member that is cut off or damaged ends the part."""
    inflater, text, inside = zlib.decompressobj(wbits=31), bytearray(), False
    with part.open("rb") as file:
        while data := file.read(_READ_BYTES):
            while data:
                inside = True
                try:
                    text += inflater.decompress(data)
                except zlib.error:
                    facts.cut += 1
                    return
                data = inflater.unused_data
                if inflater.eof:
                    yield from bytes(text).splitlines()
                    inflater, text, inside = zlib.decompressobj(wbits=31), bytearray(), False
    if inside:
        facts.cut += 1


def _not_a_log(part: Path, got: str) -> SourceDataError:
    return SourceDataError(
        f"{part.name} is not a part of a served log: got {got}; expected format {FORMAT} as the service writes it. "
        "Move it out of the folder."
    )
