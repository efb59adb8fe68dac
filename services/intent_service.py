"""The bento's service: from HTTP to what answers and back, and nothing more.

    INTENT_ONLINE_URL=sqlite:////srv/shop/online.db?project=purchase_intent bentoml serve purchase_intent:latest

It listens on 127.0.0.1 unless told otherwise. `/readyz` answers 503 with the reason until the bundle is verified and
its golden examples are reproduced, and from then on says whether answers are degraded, and why.

Where what is: the table of routes in `routes.py`, what loads and holds models in `loaded_models.py`, the layers around
every route (limits, rights, errors) in the ASGI middlewares that the last lines add.
"""

import gc
import os
from typing import Any

import bentoml
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route as StarletteRoute

from services.deployment_check import deployment_trouble, host_of_command
from services.document_page import PAGE, PAGE_HEADERS
from services.draining import DRAINING
from services.figures_folder import make_figures_folder
from services.guard_middleware import GuardMiddleware
from services.json_body import body_of
from services.loaded_models import LoadedModels
from services.openapi import document
from services.operation_middleware import OperationMiddleware
from services.problem_middleware import ProblemMiddleware
from services.request_handling import RequestHandling
from services.request_metrics import RequestMetricsMiddleware
from services.route_rules import route_rules
from services.routes import EVENTS, EXPLAIN, FEEDBACK, RANK, SCORE, SCORE_BATCH
from services.server_layers import keep_api_methods

__all__ = ["PurchaseIntent"]

LOOPBACK = "127.0.0.1"


@bentoml.service(
    name="PurchaseIntent",
    workers=1,
    traffic={"timeout": 60},  # never reached: the guard's own limit is shorter, and answers problem+json
    http={"host": LOOPBACK},  # BentoML's own default is every address of the machine
    logging={"access": {"enabled": False}},  # it writes paths, and costs every request
    metrics={"enabled": False},  # so do these; `/metrics` is ours
    tracing={"excluded_urls": ".*"},  # spans that nothing exports are two fifths of what BentoML costs a request
)
class PurchaseIntent:
    """Will this customer buy in the coming days: calibrated probability, and what it rests on."""

    def __init__(self) -> None:
        self._models = LoadedModels()
        self._handling = RequestHandling(self._models)

    @bentoml.on_deployment
    def before_the_workers() -> None:  # the hook makes it a static method
        """Do not begin to listen where others could ask without a key; else make a place for the workers' figures.

        Raises:
            bentoml.exceptions.BentoMLConfigException: the address needs keys and there are none, or settings are wrong.
        """
        trouble = deployment_trouble(host_of_command() or _configured_host())
        if trouble is not None:
            raise bentoml.exceptions.BentoMLConfigException(trouble)
        make_figures_folder()

    @bentoml.on_startup
    async def start(self) -> None:
        """Load what answers. What fails here is told by `/readyz`, not by a crash."""
        DRAINING.begin()
        await self._handling.run(self._models.load)
        await self._handling.run(self._handling.open, os.environ)
        await self._handling.rehearse(self._models.rehearse)
        keep_api_methods(self, PurchaseIntent.apis)  # type: ignore[attr-defined]  # a bentoml.Service by now
        gc.collect()
        gc.freeze()  # what is loaded stays; to look through it again took a request 0.3 seconds now and then

    @bentoml.on_shutdown
    def stop(self) -> None:
        """Finish the requests in progress, and the log of what they were answered with."""
        self._handling.close()
        self._models.close()

    @property
    def models(self) -> LoadedModels:
        """The models that answer."""
        return self._models

    def degraded(self) -> list[str]:
        """Return why events or feedback cannot be taken."""
        return self._handling.degraded()

    @bentoml.api(route=SCORE.path, input_spec=body_of(SCORE), output_spec=SCORE.response)
    async def score(self, request: Any, /) -> Response:
        """Return the calibrated probability that a customer buys within the horizon after `at`."""
        return await self._handling.score(request)

    @bentoml.api(route=SCORE_BATCH.path, input_spec=body_of(SCORE_BATCH), output_spec=SCORE_BATCH.response)
    async def score_batch(self, request: Any, /) -> Response:
        """Return the scores of up to 1,000 customers at one moment."""
        return await self._handling.score_batch(request)

    @bentoml.api(route=RANK.path, input_spec=body_of(RANK), output_spec=RANK.response)
    async def rank(self, request: Any, /) -> Response:
        """Return up to 500 items, the one that the customer most probably buys first."""
        return await self._handling.rank(request)

    @bentoml.api(route=EXPLAIN.path, input_spec=body_of(EXPLAIN), output_spec=EXPLAIN.response)
    async def explain(self, request: Any, /) -> Response:
        """Return why a score is what it is: contributions in log-odds that add up to it, and in words."""
        return await self._handling.explain(request)

    @bentoml.api(route=EVENTS.path, input_spec=body_of(EVENTS), output_spec=EVENTS.response)
    async def events(self, request: Any, /) -> Response:
        """Take events as they happen; when they are acknowledged, they are kept, and the next score sees them."""
        return await self._handling.events(request)

    @bentoml.api(route=FEEDBACK.path, input_spec=body_of(FEEDBACK), output_spec=FEEDBACK.response)
    async def feedback(self, request: Any, /) -> Response:
        """Take what became of answers, to be joined later to what was served."""
        return await self._handling.feedback(request)


# Before BentoML's own document, which knows neither our problems nor our examples, and its page, which is tracked.
PurchaseIntent.mount_asgi_app(  # type: ignore[attr-defined]  # a bentoml.Service by now
    Starlette(
        routes=[
            StarletteRoute("/docs.json", lambda _: JSONResponse(document())),
            StarletteRoute("/", lambda _: HTMLResponse(PAGE, headers=PAGE_HEADERS)),
        ]
    ),
    name="documentation",
)

# The layers around every route; the one added last is the innermost.
PurchaseIntent.add_asgi_middleware(  # type: ignore[attr-defined]
    RequestMetricsMiddleware, paths=tuple(route_rules()), metrics=lambda: _models().metrics
)
PurchaseIntent.add_asgi_middleware(ProblemMiddleware)  # type: ignore[attr-defined]
PurchaseIntent.add_asgi_middleware(  # type: ignore[attr-defined]
    GuardMiddleware, rules=route_rules(), refused=lambda path, seconds: _models().metrics.request(path, 429, seconds)
)
PurchaseIntent.add_asgi_middleware(  # type: ignore[attr-defined]
    OperationMiddleware, models=lambda: _models(), also_degraded=lambda: _service().degraded()
)


def _service() -> PurchaseIntent:
    service: PurchaseIntent = bentoml.get_current_service()
    return service


def _models() -> LoadedModels:
    return _service().models


def _configured_host() -> str:
    from bentoml._internal.configuration.containers import BentoMLContainer

    return str(BentoMLContainer.http.host.get())
