"""User ids as a log, a metric or an error may hold them: HMAC-SHA256 under the shop's key, never in the clear.

Without the key an id cannot be found by hashing all ids there are, which a plain hash allows. Under the same key a
customer has the same pseudonym in every process, so that logs can be joined.
"""

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path

from feature_repo.errors import SettingsError

__all__ = ["KEY_FILE_VARIABLE", "KEY_VARIABLE", "IdHasher", "id_hasher", "required_id_hasher"]

KEY_VARIABLE = "INTENT_ID_KEY"
KEY_FILE_VARIABLE = "INTENT_ID_KEY_FILE"
_SHORTEST_KEY = 16
_DIGITS = 32  # 128 bits: among a billion customers two meet with a chance of 1 in 10^21


class IdHasher:
    """Pseudonyms under one key; may be called from several threads."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod=hashlib.sha256)

    def pseudonym(self, user_id: str) -> str:
        """Return 32 hexadecimal digits that stand for `user_id`, the same for the same key."""
        keyed = self._keyed.copy()  # the key's two blocks are hashed once, not for each id
        keyed.update(user_id.encode("utf-8", "surrogatepass"))
        return keyed.hexdigest()[:_DIGITS]

    @property
    def check(self) -> str:
        """The pseudonym of nobody: equal ones mean equal keys, and nothing of the key can be told from it."""
        return self.pseudonym("")


def required_id_hasher(environment: Mapping[str, str], purpose: str) -> IdHasher:
    """Return pseudonyms under the configured key; `purpose` is the setting that needs one.

    Raises:
        SettingsError: none is configured, or it cannot be used.
    """
    hasher = id_hasher(environment)
    if hasher is None:
        raise SettingsError(
            f"{purpose} is set without a key for user ids, which must not stand there in the clear; expected "
            f"{KEY_VARIABLE} or {KEY_FILE_VARIABLE}, such as a file that `openssl rand -hex 32` writes. `intent serve` "
            "makes one."
        )
    return hasher


def id_hasher(environment: Mapping[str, str]) -> IdHasher | None:
    """Return pseudonyms under the configured key, or None if none is configured.

    Args:
        environment: `INTENT_ID_KEY` holds the key, or `INTENT_ID_KEY_FILE` the absolute path of a file with it, at
            least 16 bytes; white space around it does not count.

    Raises:
        SettingsError: both are given, the file cannot be read, or the key is too short.
    """
    text, file = environment.get(KEY_VARIABLE), environment.get(KEY_FILE_VARIABLE)
    if text and file:
        raise SettingsError(f"{KEY_VARIABLE} and {KEY_FILE_VARIABLE} are both set; expected one. Unset the other.")
    if not text and not file:
        return None
    key = text.encode() if text else _read(str(file))
    if len(key.strip()) < _SHORTEST_KEY:
        raise SettingsError(
            f"The key of user ids has {len(key.strip())} bytes; expected at least {_SHORTEST_KEY} random ones, such as "
            "`openssl rand -hex 32` makes."
        )
    return IdHasher(key.strip())


def _read(file: str) -> bytes:
    try:
        if not Path(file).is_absolute():
            raise SettingsError(f"{KEY_FILE_VARIABLE} is a relative path; expected the absolute path of a file.")
        return Path(file).read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{KEY_FILE_VARIABLE} cannot be read ({error.strerror}); expected the absolute path of a file with the key."
        ) from None
