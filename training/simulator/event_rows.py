"""From sessions to rows of a log: when, about which item, at which price. None of it tells more about what is hidden.

What a session's kind shows in is its types of events and its moves between categories. Moments, items and prices
depend on the customer's tastes and budget and on chance alone, so the best possible observer need not look at them.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feature_repo.events import TIMESTAMP
from training.simulator.catalogue import BANDS, CURRENCY, Catalogue
from training.simulator.customers import Customers
from training.simulator.days import Day
from training.simulator.parameters import SLOTS, TYPES, Parameters

__all__ = ["Rows", "event_rows"]

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
SECOND_US = 1_000_000
DAY_S = 86_400
_START_S = 12_600  # a session begins in the first three and a half hours of a part of the day,
_LENGTH_S = 7_000  # and is over within so much time: until the next part the shop hears nothing for half an hour
_PAUSE_S = 1_500
_VIEW, _SEARCH, _FAVOURITE, _CART, _PURCHASE = range(len(TYPES))


@dataclass(frozen=True, eq=False)
class Rows:
    """Events of some customers, ordered by customer, then time; all arrays have one value an event.

    `session` numbers the sessions of these customers from 0; `first` is where each begins among the events.
    """

    customer: Whole
    session: Whole
    kind: Whole
    second: Whole
    item: Whole
    category: Whole
    pieces: Whole
    first: Whole

    def table(self, customers: Customers, catalogue: Catalogue, begin_us: int, prefix: str) -> pa.Table:
        """Return the rows in canonical columns, by time; `prefix` goes before the sessions' numbers."""
        order = np.argsort(self.second, kind="stable")
        customer, kind, item = self.customer[order], self.kind[order], self.item[order]
        bought, known = kind == _PURCHASE, kind != _SEARCH
        pieces = self.pieces[order].astype(np.float64)
        session = pa.array(self.session[order]).cast(pa.string())
        return pa.table(
            {
                "user_id": _words(customer, customers.names),
                "event_timestamp": pa.array(begin_us + self.second[order] * SECOND_US).cast(TIMESTAMP),
                "event_type": _words(kind, list(TYPES)),
                "item_id": _words(item, catalogue.ids, known),
                "session_id": pc.binary_join_element_wise(prefix, session, ""),
                "category": _words(self.category[order], catalogue.names),
                "quantity": pa.array(pieces, mask=~bought),
                "revenue": pa.array((catalogue.price[item] * pieces).round(2), mask=~bought),
                "cost": pa.array((catalogue.cost[item] * pieces).round(2), mask=~bought),
                "currency": _words(np.zeros(len(kind), np.int64), [CURRENCY], bought),
                "list_price": pa.array(catalogue.price[item], mask=~known),
            }
        )


def event_rows(
    parameters: Parameters, customers: Customers, catalogue: Catalogue, days: list[Day], random: np.random.Generator
) -> Rows:
    """Put the sessions of `days` into rows."""
    sizes = [len(day.visitor) for day in days]
    nothing = np.empty(0, np.int64)
    visitor = np.concatenate([nothing, *(day.visitor for day in days)])
    slot = np.concatenate([nothing, *(day.slot for day in days)])
    number = np.repeat(np.arange(len(days)), sizes)
    before = np.cumsum([0, *sizes[:-1]])
    session = np.concatenate([nothing, *(day.sessions.session + k for day, k in zip(days, before, strict=True))])
    order = np.argsort(session, kind="stable")  # positions rise already
    session = session[order]
    kind = np.concatenate([nothing, *(day.sessions.kind for day in days)])[order]
    moved = np.concatenate([nothing.astype(np.bool_), *(day.sessions.moved for day in days)])[order]
    first = np.flatnonzero(np.diff(session, prepend=-1))
    begins = number * DAY_S + np.array(SLOTS)[slot] * 3600 + random.integers(0, _START_S, len(visitor))
    second = begins[session] + _elapsed(parameters, session, first, random)
    category = _categories(parameters, customers, visitor, session, first, moved, random)
    items = _items(parameters, customers, catalogue, visitor[session], category, random)
    item = items[_looked_at(kind, session, first)]
    pieces = 1 + random.choice(len(parameters.pieces), len(kind), p=parameters.pieces)
    category = np.where(kind == _SEARCH, category, catalogue.category[item])
    return Rows(visitor[session], session, kind, second, item, category, pieces, first)


