"""The days of some customers, one after the other: who comes, what they do, and what could be known of them.

What happens is drawn from the hidden states alone; the belief only looks on.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulator.belief import Belief
from training.simulator.chances import Chances
from training.simulator.customers import Customers
from training.simulator.parameters import SLOTS
from training.simulator.sessions import Prefix, Sessions, draw_sessions

__all__ = ["Asked", "Day", "live"]

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Asked:
    """What an observer is asked for: beliefs at the beginning of `days`, and in sessions after `prefixes` events.

    `session_rest` is the probability that what is asked about does not follow in a session any more
    (`Chances.rest_without`); `quiet` gives for each of `days` what `Chances.quiet` returns.
    """

    quiet: dict[int, Floats]
    prefixes: tuple[int, ...] = ()
    session_rest: Floats | None = None

    @property
    def anything(self) -> bool:
        """Whether an observer is needed at all."""
        return bool(self.quiet or self.prefixes)


@dataclass(frozen=True, eq=False)
class PrefixChance:
    """Of sessions of a day that have a k-th event: their places in the day, and the two probabilities."""

    position: int
    session: Whole
    best: Floats
    hidden: Floats


@dataclass(frozen=True, eq=False)
class Day:
    """A day: `visitor` (place of the customer) and `slot` of each session, the sessions, what was asked for.

    `best` is the probability for each customer given all that was seen before the day, `hidden` the one given the
    hidden state as well; both None where nothing was asked.
    """

    number: int
    visitor: Whole
    slot: Whole
    sessions: Sessions
    best: Floats | None
    hidden: Floats | None
    prefixes: tuple[PrefixChance, ...]


def live(chances: Chances, customers: Customers, asked: Asked, days: int, random: np.random.Generator) -> Iterator[Day]:
    """Yield `days` days of the customers."""
    n, parameters = len(customers.number), chances.parameters
    limits = chances.start.cumsum(-1)[:, :-1]
    state = (random.random(n)[:, None] >= limits[customers.level]).sum(-1)
    belief = Belief(chances, customers.age, customers.country) if asked.anything else None
    moves = chances.without_purchase.cumsum(-1)[:, :, :-1]
    after = parameters.after_purchase.cumsum()[:-1]
    mixes = parameters.kinds.cumsum(-1)[:, :-1]
    for day in range(days):
        quiet, best, hidden = asked.quiet.get(day), None, None
        if belief is not None and quiet is not None:
            best, hidden = belief.chance(quiet), 1 - quiet[customers.country, customers.level, state]
        visits = chances.visits(day)
        chance = visits[customers.country, :, customers.level, state]
        slot, visitor = np.nonzero((random.random((n, len(SLOTS))) < chance).T)
        kind = (random.random(len(visitor))[:, None] >= mixes[state[visitor]]).sum(-1)
        sessions = draw_sessions(parameters, kind, random, asked.prefixes)
        bought = np.zeros(n, np.bool_)
        bought[visitor[sessions.bought]] = True
        found: tuple[PrefixChance, ...] = ()
        if belief is not None:
            found = _watch(belief, visits, visitor, slot, sessions, kind, asked)
            belief.sleep(bought)
        yield Day(day, visitor, slot, sessions, best, hidden, found)
        threshold = moves[customers.level, state]
        threshold[bought] = after
        state = (random.random(n)[:, None] >= threshold).sum(-1)


def _watch(
    belief: Belief, visits: Floats, visitor: Whole, slot: Whole, sessions: Sessions, kind: Whole, asked: Asked
) -> tuple[PrefixChance, ...]:
    """Take a day into account, part by part, and say what could be known inside of its sessions."""
    weights = np.empty(sessions.likelihood.shape)
    for part in range(len(SLOTS)):
        here = np.flatnonzero(slot == part)
        belief.look(visits, part, visitor[here])
        weights[here] = belief.kinds(visitor[here])
        belief.learn(visitor[here], sessions.likelihood[here])
    return tuple(_prefix(prefix, weights, kind, asked) for prefix in sessions.prefixes)


def _prefix(prefix: Prefix, weights: Floats, kind: Whole, asked: Asked) -> PrefixChance:
    if asked.session_rest is None:
        raise ValueError("Prefixes without `session_rest`; expected both or neither.")
    weight = weights[prefix.session] * prefix.likelihood
    follows = 1 - asked.session_rest[:, prefix.position, prefix.last]
    best = (weight * follows.T).sum(-1) / weight.sum(-1)
    hidden = follows[kind[prefix.session], np.arange(len(prefix.session))]
    return PrefixChance(prefix.position, prefix.session, best, hidden)
