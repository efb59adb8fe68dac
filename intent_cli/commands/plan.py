"""`intent plan`: what `intent apply` would change, and what online data that would cost."""

from typing import TYPE_CHECKING

import typer

from intent_cli.options import DEFAULT_OUT, AsJson, Out

if TYPE_CHECKING:
    from training.pipelines.plan import Plan, ViewChange

__all__ = ["plan"]


def plan(out: Out = DEFAULT_OUT, as_json: AsJson = False) -> None:
    """Show which views `intent apply` would add, change or delete, and how many online rows would go or be unreadable.

    Nothing is changed. Rows of a changed view are back with the next `intent materialize`.

    Example: intent plan --out artifacts/demo
    """
    import json
    from dataclasses import asdict

    from training.pipelines.plan import plan as planned

    found = planned(out)
    typer.echo(json.dumps(asdict(found)) if as_json else "\n".join(_lines(found)))


def _lines(found: "Plan") -> list[str]:
    if found.is_empty:
        return [f"plan: nothing to do, {found.unchanged} views and services are as they are defined"]
    counts = f"{len(found.added)} to add, {len(found.changed)} to change, {len(found.deleted)} to delete"
    lines = [f"plan: {counts}, {found.unchanged} as they are", *(f"  + {name}" for name in found.added)]
    for name, change in found.changed.items():
        lost = f": {change.rows_missing:,} online rows cannot be read until it is materialised"
        lines += [f"  ~ {name}{lost if change.rows_missing else ''}", *_details(change)]
    lines += [f"  - {name}: {rows:,} online rows would be deleted" for name, rows in found.deleted.items()]
    return lines


def _details(change: "ViewChange") -> list[str]:
    lines = [f"      + {name}: {kind}" for name, kind in change.added.items()]
    lines += [f"      - {name}: {kind}" for name, kind in change.removed.items()]
    both = {**change.retyped, **change.other}
    return lines + [f"      ~ {name}: {old} → {new}" for name, (old, new) in both.items()]
