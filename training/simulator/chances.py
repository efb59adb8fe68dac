"""The exact probabilities of the simulated shop, from its parameters: of visits, of events, of silence.

A session is a Markov chain over types of events, a customer's days are one over states: whether something happens
within a horizon is a product of small matrices, and nothing here is estimated.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.simulator.parameters import TYPES, Parameters

__all__ = ["LONGEST", "Chances"]

LONGEST = 64
"""A session ends after so many events at the latest."""

_MOST = 0.95  # of a visit in one part of a day
_PURCHASE = TYPES.index("purchase")
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Chances:
    """Probabilities under `parameters` in a calendar with `seasons` (countries, days).

    Axes in this order: country, slot, class, state.
    """

    parameters: Parameters
    seasons: Floats

    def visits(self, day: int) -> Floats:
        """Return the probability of a visit in each part of a day; shape (countries, slots, classes, states)."""
        p = self.parameters
        rate = p.slots[:, None, None] * p.classes[:, None] * p.visit
        return np.minimum(_MOST, self.seasons[:, day, None, None, None] * rate)

    @cached_property
    def without_purchase(self) -> Floats:
        """State on the next day if today nothing was bought; shape (classes, states, states)."""
        p = self.parameters
        moves = np.repeat(p.states[None], len(p.classes), axis=0)
        upward = np.triu(np.ones_like(p.states, dtype=bool), 1)
        moves[:, upward] *= np.minimum(p.classes ** float(p.onset), _most_onset(p.states))[:, None]
        places = np.arange(len(p.states))
        moves[:, places, places] += 1 - moves.sum(-1)
        return moves

    @cached_property
    def start(self) -> Floats:
        """How the states are shared out in the long run, by class; shape (classes, states)."""
        bought = 1 - self._day_without({_PURCHASE}, self.visits_on_average)[0]
        moves = (1 - bought)[:, :, None] * self.without_purchase + bought[:, :, None] * self.parameters.after_purchase
        shares = np.full(bought.shape, 1 / bought.shape[1])
        for _ in range(2_000):
            shares = np.einsum("ks,kst->kt", shares, moves)
        return shares / shares.sum(-1, keepdims=True)

    @property
    def visits_on_average(self) -> Floats:
        """Visits on a day like all others; shape (1, slots, classes, states)."""
        p = self.parameters
        return np.minimum(_MOST, (p.slots[:, None, None] * p.classes[:, None] * p.visit)[None])

    def session_without(self, types: set[int]) -> Floats:
        """Probability that a session has none of `types`; shape (kinds,)."""
        rest = self.rest_without(types)
        allowed = self._allowed(types)
        return np.asarray((self.parameters.first * allowed * rest[:, 1]).sum(-1))

    def rest_without(self, types: set[int]) -> Floats:
        """Probability that none of `types` follows after the event at a position; shape (kinds, LONGEST + 1, types)."""
        follow, allowed = self.parameters.follow, self._allowed(types)
        rest = np.ones((len(follow), LONGEST + 1, len(TYPES)))
        for position in range(LONGEST - 1, 0, -1):
            goes_on = np.einsum("kij,kj->ki", follow[:, :, :-1] * allowed, rest[:, position + 1])
            rest[:, position] = follow[:, :, -1] + goes_on
        return rest

    def quiet(self, day: int, days: int, types: set[int]) -> Floats:
        """Probability that none of `types` happens from the beginning of `day` on for `days` days, by hidden state.

        Shape (countries, classes, states): of customers who are in that state on `day`.
        """
        quiet = np.ones((len(self.seasons), len(self.parameters.classes), len(self.parameters.visit)))
        for one in range(day + days - 1, day - 1, -1):
            visits = self.visits(one)
            neither = self._day_without(types | {_PURCHASE}, visits)
            bought = self._day_without(types, visits) - neither
            stays = np.einsum("kst,ckt->cks", self.without_purchase, quiet)
            leaves = np.einsum("t,ckt->ck", self.parameters.after_purchase, quiet)[:, :, None]
            quiet = neither * stays + bought * leaves
        return quiet

    def _day_without(self, types: set[int], visits: Floats) -> Floats:
        """Probability of a day without any of `types`; shape (countries, classes, states)."""
        session = self.parameters.kinds @ self.session_without(types)
        return np.asarray((1 - visits + visits * session).prod(axis=1))

    @staticmethod
    def _allowed(types: set[int]) -> Floats:
        return np.array([float(number not in types) for number in range(len(TYPES))])


def _most_onset(states: Floats) -> float:
    """The factor by which moves upward may grow before a row would sum to more than 1."""
    upward = np.triu(states, 1).sum(-1)
    room = 1 - np.tril(states, -1).sum(-1)
    return float(np.min(room[upward > 0] / upward[upward > 0]) * 0.95)
