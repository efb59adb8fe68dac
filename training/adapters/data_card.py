"""The data card: what is in a log, what was refused and why, and what is odd, for people and for programs.

It depends on the source alone, never on the clock or the machine, and holds no personal data.
"""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import file_digest
from pathlib import Path
from typing import Any

from training.adapters.contract import NUMBER_COLUMNS, TEXT_COLUMNS, Description
from training.adapters.oddities import odd_facts
from training.adapters.staging import Staging
from training.adapters.validation import REASONS
from training.atomic import write_json, write_text

__all__ = ["DataCard", "describe", "write_card"]


@dataclass(frozen=True)
class DataCard:
    """Counts and oddities of one ingest; `first` and `last` are ISO 8601 in UTC.

    `missing` is the share of events without a value, by canonical column, where it is neither 0 nor 1; `absent`
    names the columns that the source does not have. `files` is the SHA-256 of each file of the log.
    """

    adapter: str
    title: str
    licence: str
    page: str
    source: str
    source_sha256: str
    sample: float | None
    delay_hours: float
    rows_in: int
    events: int
    customers: int
    distinct_items: int
    first: str
    last: str
    event_types: dict[str, int]
    quarantined: dict[str, int]
    missing: dict[str, float]
    absent: list[str]
    odd: list[str]
    files: dict[str, str] = field(default_factory=dict)


def describe(
    staged: Staging, about: Description, file: Path, rows_in: int, delay_hours: float, sample: float | None
) -> DataCard:
    """Return the card of a staged log; `rows_in` counts the source rows that belong to the sample."""
    ask = staged.connection.execute
    query = "SELECT count(*), count(DISTINCT user_id), count(DISTINCT item_id), min(moment), max(moment) FROM staged"
    events, customers, items, first, last = ask(query).fetchone()
    types = ask(
        "SELECT event_type, count(*) AS n FROM staged GROUP BY event_type ORDER BY n DESC, event_type"
    ).fetchall()
    names = [name for name in (*TEXT_COLUMNS, *NUMBER_COLUMNS)]
    given = ask(f"SELECT {', '.join(f'count({name})' for name in names)} FROM staged").fetchone()
    odd = odd_facts(staged.connection)
    if sample is None and about.counts:
        odd = [*_other_counts(about, rows_in, customers, items), *odd]
    return DataCard(
        adapter=about.name,
        title=about.title,
        licence=about.licence,
        page=about.page,
        source=file.name,
        source_sha256=_sha256(file),
        sample=sample,
        delay_hours=delay_hours,
        rows_in=rows_in,
        events=events,
        customers=customers,
        distinct_items=items,
        first=_iso(first),
        last=_iso(last),
        event_types=dict(types),
        quarantined=staged.quarantined(),
        missing={name: round(1 - n / events, 6) for name, n in zip(names, given, strict=True) if 0 < n < events},
        absent=[name for name, n in zip(names, given, strict=True) if not n],
        odd=odd,
    )


def write_card(card: DataCard, out: Path, files: dict[str, str]) -> None:
    """Write data_card.json and data_card.md under `out`; `files` is the SHA-256 of each file of the log."""
    write_json(out / "data_card.json", asdict(card) | {"files": files})
    write_text(out / "data_card.md", _page(card))


def _page(card: DataCard) -> str:
    sampled = "" if card.sample is None else f" (a sample: {card.sample:.0%} of the customers)"
    facts: list[tuple[str, Any]] = [
        ("Source", f"{card.source}, SHA-256 `{card.source_sha256}`"),
        ("Page", card.page),
        ("Licence", card.licence),
        ("Source rows", f"{card.rows_in:,}{sampled}"),
        ("Events", f"{card.events:,} ({', '.join(f'{name} {n:,}' for name, n in card.event_types.items())})"),
        ("Customers", f"{card.customers:,}"),
        ("Items", f"{card.distinct_items:,}"),
        ("From, to (UTC)", f"{card.first}, {card.last}"),
        ("Known after", f"{card.delay_hours:g} hours"),
        ("Not in the source", ", ".join(card.absent) or "nothing"),
        ("Missing in some rows", ", ".join(f"{name} {share:.2%}" for name, share in card.missing.items()) or "nothing"),
    ]
    lines = [f"# Data card: {card.title}", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in facts]
    lines += ["", "## Quarantine", ""]
    lines += [f"* `{reason}`: {n:,} rows; {REASONS[reason]}" for reason, n in card.quarantined.items()]
    lines += [] if card.quarantined else ["Every row can be used."]
    lines += ["", "## What is odd", ""]
    lines += [f"* {fact}" for fact in card.odd] or ["Nothing was found."]
    return "\n".join(lines) + "\n"


def _other_counts(about: Description, rows: int, customers: int, items: int) -> list[str]:
    counts = about.counts
    if counts is None or (rows, customers, items) == (counts.lines, counts.customers, counts.items):
        return []
    return [
        f"The counts are not those of the published data set: {rows:,} lines, {customers:,} customers, {items:,} "
        f"items; published {counts.lines:,}, {counts.customers:,}, {counts.items:,}."
    ]


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return file_digest(handle, "sha256").hexdigest()


def _iso(moment_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment_us)).isoformat()
