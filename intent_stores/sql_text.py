"""Names and values as DuckDB SQL text."""

from collections.abc import Iterable


def identifier(name: str) -> str:
    """Quote a column or table name; any character is allowed in it."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Quote a string value."""
    return "'" + value.replace("'", "''") + "'"


def listing(items: Iterable[str]) -> str:
    """Join pieces of SQL with commas."""
    return ", ".join(items)
