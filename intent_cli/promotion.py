"""How a promotion goes: check the model in a process of its own, write the slots, wait for the workers, or go back."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from feature_repo.errors import BundleError, DependencyDown, InputError, RequestError, SettingsError
from intent_cli.live_workers import live_reports
from services.checked_model import TAG
from services.model_slots import Slots, configured_folder, read_slots, write_slots
from services.split_horizon import require_same_horizon
from training.packaging.bundle import MODEL, Bundle

__all__ = ["Promotion", "slots_folder"]

_LOOK_SECONDS = 0.1
_CHECK_SECONDS = 120
# In a process of its own, with bounded memory and time: what a hostile model does to a library ends there.
_CHECK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
from pathlib import Path
from feature_repo.errors import IntentError
from services.checked_model import checked_model
keys = []
if sys.argv[3]:
    from training.packaging.signature import read_public_keys
    keys = read_public_keys(Path(sys.argv[3]))
try:
    checked = checked_model(Path(sys.argv[1]), sys.argv[2], keys)
    sys.stdout.write("" if checked.items is None else sys.argv[4])
except IntentError as error:
    sys.stdout.write(str(error))
    sys.exit(7)
"""
_REFUSED = 7
_WITH_ITEMS = "with a model of items"


def slots_folder(out: Path) -> Path:
    """Return the folder of the slots of the run in `out`: INTENT_SLOTS, or `slots` in it.

    A run is a shop's: in a folder that several runs share, one shop's customers would get another one's model.

    Raises:
        SettingsError: INTENT_SLOTS is a relative path.
    """
    return (configured_folder(os.environ) or out / "slots").resolve()


@dataclass(frozen=True)
class Promotion:
    """A change of the slots of the services over one folder; `models` is the store that they load from."""

    models: Path
    folder: Path

    @classmethod
    def over(cls, out: Path) -> "Promotion":
        """Return it for the run in `out`, whose bento is in the BentoML home that the run published to."""
        from intent_cli.bento_server import published_home

        return cls(published_home(out) / "models" / MODEL, slots_folder(out))

    def current(self) -> Slots:
        """Return the slots as they are.

        Raises:
            SettingsError: they cannot be read.
        """
        return read_slots(self.folder)

    def carry_out(self, slots: Slots, wait_seconds: float) -> int:
        """Return how many workers said that they follow `slots`: all that live; 0: none runs.

        To be called under `promotion_lock`: `slots` were made from what lies there.

        Raises:
            BundleError: a worker refused a model; the slots are as before.
            DependencyDown: a worker did not say in time, as one that is stopped; the slots are as before.
            RequestError: somebody else wrote the slots meanwhile; they are as they wrote them.
        """
        before = self.current()
        noted = frozenset(report.worker for report in live_reports(self.folder))
        written = write_slots(self.folder, slots)
        try:
            return self._followed(written, noted, wait_seconds)
        except (InputError, DependencyDown, KeyboardInterrupt):
            self._put_back(before, written)
            raise

    def _put_back(self, before: Slots, written: Slots) -> None:
        """Write the slots of before, unless what lies there is somebody else's by now."""
        try:
            ours = self.current() == written
        except SettingsError:  # what cannot be read is not ours
            return
        if ours:
            write_slots(self.folder, before)

    def check(self, tag: str) -> bool:
        """Load the model as a worker would, in a process of its own; return whether it answers about items, too.

        Raises:
            BundleError: it is refused, or it ended the process.
            InputError: the tag is malformed.
        """
        if not TAG.fullmatch(tag):
            raise InputError(f"Model tag {tag[:80]!r} is malformed; expected {MODEL}:<16 hexadecimal digits>, in full.")
        keys = os.environ.get("INTENT_PUBLIC_KEYS", "")
        command = [sys.executable, "-c", _CHECK, str(self.models), tag, keys, _WITH_ITEMS]
        try:
            done = subprocess.run(  # noqa: S603  our own command
                command, capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise BundleError(f"Model {tag} was not checked within {_CHECK_SECONDS} s; it is not promoted.") from error
        if done.returncode == _REFUSED:
            raise BundleError(done.stdout)
        if done.returncode != 0:
            raise BundleError(
                f"Model {tag} ended the process that checked it ({done.returncode}); it is not promoted. Publish it "
                "again from its run."
            )
        return done.stdout == _WITH_ITEMS

    def require_same_horizon(self, slots: Slots) -> None:
        """Refuse a share of the customers for a challenger of another horizon than a champion that was promoted.

        One that the bento was built with is not known here: the service's workers compare.

        Raises:
            BundleError: the horizons differ, or one of the models is not in the store.
        """
        if slots.challenger is not None and slots.challenger_share > 0.0 and slots.champion is not None:
            require_same_horizon(self._bundle(slots.champion), self._bundle(slots.challenger))

    def _bundle(self, tag: str) -> Bundle:
        return Bundle.load(self.models / tag.split(":")[1] / "bundle")

    def _followed(self, slots: Slots, noted: frozenset[str], wait_seconds: float) -> int:
        deadline = time.monotonic() + wait_seconds
        while True:
            if self.current() != slots:
                raise RequestError(
                    f"Somebody else wrote the slots in {self.folder} meanwhile; they are as they wrote them. Look at "
                    "them, and promote again."
                )
            reports = live_reports(self.folder, noted)
            following = [report for report in reports if report.generation == slots.generation]
            refused = [f"{slot}: {why}" for report in following for slot, why in report.refused.items()]
            if refused:
                raise BundleError(f"The service refused it and goes on as before. {refused[0]}")
            if len(following) == len(reports):
                return len(reports)
            if time.monotonic() > deadline:
                silent = sorted({report.worker for report in reports} - {report.worker for report in following})
                raise DependencyDown(
                    f"Of {len(reports)} workers {len(silent)} did not say within {wait_seconds:.0f} s that they "
                    f"follow: {silent[:5]}. The slots are as before. Look at the service's log, and promote again."
                )
            time.sleep(_LOOK_SECONDS)
