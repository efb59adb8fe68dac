"""One promotion at a time over the same slots: whoever reads them may rely on them until it has written."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from feature_repo.errors import RequestError, SettingsError
from training.folder_lock import folder_lock

__all__ = ["promoting_alone"]


@contextmanager
def promoting_alone(folder: Path) -> Iterator[None]:
    """Keep other promotions out of the folder of the slots, which is made if it is not there.

    The lock is on the folder itself, and gone with the process that holds it.

    Raises:
        RequestError: another promotion is at work over this folder.
        SettingsError: the folder cannot be made, opened or locked.
    """
    taken = RequestError(
        f"Another promotion is at work over {folder}; expected to be alone. Wait for it, look at what it promoted, "
        "and promote again."
    )
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(folder_lock(folder, taken))
        except OSError as error:
            raise SettingsError(
                f"Slots cannot be written to {folder}, or it cannot be locked ({error}). Correct what is named; keep "
                "the slots on a file system that locks files."
            ) from error
        yield
