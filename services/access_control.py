"""Who may ask for what: a table of every route, and nothing that is not in it. No web, no BentoML."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.access_keys import AccessKey
from services.configured_keys import ConfiguredKeys
from services.problems import Problem, Refused, problem_for_status
from services.rate_limit import TokenBucket

__all__ = ["ACCESS", "AccessControl", "Rule"]

ACCESS = "intent.access"
"""Where the guard leaves its `AccessControl` in the ASGI scope of a request to a path that is open to everybody."""
_MOST_BUCKETS = 10_000


@dataclass(frozen=True)
class Rule:
    """What one path takes.

    Attributes:
        methods: the HTTP methods.
        scope: the right that a key must give; None: open to everybody, and never refused for load.
        body_bytes: the largest body; 0: none.

    A path that ends in a stroke stands for all that begins with it.
    """

    methods: frozenset[str]
    scope: str | None
    body_bytes: int = 0


class AccessControl:
    """The table and the keys; `keys` None: everybody may do everything in the table. Used from one event loop."""

    def __init__(
        self,
        rules: Mapping[str, Rule],
        keys: ConfiguredKeys | None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._rules = rules
        self._keys = keys
        self._clock, self._wall_clock = clock, wall_clock
        self._buckets: dict[str, TokenBucket] = {}

    def admit(self, path: str, method: str, authorization: bytes | None) -> Rule:
        """Return what the path takes, having found that this request may come so far.

        Without a valid key one path is as unknown as another: what is served is told only to who may know it.

        Raises:
            Refused: 401 without a valid key, 403 without the right, 429 above the key's rate, 404 for a path that is
                not in the table, 405 for another method.
        """
        rule = self._rules.get(path) or self._below(path)
        if self._keys is not None and (rule is None or rule.scope is not None):
            self._require_key(self._keys, rule, authorization)
        if rule is None:
            raise Refused(problem_for_status(404))
        if method not in rule.methods:
            raise Refused(_other_method(rule))
        return rule

    def may(self, path: str, authorization: bytes | None) -> bool:
        """Whether a valid key with the right to `path` is given, or none is needed. It counts nowhere."""
        if self._keys is None:
            return True
        key = self._key(self._keys, authorization, self._clock())
        return key is not None and path in self._rules and self._rules[path].scope in key.scopes

    def keys_trouble(self) -> str | None:
        """Return why the file of keys cannot be used as it is now, so that the keys of before count; None if it can."""
        return None if self._keys is None else self._keys.trouble(self._clock())

    def _below(self, path: str) -> Rule | None:
        folder = path[: path.find("/", 1) + 1]
        return self._rules.get(folder) if len(folder) > 1 else None

    def _require_key(self, keys: ConfiguredKeys, rule: Rule | None, authorization: bytes | None) -> None:
        now = self._clock()
        key = self._key(keys, authorization, now)
        if key is None:
            raise Refused(problem_for_status(401, also={"www-authenticate": "Bearer"}))
        if rule is not None and rule.scope not in key.scopes:
            raise Refused(problem_for_status(403))
        self._count(key.id, key.requests_per_second, now)

    def _key(self, keys: ConfiguredKeys, authorization: bytes | None, now: float) -> AccessKey | None:
        """Return the key that is given, if it is one and has not expired."""
        key = None if authorization is None else keys.ring(now).find(authorization)
        return None if key is None or key.expires <= self._wall_clock() else key

    def _count(self, key_id: str, per_second: float, now: float) -> None:
        bucket = self._buckets.get(key_id)
        if bucket is None:
            if len(self._buckets) >= _MOST_BUCKETS:  # keys come and go over the years of a process
                self._buckets.clear()
            bucket = self._buckets[key_id] = TokenBucket(per_second, max(1.0, per_second), now)
        wait = bucket.take(now)
        if wait > 0.0:
            detail = f"This key allows {per_second:g} requests a second. Ask less often, or for a key that allows more."
            raise Refused(problem_for_status(429, detail, retry_after=max(1, int(wait + 0.999))))


def _other_method(rule: Rule) -> Problem:
    allowed = ", ".join(sorted(rule.methods))
    return problem_for_status(405, f"This path takes another method; expected {allowed}.", also={"allow": allowed})
