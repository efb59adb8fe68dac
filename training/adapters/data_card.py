"""The data card: what is in a log, what was refused and why, and what is odd, for people and for programs.

It depends on the source alone, never on the clock or the machine, and holds no personal data.
"""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from training.adapters.contract import Description, Source
from training.adapters.oddities import odd_facts
from training.adapters.snapshots import prepare_snapshots
from training.adapters.staging import Staging
from training.adapters.validation import REASONS
from training.atomic import write_json, write_text

__all__ = ["DataCard", "describe", "write_card"]

# From this share on refused rows are an oddity of the log; of a handful of rows a share says nothing.
MUCH, MUCH_OF = 0.05, 100
# What an adapter for any data says as its licence; its title is of no data set, so the source is named instead.
OWN_DATA = "your own data"


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
    attribute_rows: dict[str, int] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def describe(
    staged: Staging, about: Description, source: Source, rows_in: int, delay_hours: float, sample: float | None
) -> DataCard:
    """Return the card of a settled log; `rows_in` counts the source rows that belong to the sample."""
    ask = staged.connection.execute
    prepare_snapshots(staged.connection, staged.said)
    odd = odd_facts(staged.connection)
    events, first, last = ask("SELECT sum(lines)::BIGINT, min(first), max(last) FROM days").fetchone()
    types = ask(
        "SELECT event_type, sum(lines)::BIGINT AS n FROM days GROUP BY event_type ORDER BY n DESC, event_type"
    ).fetchall()
    customers = ask("SELECT count(DISTINCT user_id) FROM user_said WHERE events > 0").fetchone()[0]
    items = ask("SELECT count(DISTINCT item_id) FROM item_said WHERE events > 0").fetchone()[0]
    given, quarantined = staged.given, staged.quarantined()
    odd = [*_much_refused(quarantined, rows_in), *odd]
    if sample is None and about.counts:
        odd = [*_other_counts(about, rows_in, customers, items), *odd]
    return DataCard(
        adapter=about.name,
        title=source.name if about.licence == OWN_DATA else about.title,
        licence=about.licence,
        page=about.page,
        source=source.name,
        source_sha256=_sha256(source.files) if source.files else staged.fingerprint(),
        sample=sample,
        delay_hours=delay_hours,
        rows_in=rows_in,
        events=events,
        customers=customers,
        distinct_items=items,
        first=_iso(first),
        last=_iso(last),
        event_types=dict(types),
        quarantined=quarantined,
        missing={name: round(1 - n / events, 6) for name, n in given.items() if 0 < n < events},
        absent=[name for name, n in given.items() if not staged.said[name]],
        odd=odd,
        attribute_rows=staged.attribute_counts(),
    )


def write_card(card: DataCard, out: Path, files: dict[str, str]) -> None:
    """Write data_card.json and data_card.md under `out`; `files` is the SHA-256 of each file of the log."""
    told = asdict(card) | {"files": files}
    if not card.attribute_rows:
        del told["attribute_rows"]
    write_json(out / "data_card.json", told)
    write_text(out / "data_card.md", _page(card))


def _page(card: DataCard) -> str:
    sampled = "" if card.sample is None else f" (a sample: {card.sample:.0%} of the customers)"
    facts: list[tuple[str, Any]] = [
        ("Source", f"{card.source}, SHA-256 `{card.source_sha256}`"),
        ("Page", card.page),
        ("Licence", card.licence),
        ("Source rows", f"{card.rows_in:,}{sampled}"),
        *([("Rows about items and users", _listed(card.attribute_rows))] if card.attribute_rows else []),
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


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in counts.items())


def _much_refused(quarantined: dict[str, int], rows_in: int) -> list[str]:
    """Say it where so many rows cannot be used that what is left may be another shop's."""
    refused = sum(quarantined.values())
    if rows_in < MUCH_OF or refused < MUCH * rows_in:
        return []
    most = max(quarantined, key=lambda reason: quarantined[reason])
    return [
        f"{refused:,} of {rows_in:,} rows ({refused / rows_in:.1%}) are in quarantine, {quarantined[most]:,} of them "
        f"as `{most}`: {REASONS[most]}. Look into quarantine/ whether they should be."
    ]


def _other_counts(about: Description, rows: int, customers: int, items: int) -> list[str]:
    counts = about.counts
    if counts is None:
        return []
    usable = counts.items if counts.usable_items is None else counts.usable_items
    if (rows, customers, items) == (counts.lines, counts.customers, usable):
        return []
    return [
        f"The counts are not those of the published data set: {rows:,} lines, {customers:,} customers, {items:,} "
        f"items; published {counts.lines:,}, {counts.customers:,}, {usable:,}."
    ]


def _sha256(files: tuple[Path, ...]) -> str:
    """Of one file its own, as `sha256sum` prints it; of several that of their list."""
    each = []
    for file in files:
        with file.open("rb") as handle:
            each.append(file_digest(handle, "sha256").hexdigest())
    listed = "".join(f"{one}  {file.name}\n" for one, file in zip(each, files, strict=True))
    return each[0] if len(each) == 1 else sha256(listed.encode()).hexdigest()


def _iso(moment_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment_us)).isoformat()
