"""Which models are to answer: `slots.json`, written by `intent promote` and watched by every worker of a service.

    {"format": 1, "generation": "<16 hex digits>", "champion": "purchase_intent:…", "challenger": null,
     "challenger_share": 0.0, "shadow": false}

The champion answers. A challenger answers a share of the customers (an A/B split), scores in its shadow what the
champion answers, or both. Without the file, or where it names no champion, the model that the bento was built with
answers. The file is replaced as a whole; `generation` differs with every writing, so that workers can say which one
they follow.
"""

import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from feature_repo.errors import SettingsError
from services.checked_model import TAG

__all__ = ["FOLDER_VARIABLE", "Slots", "configured_folder", "read_slots", "slots_stamp", "write_slots"]

FOLDER_VARIABLE = "INTENT_SLOTS"
_FORMAT = 1
_FILE = "slots.json"
_MOST_BYTES = 2**16


@dataclass(frozen=True)
class Slots:
    """What is to answer: exact tags, None for the bento's own champion or for no challenger.

    `challenger_share` is the share of the customers that the challenger answers, from 0 to 1. With `shadow` it scores
    what the champion answered, too, and both are logged.
    """

    champion: str | None = None
    challenger: str | None = None
    challenger_share: float = 0.0
    shadow: bool = False
    generation: str = ""

    def answered_by_challenger(self, user_id: str) -> bool:
        """Whether the challenger answers for a customer: the same in every process and after every restart.

        A greater share keeps the customers of a smaller one.
        """
        if self.challenger is None or self.challenger_share <= 0.0:
            return False
        digest = hashlib.blake2b(user_id.encode("utf-8", "surrogatepass"), digest_size=8, person=b"ab-split").digest()
        return int.from_bytes(digest, "big") < self.challenger_share * 2.0**64


def configured_folder(environment: Mapping[str, str]) -> Path | None:
    """Return the folder that INTENT_SLOTS names, or None where it is unset or set to nothing.

    Raises:
        SettingsError: the path is relative: the server changes its working folder, and would look somewhere else than
            `intent promote` writes.
    """
    given = environment.get(FOLDER_VARIABLE)
    if not given:
        return None
    if not Path(given).is_absolute():
        raise SettingsError(f"{FOLDER_VARIABLE} is {given!r}; expected the absolute path of a folder.")
    return Path(given)


def slots_stamp(folder: Path) -> tuple[int, int, int] | None:
    """Return what changes whenever the file is replaced, or None where there is none."""
    try:
        status = (folder / _FILE).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def read_slots(folder: Path) -> Slots:
    """Return what the file in `folder` says; nothing in particular where there is none.

    Raises:
        SettingsError: it cannot be read, or is not what `write_slots` writes.
    """
    path = folder / _FILE
    try:
        with path.open("rb") as file:
            given = json.loads(file.read(_MOST_BYTES))
        if given.pop("format") != _FORMAT:
            raise ValueError("another format")
        slots = Slots(**given)
        _require_sound(slots)
    except FileNotFoundError:
        return Slots()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SettingsError(
            f"{path} cannot be used ({type(error).__name__}); expected what `intent promote` writes. Promote again, or "
            "remove it: then the bento's own model answers."
        ) from error
    return slots


def write_slots(folder: Path, slots: Slots) -> Slots:
    """Replace the file in `folder`, which is made if it is not there, and return what it says, with its generation.

    Raises:
        SettingsError: a tag or the share is none, or the folder cannot be written.
    """
    fresh = replace(slots, generation=secrets.token_hex(8))
    try:
        _require_sound(fresh)
        folder.mkdir(parents=True, exist_ok=True)
        replace_json(folder / _FILE, {"format": _FORMAT} | asdict(fresh))
    except (ValueError, OSError) as error:
        raise SettingsError(f"Slots cannot be written to {folder} ({error}). Correct what is named.") from error
    return fresh


def replace_json(path: Path, value: dict[str, Any]) -> None:
    """Replace a file by `value` as JSON: a reader finds the old content or the new one.

    Raises:
        OSError: it cannot be written.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(value, file, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _require_sound(slots: Slots) -> None:
    for tag in (slots.champion, slots.challenger):
        if tag is not None and not (isinstance(tag, str) and TAG.fullmatch(tag)):
            raise ValueError(f"a tag is {str(tag)[:80]!r}")
    share = slots.challenger_share
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0.0 <= share <= 1.0:
        raise ValueError("the challenger's share is not from 0 to 1")
    if not isinstance(slots.shadow, bool) or not isinstance(slots.generation, str):
        raise ValueError("shadow or generation is malformed")
    if slots.challenger is None and (share or slots.shadow):
        raise ValueError("a share or a shadow without a challenger")
