"""`intent adapters`: which sources can be read."""

import json
from dataclasses import asdict

import typer

from intent_cli.options import AsJson

__all__ = ["adapters"]


def adapters(as_json: AsJson = False) -> None:
    """List the adapters: what each reads, the licence, the data set's page, and how large it is.

    Example: intent adapters --json
    """
    from training.adapters import adapters as known

    described = [adapter.description for adapter in known().values()]
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in described], ensure_ascii=False))
        return
    for one in described:
        typer.echo(f"{one.name}: {one.title}")
        typer.echo(f"  licence: {one.licence}")
        typer.echo(f"  page: {one.page}")
        if one.counts:
            told = f"{one.counts.lines:,} lines"
            if one.counts.customers:
                told += f", {one.counts.customers:,} customers or sessions, {one.counts.items:,} items"
            typer.echo(f"  counts: {told}")
