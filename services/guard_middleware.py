"""What every request has to pass before a route sees it: rights, limits, and a place among those in progress.

BentoML's own limits answer outside a service's middleware, with bodies that are not problem+json; they are therefore
off, and their part is done here. It is one layer, for each costs every request: about 20 microseconds, 30 with a key.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from feature_repo.errors import SettingsError
from services.access_control import ACCESS, AccessControl, Rule
from services.bind_address import is_loopback, listening_hosts, require_keys_beyond_loopback
from services.body_limits import UnfinishedBodies, is_too_deep, read_body, read_head
from services.concurrency_limit import PLACE, ConcurrencyLimit, Place
from services.configured_keys import ConfiguredKeys, configured_keys
from services.http_connections import bound_connections
from services.problem_middleware import App, Message, Receive, Send
from services.problems import Problem, Refused, problem_for_status
from services.quiet_errors import quieten
from services.server_layers import without_headers, without_layers
from services.turnstile import Turnstile

__all__ = [
    "ANSWER_SECONDS",
    "BODY_SECONDS",
    "IN_PROGRESS_VARIABLE",
    "MOST_IN_PROGRESS",
    "GuardMiddleware",
]

IN_PROGRESS_VARIABLE = "INTENT_MAX_IN_PROGRESS"
MOST_IN_PROGRESS = 20
"""Unless set. Who comes last waits for all of them, twice where they are answered together: with more of them, what is
taken under an overload takes more than three times as long as sixteen do.
"""
BODY_SECONDS = 2.0
ANSWER_SECONDS = 30.0
"""Less than BentoML's own limit (`traffic.timeout`), so that its answer, which is no problem+json, is never given."""

_log = logging.getLogger("bentoml.intent")


class GuardMiddleware:
    """ASGI middleware, inside `ProblemMiddleware`, which answers what is refused here.

    Keys, limits and the address are looked at when the server starts. If they cannot be used, or the address needs
    keys and there are none, nothing is answered but `/livez`; `/readyz` and the log say why.
    """

    def __init__(
        self, app: App, rules: Mapping[str, Rule], refused: Callable[[str, float], None] = lambda path, seconds: None
    ) -> None:
        """Prepare.

        Args:
            app: the layers below.
            rules: what every path takes.
            refused: is told the path and the seconds of what is refused before any layer sees it.
        """
        self.app = app
        self._rules, self._refused = rules, refused
        self._open: _Open | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass on what may be passed on.

        Raises:
            Refused: it may not.
        """
        if scope["type"] == "http":
            opened = self._open or self._begin()
            await opened.pass_on(self.app, scope, receive, send)
        elif scope["type"] == "lifespan":
            quieten()
            bound_connections(receive, self._begin().turnstile(self._refused))
            without_layers(scope.get("app"))
            without_headers(scope.get("app"))
            await self.app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})  # no route speaks it

    def _begin(self) -> "_Open":
        self._open = _Open(self._rules, os.environ)
        if self._open.trouble is not None:
            _log.error("Nothing is answered: %s", self._open.trouble)
        return self._open


class _Open:
    """The guard once it knows its settings."""

    def __init__(self, rules: Mapping[str, Rule], environment: Mapping[str, str]) -> None:
        self.trouble: str | None = None
        self._keys: ConfiguredKeys | None = None
        most = MOST_IN_PROGRESS
        try:
            most = _most_in_progress(environment)
            self._keys = configured_keys(environment)
            require_keys_beyond_loopback(listening_hosts(), self._keys is not None)
        except SettingsError as error:
            self.trouble = str(error)
        self._rules = rules
        self._access = AccessControl(rules, self._keys)
        self._limit = ConcurrencyLimit(most)
        self._unfinished = UnfinishedBodies()

    def turnstile(self, refused: Callable[[str, float], None]) -> Turnstile:
        """Return what connections ask before they parse a whole request."""
        paths = (path for path, rule in self._rules.items() if rule.body_bytes)
        return Turnstile(self._limit, paths, None if self._keys is None else self._access.may, refused)

    async def pass_on(self, app: App, scope: Message, receive: Receive, send: Send) -> None:
        with scope.pop(PLACE, None) or Place(self._limit) as place:
            if self.trouble is not None and scope["path"] != "/livez":
                raise Refused(_not_ready(scope["path"], self.trouble))
            head = read_head(scope["headers"])
            rule = self._access.admit(scope["path"], scope["method"], head.authorization)
            if self._keys is None:
                _require_loopback(scope)
            head.check(rule.body_bytes)
            if rule.scope is None:
                scope[ACCESS] = self._access  # some say more to whoever has a key
                await app(scope, receive, send)
            else:
                await self._in_time(rule, place, app, scope, receive, send)

    async def _in_time(self, rule: Rule, place: Place, app: App, scope: Message, receive: Receive, send: Send) -> None:
        arrived = False
        try:
            async with asyncio.timeout(BODY_SECONDS) as deadline:
                if rule.body_bytes:
                    await place.require(take=False)  # before the body is read, so that what is refused costs little
                    body = await read_body(receive, rule.body_bytes, self._unfinished)
                    if body is None:
                        return  # the caller hung up; nobody waits for an answer
                    if is_too_deep(body):
                        raise Refused(_too_deep(len(body)))
                    receive = _Replay(body, receive)
                arrived = True
                deadline.reschedule(asyncio.get_running_loop().time() + ANSWER_SECONDS)
                await place.require(take=True)  # the others may have come while the body did
                await app(scope, receive, send)
        except TimeoutError:
            if not deadline.expired():
                raise
            # A connection whose body has not come cannot be used again: nobody knows where the next request begins.
            problem = problem_for_status(504) if arrived else problem_for_status(408, also={"connection": "close"})
            raise Refused(problem) from None


class _Replay:
    """`receive` for the layers below: the body that has been read, then what the server says."""

    __slots__ = ("_body", "_receive")

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        message = {"type": "http.request", "body": self._body, "more_body": False}
        self._body = None
        return message


def _require_loopback(scope: Message) -> None:
    # The listening socket was looked at when the server started; this is for servers that open theirs later.
    server: Any = scope.get("server")
    if server and server[1] is not None and _is_address(server[0]) and not is_loopback(server[0]):
        raise Refused(problem_for_status(401, also={"www-authenticate": "Bearer"}))


def _is_address(host: str) -> bool:
    return ":" in host or host[:1].isdigit()  # a name is that of a server in this process


def _most_in_progress(environment: Mapping[str, str]) -> int:
    given = environment.get(IN_PROGRESS_VARIABLE, str(MOST_IN_PROGRESS))
    if not given.isdecimal() or not 1 <= int(given) <= 10_000:
        raise SettingsError(f"{IN_PROGRESS_VARIABLE} is {given!r}; expected a whole number from 1 to 10000.")
    return int(given)


def _not_ready(path: str, trouble: str) -> Problem:
    return problem_for_status(503, trouble if path == "/readyz" else None)


def _too_deep(size: int) -> Problem:
    return Problem(
        400,
        "malformed_json",
        "Body is not JSON",
        f"The body ({size} bytes) has brackets more than 16 levels deep, or open ones; expected a flat object.",
    )
