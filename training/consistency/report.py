"""The consistency report: as data for a program, as lines for a terminal, and as one self-contained page."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.atomic import write_text
from training.consistency.check import Consistency, ViewComparison
from training.consistency.compare import FeatureComparison
from training.consistency.served_log import LogFacts
from training.evaluation.report_numbers import FILTERS

__all__ = ["as_dict", "lines", "write_page"]

_STYLE = Path(__file__).parents[1] / "evaluation"


def as_dict(found: Consistency) -> dict[str, Any]:
    """Return the whole report as JSON can hold it; an infinite difference is null."""
    return {
        "agrees": found.agrees,
        "limit": found.limit,
        "vectors": found.vectors,
        "differing": found.differing,
        "first": found.first and found.first.isoformat(),
        "last": found.last and found.last.isoformat(),
        "log": _log(found.facts),
        "views": {name: _view(view) for name, view in found.views.items()},
    }


def lines(found: Consistency) -> Iterator[str]:
    """Return the report for a terminal: totals by view, then only the features with a difference, and the hints."""
    facts = found.facts
    yield (
        f"  {found.vectors:,} served vectors of {found.first:%Y-%m-%d %H:%M} to {found.last:%Y-%m-%d %H:%M} UTC, "
        f"{found.differing:,} with a difference"
    )
    for what, count in (("dropped by the service", facts.dropped), ("given without a store", facts.unanswered)):
        if count:
            yield f"  not compared: {count:,} {what}"
    if facts.cut:
        yield f"  {facts.cut} of {facts.parts} parts end in the middle of a write"
    for name, view in found.views.items():
        states = ", ".join(f"{word} {count:,}" for word, count in sorted(view.status.items()))
        yield f"  {name}: {view.rows:,} rows, {view.differing:,} differing{f' ({states})' if states else ''}"
        yield from (_feature_line(feature, one) for feature, one in view.features.items() if one.differing)
        yield from (f"    looks like {h.kind}: {h.text} ({h.shown:,} of {h.of:,})" for h in view.hints)


def write_page(path: Path, found: Consistency) -> None:
    """Write the page, whole or not at all: no network, no script, no customer's id."""
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, _STYLE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    write_text(path, environment.get_template("consistency.html.j2").render(found=found))


def _log(facts: LogFacts) -> dict[str, Any]:
    counts = {name: getattr(facts, name) for name in ("parts", "cut", "rows", "dropped", "unanswered")}
    return counts | {"models": dict(facts.models), "services": dict(facts.services)}


def _view(view: ViewComparison) -> dict[str, Any]:
    return {
        "rows": view.rows,
        "differing": view.differing,
        "status": dict(view.status),
        "hints": [asdict(hint) for hint in view.hints],
        "features": {name: _feature(one) for name, one in view.features.items()},
    }


def _feature(one: FeatureComparison) -> dict[str, Any]:
    return {
        "rows": one.rows,
        "exact": one.exact,
        "unknown_on_both_sides": one.unknown,
        "mismatches": one.mismatches,
        "missing_served": one.missing_served,
        "missing_offline": one.missing_offline,
        "largest_difference": one.largest if one.measured and math.isfinite(one.largest) else None,
        "mean_difference": one.mean_difference if math.isfinite(one.total) else None,
        "mean_edit_distance": one.mean_edits,
        "largest_edit_distance": one.most_edits if one.edited else None,
    }


def _feature_line(name: str, one: FeatureComparison) -> str:
    parts = [f"{one.mismatches:,} mismatches"]
    if one.missing_served:
        parts.append(f"{one.missing_served:,} missing online")
    if one.missing_offline:
        parts.append(f"{one.missing_offline:,} missing offline")
    if one.measured:
        parts.append(f"difference up to {one.largest:g}, {one.mean_difference:g} on average")
    if one.edited:
        parts.append(f"edit distance up to {one.most_edits}, {one.mean_edits:.1f} on average")
    return f"    {name}: {', '.join(parts)} (of {one.rows:,})"
