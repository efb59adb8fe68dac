"""What the best possible observer knows of a customer's hidden class and state: exact filtering, event by event.

The observer knows the parameters, the calendar, and every event so far; of customers the age group and country.
"""

import numpy as np
from numpy.typing import NDArray

from training.simulator.chances import Chances

__all__ = ["Belief"]

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


class Belief:
    """Probability of every hidden class and state of n customers, given what was seen of them.

    `weight` has shape (n, classes, states) and sums to 1 for each customer.
    """

    def __init__(self, chances: Chances, age: Whole, country: Whole) -> None:
        self._chances = chances
        self._country = country
        self.weight = chances.parameters.class_shares[age][:, :, None] * chances.start

    def look(self, visits: Floats, slot: int, came: Whole) -> None:
        """Take into account who came in a part of a day; `visits` are the chances of the day, `came` places."""
        absent = 1 - visits[:, slot]
        seen = visits[:, slot] / absent
        self.weight *= absent[self._country]
        self.weight[came] *= seen[self._country[came]]

    def kinds(self, came: Whole) -> Floats:
        """Return the weight of each kind of session for the customers at `came`, before anything of it is seen."""
        return np.asarray(self.weight[came].sum(axis=1) @ self._chances.parameters.kinds)

    def learn(self, came: Whole, likelihood: Floats) -> None:
        """Take whole sessions of different customers into account; `likelihood` under each kind, shape (m, kinds)."""
        self.weight[came] *= (likelihood @ self._chances.parameters.kinds.T)[:, None, :]

    def sleep(self, bought: NDArray[np.bool_]) -> None:
        """Go on to the next day; `bought` says who bought today."""
        moved = np.einsum("nks,kst->nkt", self.weight, self._chances.without_purchase)
        after = self.weight[bought].sum(-1)[:, :, None] * self._chances.parameters.after_purchase
        moved[bought] = after
        self.weight = moved / moved.sum(axis=(1, 2))[:, None, None]

    def chance(self, quiet: Floats) -> Floats:
        """Return how probable it is that something happens, shape (n,); `quiet` is what `Chances.quiet` returns."""
        return np.asarray(1 - np.einsum("nks,nks->n", self.weight, quiet[self._country]))
