"""Sessions, drawn all at once and event by event: types, changes of category, and how likely each kind would be."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulator.chances import LONGEST
from training.simulator.parameters import TYPES, Parameters

__all__ = ["Prefix", "Sessions", "draw_sessions"]

END = len(TYPES)
_LOOKS = np.array([name in ("view", "search") for name in TYPES])
_PURCHASE = TYPES.index("purchase")
Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Prefix:
    """What is known of sessions after their k-th event: which sessions, how likely so far, the last type."""

    position: int
    session: Whole
    likelihood: Floats
    last: Whole


@dataclass(frozen=True, eq=False)
class Sessions:
    """n sessions and their events, in the order of positions.

    Attributes:
        session: of each event, int64.
        position: of each event in its session, from 1.
        kind: place in `TYPES` of each event.
        moved: whether a view or search is in another category than the one before it.
        likelihood: of each session under each kind, shape (n, kinds).
        bought: whether the session has a purchase, shape (n,).
        prefixes: at the positions that were asked for.
    """

    session: Whole
    position: Whole
    kind: Whole
    moved: NDArray[np.bool_]
    likelihood: Floats
    bought: NDArray[np.bool_]
    prefixes: tuple[Prefix, ...]


def draw_sessions(
    parameters: Parameters, kind: Whole, random: np.random.Generator, asked: tuple[int, ...] = ()
) -> Sessions:
    """Draw a session of each of the given kinds; `asked` are positions to remember the likelihood at.

    What is drawn does not depend on `asked`.
    """
    n = len(kind)
    likelihood = np.ones((n, len(parameters.first)))
    bought = np.zeros(n, np.bool_)
    steps: list[tuple[Whole, Whole, NDArray[np.bool_]]] = []
    prefixes: list[Prefix] = []
    table = np.concatenate([np.pad(parameters.first, ((0, 0), (0, 1)))[:, None], parameters.follow], axis=1)
    limits = table.cumsum(-1)[:, :, :-1]
    alive, last = np.arange(n), np.full(n, -1)
    for position in range(1, LONGEST + 1):
        drawn = random.random((2, len(alive)))
        following = (drawn[0][:, None] >= limits[kind[alive], last + 1]).sum(-1)
        likelihood[alive] *= table[:, last + 1, following].T
        goes_on = following != END
        alive, following, chance = alive[goes_on], following[goes_on], drawn[1][goes_on]
        if not len(alive):
            break
        moved = _moves(parameters, kind[alive], following, chance, position)
        if position > 1:
            _weigh_moves(parameters, likelihood, alive, following, moved)
        bought[alive[following == _PURCHASE]] = True
        steps.append((alive, following, moved))
        last = following
        if position in asked:
            prefixes.append(Prefix(position, alive, likelihood[alive], following))
    return _joined(steps, likelihood, bought, tuple(prefixes))


def _joined(
    steps: list[tuple[Whole, Whole, NDArray[np.bool_]]],
    likelihood: Floats,
    bought: NDArray[np.bool_],
    prefixes: tuple[Prefix, ...],
) -> Sessions:
    nothing = np.empty(0, np.int64)
    session = np.concatenate([nothing, *(step[0] for step in steps)])
    position = np.repeat(np.arange(1, len(steps) + 1), [len(step[0]) for step in steps])
    kind = np.concatenate([nothing, *(step[1] for step in steps)])
    moved = np.concatenate([nothing.astype(np.bool_), *(step[2] for step in steps)])
    return Sessions(session, position, kind, moved, likelihood, bought, prefixes)


def _moves(parameters: Parameters, kind: Whole, following: Whole, chance: Floats, position: int) -> NDArray[np.bool_]:
    """Whether an event leaves the category: only what looks at goods can, and the first event has none to leave."""
    if position == 1:
        return np.zeros(len(kind), np.bool_)
    return _LOOKS[following] & (chance >= parameters.stay[kind])


def _weigh_moves(
    parameters: Parameters, likelihood: Floats, alive: Whole, following: Whole, moved: NDArray[np.bool_]
) -> None:
    looks = _LOOKS[following]
    chance = np.where(moved[looks, None], 1 - parameters.stay, parameters.stay)
    likelihood[alive[looks]] *= chance
