"""The bento's service: from HTTP to `services.customer_scoring` and back, and nothing more.

    INTENT_ONLINE_URL=sqlite:////srv/shop/online.db?project=purchase_intent bentoml serve purchase_intent:latest

It listens on 127.0.0.1 unless told otherwise. `/readyz` answers 503 with the reason until the bundle is verified, its
golden examples are reproduced, and the online store holds every view of the model.
"""

import asyncio
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bentoml
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from feature_repo.errors import BundleError, IntentError
from services.bounded_executor import BoundedExecutor, Overloaded
from services.contracts import ScoreRequest, ScoreResponse
from services.customer_scoring import CustomerScoring
from services.feature_lookup import read_views, views_of
from services.golden_check import check_golden
from services.online_url import VARIABLE, read_online_url
from services.packed_lookup import open_lookup
from services.problem_middleware import ProblemMiddleware
from services.problems import Problem, problem_for_status
from services.request_reading import MAX_BODY_BYTES, Refused, read_score_request
from services.scoring import Scorer
from services.served_lines import MODEL_INPUTS, model_inputs
from services.served_log import open_served_log
from training.packaging.bundle import Bundle

__all__ = ["PurchaseIntent"]

MODEL_ALIAS = "intent_bundle"
"""The name under which bentofile.yaml lists the model; a built bento resolves it to the exact tag it was built with."""

THREADS = 2
IN_PROGRESS = 64


class ScoreBody(ScoreRequest, bentoml.IODescriptor):
    """The body of `/score`, read by our own rules: BentoML's reading accepts fields given twice and NaN."""

    __root_input__ = True

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Any:
        """Return the `ScoreRequest` in the body, or the `Problem` with it."""
        media_type = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
        if media_type != "application/json":
            return problem_for_status(415)
        try:
            return read_score_request(await _bounded_body(request), datetime.now(UTC))
        except Refused as refused:
            return refused.problem
        except ClientDisconnect:
            return problem_for_status(400)  # nobody is left to read it; it keeps the log free of a traceback


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
        self._scoring: CustomerScoring | None = None
        self._trouble = "The service is starting."

    @bentoml.on_startup
    async def start(self) -> None:
        """Load and check the model, and connect the store. What fails here is told by `/readyz`, not by a crash."""
        try:
            self._scoring = await self._executor.run(_load)
        except IntentError as error:
            self._trouble = str(error)

    @bentoml.on_shutdown
    def stop(self) -> None:
        """Finish the requests in progress, and the log of what they were answered with."""
        self._executor.close()
        if self._scoring is not None:
            self._scoring.close()

    async def __is_ready__(self) -> bool:
        reason = self._trouble if self._scoring is None else await asyncio.to_thread(self._scoring.trouble)
        if reason is not None:
            raise HTTPException(503, reason)
        return True

    @bentoml.api(route="/score", input_spec=ScoreBody, output_spec=ScoreResponse)
    async def score(self, request: Any, /) -> Response:
        """Return the calibrated probability that a customer buys within the horizon after `at`."""
        if isinstance(request, Problem):
            return _problem_response(request)
        if self._scoring is None:
            return _problem_response(problem_for_status(503))
        try:
            answer = await self._executor.run(self._scoring.answer, request, datetime.now(UTC))
        except Overloaded:
            return _problem_response(problem_for_status(429))
        except IntentError:
            return _problem_response(problem_for_status(503))
        return Response(answer.model_dump_json(), media_type="application/json")


PurchaseIntent.add_asgi_middleware(ProblemMiddleware)  # type: ignore[attr-defined]  # a bentoml.Service by now


def _load() -> CustomerScoring:
    bundle = _bundle()
    scorer = Scorer(bundle)
    check_golden(bundle, scorer)
    features = bundle.json("features.json")
    views = views_of(read_views(features), "user_id")
    lookup = open_lookup(read_online_url(os.environ.get(VARIABLE)), views)
    logged = {view.name: features["views"][view.name] for view in views} | {MODEL_INPUTS: model_inputs()}
    served_log = open_served_log(os.environ, str(features.get("service", "")), logged)
    return CustomerScoring(bundle, scorer, lookup, served_log)


def _bundle() -> Bundle:
    try:
        model = bentoml.models.get(MODEL_ALIAS)
    except bentoml.exceptions.BentoMLException as error:
        raise BundleError(
            "No model is published: expected the one this bento was built with. Run `intent publish`, and serve the "
            "bento that it names."
        ) from error
    bundle = Bundle.load(Path(model.path_of("bundle")))
    if bundle.tag != str(model.tag):
        raise BundleError(f"Bundle is another one: got {bundle.tag}; expected {model.tag}. Publish it again.")
    return bundle


async def _bounded_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            break
    return bytes(body)


def _problem_response(problem: Problem) -> Response:
    return Response(problem.body(uuid.uuid4().hex), problem.status, problem.headers())
