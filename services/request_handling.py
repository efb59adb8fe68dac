"""From a request that was read to the response: who answers it, on which thread, and what is said where nobody can."""

import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import BaseModel
from starlette.responses import Response

from feature_repo.errors import DependencyDown, IntentError
from services.batch_contracts import RankRequest, ScoreBatchRequest
from services.bounded_executor import BoundedExecutor, Overloaded
from services.contracts import ExplainRequest, ScoreRequest, ScoreResponse
from services.customer_scoring import CustomerScoring, joined
from services.event_contracts import EventsRequest, EventsResponse, FeedbackRequest, FeedbackResponse
from services.event_intake import OUTBOX_VARIABLE, EventIntake, open_intake
from services.feedback_log import FeedbackLog, open_feedback_log
from services.gathering import Gathering
from services.item_scoring import ItemScoring
from services.online_url import VARIABLE
from services.problem_log import PROBLEM_LOG
from services.problems import Problem, Refused, problem_for_status
from services.served_log import FOLDER_VARIABLE

__all__ = ["Models", "RequestHandling", "problem_response"]

THREADS = 2
IN_PROGRESS = 64
WRITERS = 4
WRITES_IN_PROGRESS = 8
"""What waits for a database that hangs waits for seconds: it may take less than half of a worker's places."""
_log = logging.getLogger(__name__)


class Models(Protocol):
    """What knows who answers."""

    def scoring_for(self, user_id: str) -> CustomerScoring | None:
        """Return what answers requests about a customer, or None if nothing does."""
        ...

    def scorings_for(self, user_ids: Sequence[str]) -> Sequence[CustomerScoring] | None:
        """Return what answers one request about many customers, of each, or None if nothing does."""
        ...


