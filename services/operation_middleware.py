"""What an operator asks of a service: `GET /readyz`, `/model` and `/metrics`; every other request passes through.

BentoML's own `/readyz` cannot say more than yes or no, its API methods take POST alone, and its `/metrics` shows paths.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from services.draining import DRAINING
from services.loaded_models import LoadedModels
from services.metrics import CONTENT_TYPE
from services.model_description import described
from services.problem_middleware import App, Message, Receive, Send
from services.problems import Refused, problem_for_status

__all__ = ["OperationMiddleware"]


class OperationMiddleware:
    """ASGI middleware, inside whatever guards the routes."""

    def __init__(
        self, app: App, models: Callable[[], LoadedModels], also_degraded: Callable[[], list[str]] = list
    ) -> None:
        """Prepare.

        Args:
            app: the layers below.
            models: gives the models of this process; they are there once the server has started.
            also_degraded: says what else is not as it should be, beside models and their store.
        """
        self.app = app
        self._models, self._also_degraded = models, also_degraded
        self._answers: dict[str, Callable[[LoadedModels], tuple[str, bytes]]] = {
            "/readyz": self._ready,
            "/model": _model,
            "/metrics": _metrics,
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer, or pass on.

        Raises:
            Refused: 503, with the reason, where the service is not ready.
        """
        answer = self._answers.get(scope["path"]) if scope["type"] == "http" else None
        if answer is None:
            await self.app(scope, receive, send)
            return
        media_type, body = await asyncio.to_thread(answer, self._models())
        headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _ready(self, models: LoadedModels) -> tuple[str, bytes]:
        trouble = "The service is ending. Ask another one." if DRAINING.active else models.trouble()
        if trouble is not None:
            raise Refused(problem_for_status(503, trouble))
        why = [*models.degraded(), *self._also_degraded()]
        return _json({"status": "degraded" if why else "ready", "why": why})


def _model(models: LoadedModels) -> tuple[str, bytes]:
    if models.trouble() is not None:
        raise Refused(problem_for_status(503))
    return _json(described(models))


def _metrics(models: LoadedModels) -> tuple[str, bytes]:
    return CONTENT_TYPE, models.metrics.exposition()


def _json(value: dict[str, Any]) -> tuple[str, bytes]:
    return "application/json", json.dumps(value).encode()