def _elapsed(parameters: Parameters, session: Whole, first: Whole, random: np.random.Generator) -> Whole:
    """Whole seconds since the session began: pauses of two log-normal parts, shrunk where it would last too long."""
    share, mean, deviation = parameters.pause.T
    part = (random.random(len(session)) >= share[0]).astype(np.int64)
    pause = np.exp(mean[part] + deviation[part] * random.standard_normal(len(session)))
    pause = np.clip(pause, 1, _PAUSE_S).astype(np.int64)
    pause[first] = 0
    elapsed = _running(pause, session, first)
    length = np.maximum.reduceat(elapsed, first) if len(first) else elapsed
    place = np.arange(len(session)) - first[session]
    long = length[session] > _LENGTH_S
    shrunk = place + (elapsed - place) * (_LENGTH_S - 64) // np.maximum(length[session], 1)
    return np.where(long, shrunk, elapsed)


def _running(values: Whole, session: Whole, first: Whole) -> Whole:
    """Sums from the beginning of each session on."""
    total = values.cumsum()
    return np.asarray(total - (total[first] - values[first])[session])


def _categories(
    parameters: Parameters,
    customers: Customers,
    visitor: Whole,
    session: Whole,
    first: Whole,
    moved: NDArray[np.bool_],
    random: np.random.Generator,
) -> Whole:
    """A session begins in one of the customer's tastes, and moves on to any other of them."""
    tastes = len(parameters.tastes)
    begin = np.searchsorted(parameters.tastes.cumsum()[:-1], random.random(len(visitor)), side="right")
    steps = np.where(moved, random.integers(1, tastes, len(session)), 0)
    steps[first] = begin[session[first]] if len(first) else steps[first]
    return customers.tastes[visitor[session], _running(steps, session, first) % tastes]


def _items(
    parameters: Parameters,
    customers: Customers,
    catalogue: Catalogue,
    visitor: Whole,
    category: Whole,
    random: np.random.Generator,
) -> Whole:
    """An item of the category, mostly from the customer's price band."""
    chance = random.random((2, len(visitor)))
    keeps = chance[0] < parameters.budgets[3]
    band = np.where(keeps, customers.budget[visitor], (chance[0] * 997 * BANDS).astype(np.int64) % BANDS)
    return catalogue.choose(category, band, chance[1])


def _looked_at(kind: Whole, session: Whole, first: Whole) -> Whole:
    """Return for each event the one whose item it is about.

    What is liked or carted was viewed last in the session; what is bought was carted last, or else viewed last.
    """
    place = np.arange(len(kind))
    viewed = np.maximum.accumulate(np.where(kind == _VIEW, place, -1)) if len(kind) else place
    begin = first[session] if len(kind) else place
    viewed = np.where(viewed >= begin, viewed, place)
    about = np.where((kind == _FAVOURITE) | (kind == _CART), viewed, place)
    carted = np.maximum.accumulate(np.where(kind == _CART, place, -1)) if len(kind) else place
    bought = np.where(carted >= begin, about[np.maximum(carted, 0)], viewed)
    return np.where(kind == _PURCHASE, bought, about)


def _words(place: Whole, words: list[str], known: NDArray[np.bool_] | None = None) -> pa.Array:
    mask = None if known is None else ~known
    return pa.DictionaryArray.from_arrays(pa.array(place.astype(np.int32), mask=mask), pa.array(words, pa.string()))
