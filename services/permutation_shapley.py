"""Which parts of an input move a function, by leaving them out: Shapley values from seeded permutations.

The players of the game are the features of the table and the steps of the sequence. A feature that is left out takes
the value 0, which is the training period's mean where the encoding is scaled; a step that is left out is not in the
sequence. Permutations come in pairs, forwards and backwards. Each permutation's differences add up exactly to
f(everything) - f(nothing), and so does their mean; where f is additive the values are exact whatever the permutations.

Source: Castro, Gómez & Tejada 2009, "Polynomial calculation of the Shapley value based on sampling"; the pairs are
the antithetic sampling of Mitchell et al. 2022, "Sampling Permutations for Shapley Value Estimation".
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["shapley_values"]

Floats = NDArray[np.float64]
_MOST_ROWS = 1600
_MOST_PAIRS = 8


def shapley_values(value_of: Callable[[NDArray[np.bool_]], Floats], players: int, seed: int) -> tuple[float, Floats]:
    """Return f(nothing), and each player's share of f(everything) - f(nothing), shape (players,).

    Args:
        value_of: takes a table of who is in, bool of shape (m, players), and returns f of each row, shape (m,).
        players: how many there are.
        seed: of the permutations; the same seed gives the same values.
    """
    pairs = max(1, min(_MOST_PAIRS, _MOST_ROWS // (2 * (players + 1))))
    orders = _orders(players, pairs, np.random.default_rng(seed))
    place = np.argsort(orders, axis=1)  # when each player joins
    joined = place[:, None, :] < np.arange(players + 1)[None, :, None]
    values = value_of(joined.reshape(len(orders) * (players + 1), players)).reshape(len(orders), players + 1)
    gained = np.diff(values, axis=1)
    return float(values[:, 0].mean()), np.take_along_axis(gained, place, axis=1).mean(axis=0)


def _orders(players: int, pairs: int, rng: np.random.Generator) -> NDArray[np.int64]:
    forwards = np.stack([rng.permutation(players) for _ in range(pairs)])
    return np.concatenate([forwards, forwards[:, ::-1]])
