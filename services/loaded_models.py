"""What answers: the champion and the challenger, each verified and warmed up beside the one that it replaces.

A bundle with a wrong hash, one without a trusted signature where keys are configured, one that does not reproduce its
golden examples, or one whose views the store writes by another schema is refused, and what answered before goes on.
A swap is the assignment of one reference: a request is answered by what it met first.
"""

import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bentoml

from feature_repo.errors import BundleError, IntentError
from services.customer_scoring import CustomerScoring
from services.metrics import Metrics
from services.model_slots import FOLDER_VARIABLE, Slots, configured_folder, read_slots, slots_stamp
from services.packed_lookup import PackedLookup
from services.serving_models import ServingModel, ServingModels
from services.split_horizon import require_same_horizon
from services.worker_reports import RENEW_SECONDS, ReportFile, WorkerReport

__all__ = ["MODEL_ALIAS", "Answering", "LoadedModels"]

MODEL_ALIAS = "intent_bundle"
"""The name under which bentofile.yaml lists the model; a built bento resolves it to the exact tag it was built with."""

_LOOK_SECONDS = 0.2
_AGAIN_SECONDS = 5.0


@dataclass(frozen=True)
class Answering:
    """What answers just now, as a whole: the slots that are followed, and the models in them."""

    slots: Slots
    champion: ServingModel
    challenger: ServingModel | None = None

    def scoring_for(self, user_id: str) -> CustomerScoring:
        """Return what answers requests about a customer."""
        if self.challenger is not None and self.slots.answered_by_challenger(user_id):
            return self.challenger.scoring
        return self.champion.scoring