class RequestHandling:
    """Answers the requests of one worker. Used from its event loop."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._executor = BoundedExecutor(THREADS, IN_PROGRESS)
        self._writers = BoundedExecutor(WRITERS, WRITES_IN_PROGRESS)
        self._gathering = Gathering[CustomerScoring, ScoreRequest, ScoreResponse](_together, self.run)
        self._beside = self.run
        self.intake: EventIntake | None = None
        self.feedback_log: FeedbackLog | None = None
        self._refused: list[str] = []

    async def run(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Return what a function that blocks returns, run beside the event loop."""
        return await self._executor.run(function, *arguments)

    async def score(self, request: ScoreRequest | Problem) -> Response:
        """Answer /score."""
        return await self._answered(request, self._score)

    async def score_batch(self, request: ScoreBatchRequest | Problem) -> Response:
        """Answer /score_batch; each customer is answered by its own model."""
        return await self._answered(request, self._score_batch)

    async def rank(self, request: RankRequest | Problem) -> Response:
        """Answer /rank."""
        return await self._answered(request, self._rank)

    async def explain(self, request: ExplainRequest | Problem) -> Response:
        """Answer /explain."""
        return await self._answered(request, self._explain)

    async def events(self, request: EventsRequest | Problem) -> Response:
        """Answer /events."""
        return await self._answered(request, self._events)

    async def feedback(self, request: FeedbackRequest | Problem) -> Response:
        """Answer /feedback."""
        return await self._answered(request, self._feedback)

    def open(self, environment: Mapping[str, str]) -> None:
        """Open what takes events and feedback, where the environment names a place for them; takes a while.

        A store in a file is read on the event loop: a tenth of a millisecond, for which a thread would cost more than
        it saves; with it what is made of it, for one interpreter runs one thread at a time. Another one is asked over a
        network, beside it.
        """
        if (environment.get(VARIABLE) or "").startswith("sqlite:"):
            self._gathering = Gathering(_together)
            self._beside = _here
        try:
            self.feedback_log = open_feedback_log(environment)
        except IntentError as error:
            self._refuse(f"Feedback cannot be taken: {error}")
        try:
            self.intake = open_intake(environment)
        except IntentError as error:  # the routes that need none are answered all the same
            self._refuse(f"Events cannot be taken: {error}")
        if self.intake is not None:
            self.intake.start()

    def degraded(self) -> list[str]:
        """Return why events or feedback cannot be taken, where they should be; returns at once."""
        trouble = None if self.intake is None else self.intake.trouble()
        return [*self._refused, *([] if trouble is None else [trouble])]

    async def rehearse(self, answer: Callable[[], None]) -> None:
        """Call `answer` on every thread that answers requests, this one too: each opens the store for itself."""
        await self._executor.on_each_thread(answer)
        answer()

    def close(self) -> None:
        """Finish the requests in progress, and what was kept open for them."""
        self._executor.close()
        self._writers.close()
        for kept in (self.intake, self.feedback_log):
            if kept is not None:
                kept.close()

    async def _answered(self, request: Any, answer: Callable[[Any], Awaitable[BaseModel | bytes]]) -> Response:
        """Return the answer, or the problem with it."""
        if isinstance(request, Problem):
            return problem_response(request)
        try:
            found = await answer(request)
        except Refused as refused:
            return problem_response(refused.problem)
        except Overloaded:
            return problem_response(problem_for_status(429))
        except IntentError as error:
            return problem_response(problem_for_status(503), error)
        body = found if isinstance(found, bytes) else found.model_dump_json()
        return Response(body, media_type="application/json")

    def _refuse(self, reason: str) -> None:
        _log.error("%s", reason)
        self._refused.append(reason)

    def _scoring(self, user_id: str) -> CustomerScoring:
        scoring = self._models.scoring_for(user_id)
        if scoring is None:
            raise Refused(problem_for_status(503))
        return scoring

    def _items(self, user_id: str) -> ItemScoring:
        items = self._scoring(user_id).items
        if items is None:
            raise Refused(_NO_ITEM_MODEL)
        return items

    async def _score(self, request: ScoreRequest) -> BaseModel:
        if request.item_id is not None:
            return await self.run(self._items(request.user_id).answer, request, datetime.now(UTC))
        scoring = self._scoring(request.user_id)
        if request.reasons:  # these take a hundred times as long, and must not hold up the others
            return await self.run(scoring.answer, request, datetime.now(UTC))
        return await self._gathering.ask(scoring, request)

    async def _score_batch(self, request: ScoreBatchRequest) -> BaseModel:
        at, request_id = request.at or datetime.now(UTC), uuid.uuid4().hex
        scorings = self._models.scorings_for(request.user_ids)
        if scorings is None:
            raise Refused(problem_for_status(503))
        shares: dict[CustomerScoring, list[str]] = {}
        for user_id, scoring in zip(request.user_ids, scorings, strict=True):
            shares.setdefault(scoring, []).append(user_id)
        of = len(request.user_ids)
        parts = [await self.run(scoring.answer_batch, ids, at, request_id, of) for scoring, ids in shares.items()]
        return parts[0] if len(parts) == 1 else joined(parts, request.user_ids)

    async def _explain(self, request: ExplainRequest) -> BaseModel:
        if request.item_id is not None:
            return await self.run(self._items(request.user_id).explain, request, datetime.now(UTC))
        return await self.run(self._scoring(request.user_id).explain, request, datetime.now(UTC))

    async def _rank(self, request: RankRequest) -> bytes:
        found: bytes = await self._beside(self._items(request.user_id).rank_json, request, datetime.now(UTC))
        return found

    async def _events(self, request: EventsRequest) -> BaseModel:
        if self.intake is None:
            raise Refused(_unconfigured("no_outbox", "Events are not taken here", OUTBOX_VARIABLE, "an outbox"))
        receipts, online = await self._written(_OUTBOX_AWAY, self.intake.take, request.events)
        return EventsResponse(receipts=receipts, online=online, request_id=uuid.uuid4().hex)

    async def _feedback(self, request: FeedbackRequest) -> BaseModel:
        if self.feedback_log is None:
            raise Refused(_unconfigured("no_served_log", "Feedback is not taken here", FOLDER_VARIABLE, "a folder"))
        await self._written(_LOG_AWAY, self.feedback_log.append, request.outcomes)
        return FeedbackResponse(accepted=len(request.outcomes), request_id=uuid.uuid4().hex)

    async def _written(self, away: Problem, write: Callable[..., Any], what: object) -> Any:
        """Return what `write` returns, run on threads of its own: no score waits for what it waits for."""
        try:
            return await self._writers.run(write, what)
        except Overloaded:
            raise
        except DependencyDown:
            raise Refused(away) from None


_NO_ITEM_MODEL = Problem(
    404,
    "no_item_model",
    "No model of items",
    "The model that is served tells whether a customer buys anything, and nothing of an item; expected one with a "
    "model of items. Leave item_id out, or ask the operator to publish one (`intent publish --ranking FILE`).",
)


_OUTBOX_AWAY = Problem(
    503,
    "outbox_away",
    "Events cannot be kept just now",
    "The outbox's database does not answer or cannot be written; nothing was acknowledged. Send the same events again: "
    "what was stored all the same is not stored twice.",
    retry_after=1,
)
_LOG_AWAY = Problem(
    503,
    "served_log_away",
    "Outcomes cannot be written just now",
    "The folder of the served log cannot be written; nothing was acknowledged. Send the same outcomes again.",
    retry_after=1,
)


async def _here(function: Callable[..., Any], *arguments: object) -> Any:
    return function(*arguments)


def _together(scoring: CustomerScoring, requests: Sequence[ScoreRequest]) -> list[ScoreResponse]:
    return scoring.answer_together(requests, datetime.now(UTC))


def problem_response(problem: Problem, cause: IntentError | None = None) -> Response:
    """Return a problem as a response; the log is told of one that is not the request's fault, and its cause."""
    request_id = uuid.uuid4().hex
    PROBLEM_LOG.note(problem, request_id, cause)
    return Response(problem.body(request_id), problem.status, problem.headers())


def _unconfigured(code: str, title: str, variable: str, what: str) -> Problem:
    detail = f"The service was started without {what}; expected its address in {variable}. Tell the operator."
    return Problem(503, code, title, detail)
