"""The exact probabilities against what happens, and the observer against the sum over every hidden path."""

from datetime import date
from itertools import product

import numpy as np
import pytest

from training.simulator.block import block_of, catalogue_of
from training.simulator.chances import LONGEST, Chances
from training.simulator.days import Asked
from training.simulator.parameters import SLOTS, TYPES, load_parameters
from training.simulator.seasons import season_factors
from training.simulator.sessions import draw_sessions

PURCHASE, CART = TYPES.index("purchase"), TYPES.index("add_to_cart")
EVERYTHING = set(range(len(TYPES)))
PARAMETERS = load_parameters()
DAYS = 28
CHANCES = Chances(PARAMETERS, season_factors(PARAMETERS, date(2024, 1, 1), DAYS))


def near(found, expected, n):
    """Within four standard errors of a share of n."""
    return np.abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / n) + 1e-9


@pytest.mark.parametrize("types", [{PURCHASE}, {CART}, {PURCHASE, CART}])
def test_sessions_have_an_event_as_often_as_they_should(types):
    n = 40_000
    for kind in range(len(PARAMETERS.first)):
        drawn = draw_sessions(PARAMETERS, np.full(n, kind), np.random.default_rng(kind))
        has = np.zeros(n, bool)
        has[drawn.session[np.isin(drawn.kind, list(types))]] = True
        assert near(1 - has.mean(), CHANCES.session_without(types)[kind], n)


def test_a_session_without_everything_has_no_events():
    assert CHANCES.session_without(EVERYTHING) == pytest.approx(0)
    assert (CHANCES.rest_without({PURCHASE})[:, LONGEST] == 1).all()


def test_a_session_is_as_likely_as_its_steps():
    drawn = draw_sessions(PARAMETERS, np.array([0, 1, 2, 2]), np.random.default_rng(3))
    for session in range(4):
        chosen = drawn.session == session
        kinds, moved = drawn.kind[chosen], drawn.moved[chosen]
        for kind in range(len(PARAMETERS.first)):
            likely = PARAMETERS.first[kind, kinds[0]]
            for before, after, left in zip(kinds[:-1], kinds[1:], moved[1:], strict=True):
                likely *= PARAMETERS.follow[kind, before, after]
                if TYPES[after] in ("view", "search"):
                    likely *= 1 - PARAMETERS.stay[kind] if left else PARAMETERS.stay[kind]
            if len(kinds) < LONGEST:
                likely *= PARAMETERS.follow[kind, kinds[-1], -1]
            assert drawn.likelihood[session, kind] == pytest.approx(likely, rel=1e-9)


@pytest.fixture(scope="module")
def lived():
    quiet = {
        name: {14: CHANCES.quiet(14, 7, types)}
        for name, types in (("bought", {PURCHASE}), ("carted", {CART}), ("came", EVERYTHING))
    }
    catalogue = catalogue_of(PARAMETERS, 5, 500)
    return {
        name: block_of(CHANCES, catalogue, Asked(asked), 5, 0, 4_096, DAYS) for name, asked in quiet.items()
    }, catalogue


@pytest.mark.parametrize(("name", "types"), [("bought", {PURCHASE}), ("carted", {CART}), ("came", EVERYTHING)])
def test_told_probabilities_are_calibrated(lived, name, types):
    """Among customers with about the same probability, that share has the event within the horizon."""
    block = lived[0][name]
    rows, day = block.rows, block.days[14]
    inside = np.isin(rows.kind, list(types)) & (rows.second >= 14 * 86_400) & (rows.second < 21 * 86_400)
    label = np.zeros(4_096)
    label[rows.customer[inside]] = 1
    for told in (day.best, day.hidden):
        for places in np.array_split(np.argsort(told), 8):
            assert near(label[places].mean(), told[places].mean(), len(places))
    # What the observer says is the mean of what the shop knows, and of what happens.
    loss = [np.mean(-np.log(np.where(label == 1, told, 1 - told))) for told in (day.hidden, day.best)]
    assert loss[0] < loss[1] < -np.log(label.mean()) * label.mean() - np.log(1 - label.mean()) * (1 - label.mean())


def test_what_is_asked_changes_nothing_that_happens(lived):
    rows = [block.rows for block in lived[0].values()]
    unasked = block_of(CHANCES, lived[1], Asked({}), 5, 0, 4_096, DAYS).rows
    for name in ("customer", "kind", "second", "item", "category", "pieces"):
        for one in rows:
            assert (getattr(one, name) == getattr(unasked, name)).all()


def test_the_observer_sums_over_every_hidden_path(lived):
    """Bayes by enumeration: each class and each path of states over three days, for the first customers."""
    days = 3
    quiet = CHANCES.quiet(days, 7, {PURCHASE})
    block = block_of(CHANCES, lived[1], Asked({days: quiet}), 6, 0, 60, days + 1)
    classes, states = CHANCES.start.shape
    for customer in range(60):
        age, country = block.customers.age[customer], block.customers.country[customer]
        total = weighted = 0.0
        for level, path in product(range(classes), product(range(states), repeat=days + 1)):
            weight = PARAMETERS.class_shares[age, level] * CHANCES.start[level, path[0]]
            for day in range(days):
                weight *= _day(block.days[day], customer, country, level, path[day], CHANCES.visits(day))
                bought = _bought(block.days[day], customer)
                moves = PARAMETERS.after_purchase if bought else CHANCES.without_purchase[level, path[day]]
                weight *= moves[path[day + 1]]
            total += weight
            weighted += weight * (1 - quiet[country, level, path[-1]])
        assert block.days[days].best[customer] == pytest.approx(weighted / total, rel=1e-9)


def _day(day, customer, country, level, state, visits):
    likely = 1.0
    for slot in range(len(SLOTS)):
        chance = visits[country, slot, level, state]
        mine = np.flatnonzero((day.visitor == customer) & (day.slot == slot))
        likely *= chance * PARAMETERS.kinds[state] @ day.sessions.likelihood[mine[0]] if len(mine) else 1 - chance
    return likely


def _bought(day, customer):
    return day.sessions.bought[day.visitor == customer].any()


def test_inside_of_sessions_too_probabilities_are_calibrated():
    rest = CHANCES.rest_without({PURCHASE})
    asked = Asked({}, (1, 3, 10), rest)
    block = block_of(CHANCES, catalogue_of(PARAMETERS, 8, 500), asked, 8, 0, 2_000, DAYS)
    told, hidden, label, before = [], [], [], 0
    rows = block.rows
    last = np.full(len(rows.first), -1)
    bought = np.flatnonzero(rows.kind == PURCHASE)
    last[rows.session[bought]] = bought
    for day in block.days:
        for found in day.prefixes:
            session = before + found.session
            told.append(found.best)
            hidden.append(found.hidden)
            label.append(last[session] >= rows.first[session] + found.position)
        before += len(day.visitor)
    told, hidden, label = (np.concatenate(parts) for parts in (told, hidden, label))
    assert len(label) > 20_000
    for values in (told, hidden):
        for places in np.array_split(np.argsort(values), 6):
            # Prefixes of one session share their label: the width of the band is that of a third of them.
            assert near(label[places].mean(), values[places].mean(), len(places) / 3)