@dataclass
class LoadedModels:
    """The models that answer, once `load` has run; before that, and where it failed, `trouble` says why none does.

    `load` and the thread that it starts are the only writers; everything else may be called from any thread.
    """

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    answering: Answering | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self._trouble = "The service is starting."
        self._serving: ServingModels | None = None
        self._folder: Path | None = None
        self._report: ReportFile | None = None
        self._own = self._generation = ""
        self._seen: Any = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def load(self) -> None:
        """Load and check the models, connect the store, watch the slots; takes seconds. `trouble` tells what fails."""
        self._begin()
        self._thread = threading.Thread(target=self._watch, name="model-slots", daemon=True)
        self._thread.start()

    def rehearse(self) -> None:
        """Let the champion answer once about nobody, on the thread that calls; nothing where there is none."""
        if self.answering is not None:
            with suppress(Exception):  # whatever a library makes of nobody, the first request will tell
                self.answering.champion.rehearse()

    def scoring_for(self, user_id: str) -> CustomerScoring | None:
        """Return what answers requests about a customer, or None if nothing does."""
        now = self.answering
        return None if now is None else now.scoring_for(user_id)

    def scorings_for(self, user_ids: Sequence[str]) -> list[CustomerScoring] | None:
        """Return what answers one request about many customers, for each: as of now, whatever is swapped meanwhile."""
        now = self.answering
        return None if now is None else [now.scoring_for(user_id) for user_id in user_ids]

    def trouble(self) -> str | None:
        """Return why nothing can be answered, or None."""
        return self._trouble if self.answering is None else None

    def degraded(self) -> list[str]:
        """Return why answers are not what they could be: the store, and models that were refused; may wait for both."""
        reasons = dict.fromkeys(lookup.trouble() for lookup in self._lookups())
        return [reason for reason in [*reasons, *self.refused.values()] if reason is not None]

    def close(self) -> None:
        """End the watching, and write what waits to be logged."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)
        if self._report is not None:
            self._report.remove()
        if self._serving is not None:
            self._serving.close()
        self.metrics.close()

    def _begin(self) -> None:
        """Load what the slots name, or what the bento was built with; what fails is told, and tried again."""
        try:
            models, self._own = _published()
            self._folder = _slots_folder(self.environment, models)
            self._seen = self._stamp()  # before they are read: what is written while this loads is followed next
            if self._report is None and self._folder is not None:
                self._report = ReportFile(self._folder)
                self._report.begin()
            if self._serving is None:
                shadow_folder = self._folder / "shadow" if self._folder else None
                self._serving = ServingModels(models, self.environment, shadow_folder, self.metrics)
            self._follow()
            if self.answering is None:  # the slots were refused: the bento's own model is better than none
                self.answering = self._resolved(Slots())
        except IntentError as error:
            self._trouble = str(error)
        except Exception as error:  # whatever a bundle does to a library, the worker stays and says so
            self._trouble = f"Model cannot be loaded ({type(error).__name__}). Publish it again."
        self._say()

    def _watch(self) -> None:
        said = time.monotonic()
        while not self._stop.wait(_LOOK_SECONDS):
            self.metrics.flush()
            pause = RENEW_SECONDS if self.answering is not None else _AGAIN_SECONDS
            changed = self._stamp() != self._seen
            if changed or (self.answering is None and time.monotonic() - said > pause):
                self._seen = self._stamp()
                self._begin()
                said = time.monotonic()
            elif time.monotonic() - said > RENEW_SECONDS:
                self._say()
                said = time.monotonic() if self.answering is not None else said

    def _stamp(self) -> Any:
        return None if self._folder is None else slots_stamp(self._folder)

    def _follow(self) -> None:
        """Take what the slots name, all of it or nothing."""
        slots, slot = Slots(), "slots"
        try:
            if self._folder is not None:
                slots = read_slots(self._folder)
            slot = "champion" if slots.challenger is None else "models"
            self.answering, self.refused = self._resolved(slots), {}
        except IntentError as error:
            self._refuse(slot, str(error))
        except Exception as error:  # whatever a bundle does to a library, the old model goes on
            self._refuse(slot, f"Model cannot be loaded ({type(error).__name__}). Publish it again.")
        self._generation = slots.generation

    def _refuse(self, slot: str, reason: str) -> None:
        self.refused = {slot: reason}
        self.metrics.model_refused()

    def _resolved(self, slots: Slots) -> Answering:
        assert self._serving is not None  # noqa: S101  for the type checker: `_begin` made it
        champion = self._kept(slots.champion or self._own) or self._serving.load(slots.champion or self._own)
        challenger = None
        if slots.challenger is not None and slots.challenger != champion.tag:
            challenger = self._kept(slots.challenger) or self._serving.load(slots.challenger)
            if slots.challenger_share > 0.0:  # a shadow is compared, and answers nobody
                require_same_horizon(champion.checked.bundle, challenger.checked.bundle)
        champion = self._serving.shadowed(champion, challenger if slots.shadow else None)
        if challenger is not None:
            challenger = self._serving.with_items_of(challenger, champion)
        return Answering(slots, champion, challenger)

    def _kept(self, tag: str) -> ServingModel | None:
        now = self.answering
        models = [] if now is None else [now.champion, now.challenger]
        return next((model for model in models if model is not None and model.tag == tag), None)

    def _lookups(self) -> list[PackedLookup]:
        """Return the stores of the models in the slots, those of items too, each once."""
        now = self.answering
        models = [] if now is None else [model for model in (now.champion, now.challenger) if model is not None]
        found = dict.fromkeys(lookup for model in models for lookup in (model.lookup, model.item_lookup))
        return [lookup for lookup in found if lookup is not None]

    def _say(self) -> None:
        now = self.answering
        champion = None if now is None else now.champion.tag
        challenger = None if now is None or now.challenger is None else now.challenger.tag
        slots = {"champion": champion, "challenger": challenger}
        self.metrics.models({slot: tag for slot, tag in slots.items() if tag is not None}, ready=now is not None)
        self.metrics.circuit(any(lookup.circuit_open for lookup in self._lookups()))
        if self._report is None:
            return
        refused = dict(self.refused) if now is not None else {"service": self._trouble} | dict(self.refused)
        self._report.say(WorkerReport(self._report.worker, self._generation, champion, challenger, refused))


def _slots_folder(environment: Mapping[str, str], models: Path) -> Path | None:
    """The folder that INTENT_SLOTS names; unset: `slots` in BentoML's home; set to nothing: none is followed."""
    if FOLDER_VARIABLE not in environment:
        return models.parents[1] / "slots"
    return configured_folder(environment)


def _published() -> tuple[Path, str]:
    """Return the folder of our models, and the tag of the one that the bento was built with."""
    try:
        model = bentoml.models.get(MODEL_ALIAS)
    except bentoml.exceptions.BentoMLException as error:
        raise BundleError(
            "No model is published: expected the one this bento was built with. Run `intent publish`, and serve the "
            "bento that it names."
        ) from error
    return Path(model.path).parent, str(model.tag)
