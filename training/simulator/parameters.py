"""The simulator's parameters: what was fitted to real data sets, and what no data set says and was chosen.

They lie in `parameters.json`, numbers only. Version and hash go into the manifest of every simulation, so that figures
tell which shop they are about; a change of a number is another version.
"""

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import InputError

__all__ = ["AGE_GROUPS", "COUNTRIES", "KINDS", "SLOTS", "STATES", "TYPES", "Parameters", "load_parameters"]

TYPES = ("view", "search", "favourite", "add_to_cart", "purchase")
"""The types of events in a session, in the order of every table below; after them comes the end of the session."""

KINDS = ("glance", "browse", "decide")
"""What a session is like; hidden."""

STATES = ("away", "browsing", "deciding")
"""What a customer is about on a day; hidden."""

SLOTS = (6, 12, 18)
"""The hours at which the parts of a day begin; a customer comes at most once in each."""

AGE_GROUPS = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+", None)
"""None: the shop does not know."""

COUNTRIES = ("DE", "FR", "AU", "NZ")

Floats = NDArray[np.float64]
_FILE = Path(__file__).with_name("parameters.json")


@dataclass(frozen=True, eq=False)
class Parameters:
    """The numbers of one version, float64 arrays; the last axis of every table of probabilities sums to 1.

    Attributes:
        version: of the file.
        digest: SHA-256 of the numbers.
        first: of each kind of session, how it begins; shape (kinds, types).
        follow: what follows each type, the end of the session last; shape (kinds, types, types + 1).
        stay: how probably the next view or search is in the same category; shape (kinds,).
        kinds: the kinds of the sessions of a customer in each state; shape (states, kinds).
        visit: expected visits a day in each state, before class and season; shape (states,).
        slots: which share of them falls into each part of the day; shape (slots,).
        states: from one day to the next without a purchase, for the class with factor 1; shape (states, states).
        after_purchase: the state on the day after a purchase; shape (states,).
        classes: how often each class of customers comes, as a factor; shape (classes,).
        onset: exponent with which that factor also speeds up becoming interested.
        class_shares: classes of each age group; shape (age groups, classes).
        age_shares: shape (age groups,).
        country_shares: shape (countries,).
        weekdays: factors of visits from Monday on; shape (7,).
        summer: how far visits swing over the year, and the day of the year at which they are highest, by country;
            shape (countries, 2).
        promotion: every how many days more come, for how many days, by which factor; shape (3,).
        pause: seconds between a session's events: share, mean and deviation of the logarithm of each part; (2, 3).
        popularity: exponent and shift of an item's weight by its rank; shape (2,).
        price: mean and deviation of the logarithm of prices, and the part of it between categories; shape (3,).
        margin: quantiles of (price - cost) / price at even steps; shape (21,).
        tastes: of each of a customer's categories, how probably a session begins there; shape (tastes,).
        budgets: shares of customers who buy cheap, ordinary and dear, and how much they keep to it; shape (4,).
        pieces: shares of purchases of one, two and three pieces; shape (3,).
        reviews: share of purchases that are reviewed, and days until then at most; shape (2,).
    """

    version: int
    digest: str
    first: Floats
    follow: Floats
    stay: Floats
    kinds: Floats
    visit: Floats
    slots: Floats
    states: Floats
    after_purchase: Floats
    classes: Floats
    onset: Floats
    class_shares: Floats
    age_shares: Floats
    country_shares: Floats
    weekdays: Floats
    summer: Floats
    promotion: Floats
    pause: Floats
    popularity: Floats
    price: Floats
    margin: Floats
    tastes: Floats
    budgets: Floats
    pieces: Floats
    reviews: Floats

    @classmethod
    def of_json(cls, told: dict[str, Any]) -> "Parameters":
        """Return the parameters of a file's content: `version`, and the numbers below `fitted` and `chosen`.

        Raises:
            InputError: a number is missing, unknown or not finite, or a share is not one.
        """
        numbers = {**told.get("fitted", {}), **told.get("chosen", {})}
        wanted = {field.name for field in fields(cls)} - {"version", "digest"}
        if set(numbers) != wanted:
            raise InputError(
                f"The simulator's parameters have {sorted(set(numbers) ^ wanted)} missing or too many; expected "
                f"{', '.join(sorted(wanted))}. Take the file of the package."
            )
        text = json.dumps(numbers, sort_keys=True)
        arrays = {name: np.array(value, np.float64) for name, value in numbers.items()}
        found = cls(int(told["version"]), hashlib.sha256(text.encode()).hexdigest(), **arrays)
        found._check()
        return found

    def _check(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray) and not np.isfinite(value).all():
                raise InputError(f"The simulator's parameter {field.name!r} is not finite; expected numbers.")
        for name in _SHARES:
            table = getattr(self, name)
            if (table < 0).any() or not np.allclose(table.sum(-1), 1, atol=1e-6):
                raise InputError(
                    f"The simulator's parameter {name!r} holds {table.tolist()}; expected probabilities that sum to 1 "
                    "along the last axis. Take the file of the package."
                )


_SHARES = (
    "first", "follow", "kinds", "slots", "states", "after_purchase", "class_shares", "age_shares", "country_shares",
    "tastes", "pieces",
)  # fmt: skip


def load_parameters(path: Path | None = None) -> Parameters:
    """Return the parameters of the package, or of the file `path`.

    Raises:
        InputError: the file does not hold parameters.
    """
    return Parameters.of_json(json.loads((path or _FILE).read_text(encoding="utf-8")))
