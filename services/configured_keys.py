"""The keys that the service was given: a file or a variable; a file that changes counts without a restart."""

import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from feature_repo.errors import SettingsError
from services.access_keys import KeyRing, read_keys

__all__ = ["FILE_VARIABLE", "KEYS_VARIABLE", "ConfiguredKeys", "configured_keys"]

FILE_VARIABLE = "INTENT_KEYS_FILE"
KEYS_VARIABLE = "INTENT_KEYS"
_LOOK_AGAIN_SECONDS = 1.0
_log = logging.getLogger("bentoml.intent")


class ConfiguredKeys:
    """The present keys. `file` None: they stay as they are.

    A file that was changed is read again within a second of the next request. One that cannot be read then leaves the
    keys as they were, and the log and `trouble` say so: neither does a slip lock everybody out, nor is anybody let in.
    It is tried again every second, so that whatever mends it counts.
    """

    def __init__(self, ring: KeyRing, file: Path | None = None, seen: tuple[int, ...] = ()) -> None:
        self._ring = ring
        self._file = file
        self._seen = seen
        self._looked = 0.0
        self._trouble: str | None = None

    def ring(self, now: float) -> KeyRing:
        """Return the keys that count at `now` (seconds of a clock that only goes forward)."""
        if self._file is not None and now - self._looked >= _LOOK_AGAIN_SECONDS:
            self._looked = now
            self._look(self._file)
        return self._ring

    def trouble(self, now: float) -> str | None:
        """Return why the file cannot be used as it is at `now`, so that the keys of before count; None if it can."""
        self.ring(now)
        return self._trouble

    def _look(self, file: Path) -> None:
        try:
            seen = _state(file)
            if seen != self._seen:
                self._ring = _read(file)
                self._seen, self._trouble = seen, None  # not before it was read: what failed is read again
                _log.info("The file of keys was read again.")
        except OSError as error:
            self._keep(f"{FILE_VARIABLE} cannot be read ({error.strerror}); expected a file of keys.")
        except SettingsError as error:
            self._keep(str(error))

    def _keep(self, reason: str) -> None:
        self._seen = ()
        told = f"The file of keys has changed and cannot be used; the keys of before still count. {reason}"
        if told != self._trouble:  # once, however long it lasts
            _log.error("%s", told)
        self._trouble = told


def configured_keys(environment: Mapping[str, str]) -> ConfiguredKeys | None:
    """Return the keys that the environment names, or None if it names none.

    Args:
        environment: `INTENT_KEYS_FILE` is the absolute path of a file, or `INTENT_KEYS` the JSON itself.

    Raises:
        SettingsError: both are given, or they cannot be used, or others than the owner may write the file.
    """
    text, name = environment.get(KEYS_VARIABLE), environment.get(FILE_VARIABLE)
    if text and name:
        raise SettingsError(f"{KEYS_VARIABLE} and {FILE_VARIABLE} are both set; expected one. Unset the other.")
    if text:
        return ConfiguredKeys(KeyRing(read_keys(text, KEYS_VARIABLE).keys))
    if not name:
        return None
    file = Path(name)
    if not file.is_absolute():
        # The server changes its working folder: a relative path would be looked for somewhere else.
        raise SettingsError(f"{FILE_VARIABLE} is a relative path; expected the absolute path of a file of keys.")
    try:
        seen = _state(file)
        return ConfiguredKeys(_read(file), file, seen)
    except OSError as error:
        raise SettingsError(
            f"{FILE_VARIABLE} cannot be read ({error.strerror}); expected a file that `intent keys create` wrote."
        ) from None


def _state(file: Path) -> tuple[int, ...]:
    found = os.stat(file)  # noqa: PTH116  one call, on the request path
    # What only changes who may write it changes neither its time nor its size, but that of its entry.
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _read(file: Path) -> KeyRing:
    if file.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingsError(
            f"{FILE_VARIABLE} can be written by others than its owner; expected mode 0600. chmod 600 it."
        )
    return KeyRing(read_keys(file.read_bytes(), FILE_VARIABLE).keys)
