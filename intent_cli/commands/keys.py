"""`intent keys`: API keys of the service, made, listed and revoked. Only hashes are kept."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intent_cli.options import AsJson

if TYPE_CHECKING:
    from services.access_keys import KeyRow

__all__ = ["keys"]

keys = typer.Typer(help="API keys of the service: create, list, revoke. Only hashes are kept.", no_args_is_help=True)

_Keys = Annotated[Path, typer.Option("--file", help="The file of keys.", metavar="FILE", envvar="INTENT_KEYS_FILE")]
_DEFAULT = Path("artifacts/keys.json")


@keys.command("create")
def create(
    scope: Annotated[list[str], typer.Option(help="A right that the key gives: score, events or admin; repeatable.")],
    expires: Annotated[
        str | None, typer.Option(help="When it ends: days from now such as 90d, or a moment, ISO 8601; never.")
    ] = None,
    rate: Annotated[float, typer.Option(help="Requests a second, of each worker.", min=0.001, max=1e6)] = 500.0,
    file: _Keys = _DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once. A running service takes it within a second.

    Example: intent keys create --scope score --scope events --expires 90d
    """
    import json

    from feature_repo.errors import InputError
    from intent_cli.key_file import change_keys
    from services.access_keys import SCOPES, new_key

    if not set(scope) <= set(SCOPES):
        raise InputError(f"--scope has {sorted(set(scope) - set(SCOPES))}; expected {', '.join(SCOPES)}. Correct it.")
    text, row = new_key([known for known in SCOPES if known in scope], _expiry(expires), rate)
    with change_keys(file) as rows:
        rows.append(row)
    if as_json:
        typer.echo(json.dumps({"key": text, "id": row.id, "scopes": row.scopes, "expires": _until(row)}))
    else:
        typer.echo(text)
        typer.echo(f"Keep it: it is shown this once. {_line(row)}; its hash is in {file}.", err=True)


@keys.command("list")
def list_keys(file: _Keys = _DEFAULT, as_json: AsJson = False) -> None:
    """Tell which keys there are: what they give the right to, and until when.

    Example: intent keys list
    """
    import json

    from intent_cli.key_file import kept_keys

    rows = kept_keys(file)
    if as_json:
        told = [row.model_dump(mode="json", exclude={"sha256"}) for row in rows]
        typer.echo(json.dumps({"keys": told}))
    else:
        typer.echo("\n".join(map(_line, rows)) or f"No keys in {file}.")


@keys.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Its id: the second part of the key.")],
    file: _Keys = _DEFAULT,
) -> None:
    """Take a key away. A running service refuses it within a second.

    Example: intent keys revoke 9f2c41d07ab3
    """
    from feature_repo.errors import InputError
    from intent_cli.key_file import change_keys

    with change_keys(file) as rows:
        left = [row for row in rows if row.id != key_id]
        if len(left) == len(rows):
            raise InputError(f"No key with this id is in {file}; expected one that `intent keys list` shows.")
        rows[:] = left
    typer.echo(f"Key {key_id} is revoked.")


def _expiry(text: str | None) -> datetime | None:
    from feature_repo.errors import InputError

    if text is None:
        return None
    now = datetime.now(UTC)
    try:
        days = re.fullmatch(r"(\d{1,5})d", text)
        moment = now + timedelta(days=int(days[1])) if days else datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InputError(f"--expires {text!r} is no moment; expected 90d, or ISO 8601 such as 2027-01-31.") from None
    if moment <= now:
        raise InputError(f"--expires {text!r} is past; expected a moment to come. Correct it.")
    return moment.replace(microsecond=0)


def _until(row: "KeyRow") -> str | None:
    return None if row.expires is None else row.expires.isoformat()


def _line(row: "KeyRow") -> str:
    until = "without end" if row.expires is None else f"until {_until(row)}"
    return f"{row.id}  {', '.join(row.scopes)}  {until}  {row.requests_per_second:g}/s"
