"""The bento's service: from HTTP to what answers and back, and nothing more.

    INTENT_ONLINE_URL=sqlite:////srv/shop/online.db?project=purchase_intent bentoml serve purchase_intent:latest

It listens on 127.0.0.1 unless told otherwise. `/readyz` answers 503 with the reason until the bundle is verified, its
golden examples are reproduced, and the online store holds every view of the model.

Where what is: the table of routes in `routes.py`, what loads and holds models in `loaded_models.py`, the layers around
every route (limits, rights, errors) in the ASGI middlewares that the last lines add.
"""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import bentoml
from starlette.exceptions import HTTPException
from starlette.responses import Response

from feature_repo.errors import IntentError
from services.bounded_executor import BoundedExecutor, Overloaded
from services.guard_middleware import GuardMiddleware
from services.json_body import body_of
from services.loaded_models import LoadedModels
from services.problem_middleware import ProblemMiddleware
from services.problems import Problem, problem_for_status
from services.route_rules import route_rules
from services.routes import SCORE

__all__ = ["PurchaseIntent"]

THREADS = 2
IN_PROGRESS = 64


@bentoml.service(
    name="PurchaseIntent",
    workers=1,
    traffic={"timeout": 30},
    http={"host": "127.0.0.1"},  # BentoML's own default is every address of the machine
)
class PurchaseIntent:
    """Will this customer buy in the coming days: calibrated probability, and what it rests on."""

    def __init__(self) -> None:
        self._executor = BoundedExecutor(THREADS, IN_PROGRESS)
        self._models = LoadedModels()

    @bentoml.on_startup
    async def start(self) -> None:
        """Load what answers. What fails here is told by `/readyz`, not by a crash."""
        await self._executor.run(self._models.load)

    @bentoml.on_shutdown
    def stop(self) -> None:
        """Finish the requests in progress, and the log of what they were answered with."""
        self._executor.close()
        self._models.close()

    async def __is_ready__(self) -> bool:
        reason = await asyncio.to_thread(self._models.trouble)
        if reason is not None:
            raise HTTPException(503, reason)
        return True

    @bentoml.api(route=SCORE.path, input_spec=body_of(SCORE), output_spec=SCORE.response)
    async def score(self, request: Any, /) -> Response:
        """Return the calibrated probability that a customer buys within the horizon after `at`."""
        if isinstance(request, Problem):
            return _problem_response(request)
        scoring = self._models.scoring_for(request.user_id)
        if scoring is None:
            return _problem_response(problem_for_status(503))
        try:
            answer = await self._executor.run(scoring.answer, request, datetime.now(UTC))
        except Overloaded:
            return _problem_response(problem_for_status(429))
        except IntentError:
            return _problem_response(problem_for_status(503))
        return Response(answer.model_dump_json(), media_type="application/json")


# The layers around every route; the one added last is the innermost.
PurchaseIntent.add_asgi_middleware(ProblemMiddleware)  # type: ignore[attr-defined]  # a bentoml.Service by now
PurchaseIntent.add_asgi_middleware(GuardMiddleware, rules=route_rules())  # type: ignore[attr-defined]


def _problem_response(problem: Problem) -> Response:
    return Response(problem.body(uuid.uuid4().hex), problem.status, problem.headers())
