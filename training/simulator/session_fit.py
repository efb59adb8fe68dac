"""Kinds of sessions from Taobao's: two Markov chains by expectation-maximisation, then three by tilting them.

The data tell short sessions from long ones, but not which customers had made up their mind; that part is chosen: who
only looks carts and buys less than the average session, who decides does so more, by factors that the overall mix of
types and the share of sessions with a purchase then fix.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulator.parameters import TYPES
from training.simulator.shapes import SESSION_S, ShapeLog

__all__ = ["Tilt", "kinds_of_session", "two_chains"]

Floats = NDArray[np.float64]
START = len(TYPES)  # as a row; as a column it is the end
_ROUNDS = 200
_VIEW, _SEARCH, _FAVOURITE, _CART, _PURCHASE = range(len(TYPES))


@dataclass(frozen=True)
class Tilt:
    """Factors: how much less who only looks buys and carts, how much more who decides does; searches of both."""

    looking_buys: float = 0.12
    looking_carts: float = 0.5
    deciding_buys: float = 3.5
    deciding_carts: float = 3.0
    looking_searches: float = 0.04
    deciding_searches: float = 0.12


def two_chains(log: ShapeLog) -> Floats:
    """Return the transitions of short and of long sessions; shape (2, types + 1, types + 1), rows sum to 1."""
    counts = _transitions(log)
    carts = counts[:, :, _CART].sum(1) + counts[:, :, _PURCHASE].sum(1)
    share = np.full((len(counts), 2), 0.05)
    share[np.arange(len(counts)), (carts > 0).astype(np.int64)] += 0.9
    chains = np.empty((2, START + 1, START + 1))
    for _ in range(_ROUNDS):
        chains = np.einsum("nk,nij->kij", share, counts) + 0.5
        chains[:, START, START] = 0
        chains /= chains.sum(-1, keepdims=True)
        fit = np.log(share.mean(0)) + np.einsum("nij,kij->nk", counts, np.log(np.maximum(chains, 1e-12)))
        share = np.exp(fit - fit.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
    lengths = counts[:, :, :START].sum((1, 2))
    order = np.argsort((share * lengths[:, None]).sum(0) / share.sum(0))
    return np.asarray(chains[order])


def kinds_of_session(chains: Floats, tilt: Tilt) -> tuple[Floats, Floats]:
    """Return `first` and `follow` of the three kinds, from the two chains."""
    looking = [_tilted(chain, tilt.looking_buys, tilt.looking_carts, tilt.looking_searches) for chain in chains]
    mean = chains.mean(0)
    deciding = _tilted(mean, tilt.deciding_buys, tilt.deciding_carts, tilt.deciding_searches)
    tables = np.stack([*looking, deciding])
    first = tables[:, START, :START]
    return first / first.sum(-1, keepdims=True), tables[:, :START]


def _transitions(log: ShapeLog) -> Floats:
    """How often each type follows each other in every session; shape (sessions, types + 1, types + 1)."""
    order = np.lexsort((log.item, log.second, log.customer))
    customer, second, kind = log.customer[order], log.second[order], log.kind[order]
    begins = np.ones(len(kind), np.bool_)
    begins[1:] = (np.diff(customer) != 0) | (np.diff(second) >= SESSION_S)
    session = begins.cumsum() - 1
    counts = np.zeros((session[-1] + 1, START + 1, START + 1))
    before = np.where(begins, START, np.concatenate([[START], kind[:-1]]))
    np.add.at(counts, (session, before, kind), 1)
    ends = np.concatenate([begins[1:], [True]])
    np.add.at(counts, (session[ends], kind[ends], START), 1)
    return counts


def _tilted(chain: Floats, buys: float, carts: float, searches: float) -> Floats:
    table = chain.copy()
    table[_SEARCH] = chain[_VIEW]  # no real set has searches: what follows one is what follows a view
    table[:, _SEARCH] = table[:, _VIEW] * searches
    table[:, _VIEW] *= 1 - searches
    table[_SEARCH, _VIEW] += table[_SEARCH, START] * 0.7
    table[_SEARCH, START] *= 0.3
    table[:, _PURCHASE] *= buys
    table[:, _CART] *= carts
    return np.asarray(table / table.sum(-1, keepdims=True))
