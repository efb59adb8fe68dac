"""What `/readyz` says: whether this process can answer, what is not as it should be, and to whom it says why.

Everybody may ask. Where there are keys, hosts, paths and texts of errors are told to a key that may see the figures,
and to the log; to others a general word.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from services.access_control import ACCESS, AccessControl
from services.draining import DRAINING
from services.loaded_models import LoadedModels
from services.problem_middleware import Message
from services.problems import Refused, problem_for_status

__all__ = ["KEPT_SECONDS", "Readiness"]

KEPT_SECONDS = 0.5
"""How long it is kept what the store said: to ask it takes a thread and milliseconds, and anybody may cause that."""

_ENDING = "The service is ending. Ask another one."
_NOT_READY = "The service cannot answer yet. Why is told to a key with the scope admin, and in the service's log."
_STORE = "The online store is away, or cannot be read as it should be."
_MODEL = "A model was refused; the one before goes on answering."
_EVENTS = "Events or feedback cannot be taken."
_SETTING = "A setting that was changed cannot be used; the one before still counts."
_FIGURES = "/metrics"  # whose key is an operator's
Reasons = list[tuple[str, str]]
"""What everybody may know of a trouble, and what its operator needs to know."""
_log = logging.getLogger("bentoml.intent")


class Readiness:
    """What is known of this process. Used from its event loop."""

    def __init__(self, models: Callable[[], LoadedModels], also_degraded: Callable[[], list[str]]) -> None:
        """Prepare.

        Args:
            models: gives the models of this process; they are there once the server has started.
            also_degraded: says why events or feedback cannot be taken; returns at once.
        """
        self._models, self._also_degraded = models, also_degraded
        self._asked: asyncio.Task[list[str]] | None = None
        self._asked_at = 0.0
        self._asked_of: tuple[int, tuple[str, ...]] = (0, ())
        self._logged: list[str] = []

    async def told(self, scope: Message) -> dict[str, Any]:
        """Return what a request is told: `status`, ready or degraded, and `why`.

        Raises:
            Refused: 503, the process cannot answer: at once, whatever was said a moment ago.
        """
        access: AccessControl | None = scope.get(ACCESS)
        is_operator = access is not None and access.may(_FIGURES, dict(scope["headers"]).get(b"authorization"))
        models = self._models()
        trouble = models.trouble()
        if DRAINING.active or trouble is not None:
            if trouble is not None:
                self._log_change("Not ready", [trouble])
            raise Refused(problem_for_status(503, _detail(trouble, is_operator)))
        keys = None if access is None else access.keys_trouble()
        reasons = [*await self._of_models(models), *((_EVENTS, reason) for reason in self._also_degraded())]
        reasons += [] if keys is None else [(_SETTING, keys)]
        self._log_change("Degraded", [detail for _, detail in reasons])
        why = list(dict.fromkeys(detail if is_operator else general for general, detail in reasons))
        return {"status": "degraded" if why else "ready", "why": why}

    async def _of_models(self, models: LoadedModels) -> Reasons:
        """Ask the models' store, once for all who want to know, and at once when other models are there."""
        refused = tuple(models.refused.values())
        of, now = (id(models.answering), refused), time.monotonic()
        is_old = self._asked is None or (self._asked.done() and now - self._asked_at > KEPT_SECONDS)
        if is_old or self._asked_of != of:
            self._asked_at, self._asked_of = now, of
            self._asked = asyncio.ensure_future(asyncio.to_thread(models.degraded))
        assert self._asked is not None  # noqa: S101  for the type checker
        found = await asyncio.shield(self._asked)  # who hangs up takes nothing from those who still wait
        return [(_MODEL if reason in refused else _STORE, reason) for reason in found]

    def _log_change(self, what: str, reasons: list[str]) -> None:
        for reason in reasons:
            if reason not in self._logged:  # once, however long it lasts and however often it is asked for
                _log.warning("%s: %s", what, reason)
        if self._logged and not reasons:
            _log.info("No longer: %s", "; ".join(self._logged))
        self._logged = reasons


def _detail(trouble: str | None, is_operator: bool) -> str:
    if trouble is None or DRAINING.active:
        return _ENDING
    return trouble if is_operator else _NOT_READY
