"""API keys: made, kept as hashes, found again in constant time.

    {"keys": [{"id": "9f2c41d07ab3", "sha256": "<64 hex digits>", "scopes": ["score"],
               "expires": "2027-01-01T00:00:00Z" or null, "requests_per_second": 500}]}

A key is `intent_<id>_<secret>`: the id finds its row, the secret is 256 random bits. A hash without salt or stretching
is enough for these: there is no dictionary to try.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from feature_repo.errors import SettingsError

__all__ = ["RATE", "SCOPES", "AccessKey", "KeyRing", "KeyRow", "KeyRows", "new_key", "read_keys"]

Scope = Literal["score", "events", "admin"]
SCOPES: tuple[Scope, ...] = ("score", "events", "admin")
RATE = 500.0
"""Requests a second that a key allows unless it says otherwise."""

_PREFIX = b"bearer intent_"
_LONGEST = 128
_ID_DIGITS = 12
_NOBODY = bytes(32)


class KeyRow(BaseModel):
    """A key as it is kept: what it gives the right to, until when, and how often; and a hash of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    expires: AwareDatetime | None = None
    requests_per_second: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = RATE


class KeyRows(BaseModel):
    """The whole file of keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    keys: tuple[KeyRow, ...]


@dataclass(frozen=True)
class AccessKey:
    """A key as the service holds it; `expires` is in seconds since 1970, infinite for one that does not expire."""

    id: str
    digest: bytes
    scopes: frozenset[str]
    expires: float
    requests_per_second: float


def new_key(scopes: Sequence[Scope], expires: datetime | None, requests_per_second: float) -> tuple[str, KeyRow]:
    """Return a new key, which is not kept anywhere, and the row by which it will be known."""
    name = secrets.token_hex(_ID_DIGITS // 2)
    text = f"intent_{name}_{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    until = None if expires is None else expires.astimezone(UTC)
    unique = tuple(scope for scope in SCOPES if scope in scopes)
    return text, KeyRow(id=name, sha256=digest, scopes=unique, expires=until, requests_per_second=requests_per_second)


def read_keys(text: str | bytes, where: str) -> KeyRows:
    """Return the keys in the JSON `text`; `where` names its place in messages.

    Raises:
        SettingsError: not JSON, a field that is missing, unknown or out of range, or an id that stands there twice.
    """
    try:
        rows = KeyRows.model_validate(json.loads(text))
    except ValidationError as error:
        places = ", ".join(sorted({".".join(map(str, item["loc"])) or "the whole" for item in error.errors()})[:5])
        raise SettingsError(
            f"The keys in {where} are not as expected at: {places}. Expected what `intent keys create` writes."
        ) from None
    except ValueError:  # not JSON, not UTF-8
        raise SettingsError(f"The keys in {where} are not JSON; expected what `intent keys create` writes.") from None
    if len({row.id for row in rows.keys}) < len(rows.keys):
        raise SettingsError(
            f"The keys in {where} hold an id twice; expected each once. Revoke one, and create another."
        )
    return rows


class KeyRing:
    """The keys by id."""

    def __init__(self, rows: Iterable[KeyRow]) -> None:
        self._keys: Mapping[bytes, AccessKey] = {row.id.encode(): _held(row) for row in rows}

    def find(self, authorization: bytes) -> AccessKey | None:
        """Return the key in the value of an Authorization header, expired or not, or None if there is no such key.

        It takes as long for a wrong secret as for a right one, and for an id that is not known.
        """
        if len(authorization) > _LONGEST or authorization[: len(_PREFIX)].lower() != _PREFIX:
            return None
        text = authorization[len(b"bearer ") :]
        key = self._keys.get(text[7 : 7 + _ID_DIGITS])
        same = hmac.compare_digest(hashlib.sha256(text).digest(), _NOBODY if key is None else key.digest)
        return key if same else None


def _held(row: KeyRow) -> AccessKey:
    expires = float("inf") if row.expires is None else row.expires.timestamp()
    return AccessKey(row.id, bytes.fromhex(row.sha256), frozenset(row.scopes), expires, row.requests_per_second)
