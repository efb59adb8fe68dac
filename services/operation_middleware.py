"""What an operator asks of a service: `GET /readyz`, `/model` and `/metrics`; every other request passes through.

BentoML's own `/readyz` cannot say more than yes or no, its API methods take POST alone, and its `/metrics` shows paths.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from services.loaded_models import LoadedModels
from services.metrics import CONTENT_TYPE
from services.model_description import described
from services.problem_middleware import App, Message, Receive, Send
from services.problems import Refused, problem_for_status
from services.readiness import Readiness

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
            also_degraded: says why events or feedback cannot be taken; returns at once.
        """
        self.app = app
        self._models = models
        self._readiness = Readiness(models, also_degraded)
        self._answers: dict[str, Callable[[LoadedModels], tuple[str, bytes]]] = {"/model": _model, "/metrics": _metrics}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer, or pass on.

        Raises:
            Refused: 503, with the reason, where the service is not ready.
        """
        path = scope["path"] if scope["type"] == "http" else None
        if path == "/readyz":
            media_type, body = _json(await self._readiness.told(scope))
        elif path in self._answers:
            media_type, body = await asyncio.to_thread(self._answers[path], self._models())
        else:
            await self.app(scope, receive, send)
            return
        headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _model(models: LoadedModels) -> tuple[str, bytes]:
    if models.trouble() is not None:
        raise Refused(problem_for_status(503))
    return _json(described(models))


def _metrics(models: LoadedModels) -> tuple[str, bytes]:
    return CONTENT_TYPE, models.metrics.exposition()


def _json(value: dict[str, Any]) -> tuple[str, bytes]:
    return "application/json", json.dumps(value).encode()
