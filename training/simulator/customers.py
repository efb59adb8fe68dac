"""Customers of the simulated shop: what the shop knows of them, and what it does not."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from training.simulator.parameters import AGE_GROUPS, COUNTRIES, Parameters

__all__ = ["Customers", "draw_customers"]

Whole = NDArray[np.int64]
_GENDERS = np.array(["female", "male", None], object)
_GENDER_SHARES = (0.52, 0.44, 0.04)


@dataclass(frozen=True, eq=False)
class Customers:
    """n customers; `age`, `country` and `gender` are known to the shop, the rest is hidden.

    `tastes` are places of categories, the favourite first, shape (n, tastes). `budget` is 0, 1 or 2, cheap to dear.
    """

    number: Whole
    age: Whole
    country: Whole
    gender: Whole
    level: Whole
    budget: Whole
    tastes: Whole

    @property
    def names(self) -> list[str]:
        """Their `user_id`."""
        return [f"c{number:07d}" for number in self.number.tolist()]

    def table(self) -> pa.Table:
        """Return what the shop knows: `user_id`, `age_group`, `gender`, `country`."""
        return pa.table(
            {
                "user_id": self.names,
                "age_group": pa.array(np.array(AGE_GROUPS, object)[self.age], pa.string()),
                "gender": pa.array(_GENDERS[self.gender], pa.string()),
                "country": pa.array(np.array(COUNTRIES, object)[self.country], pa.string()),
            }
        )


def draw_customers(
    parameters: Parameters, first: int, count: int, categories: NDArray[np.float64], random: np.random.Generator
) -> Customers:
    """Draw the customers `first` to `first + count`; `categories` are how popular each category is."""
    age = random.choice(len(AGE_GROUPS), count, p=parameters.age_shares)
    limits = parameters.class_shares.cumsum(-1)[:, :-1]
    level = (random.random(count)[:, None] >= limits[age]).sum(-1)
    country = random.choice(len(COUNTRIES), count, p=parameters.country_shares)
    gender = random.choice(len(_GENDERS), count, p=_GENDER_SHARES)
    budget = random.choice(3, count, p=parameters.budgets[:3])
    # Different categories, popular ones first and more often: the largest of weights raised by random exponents.
    keys = random.exponential(size=(count, len(categories))) / categories
    tastes = np.argsort(keys, axis=1)[:, : len(parameters.tastes)]
    return Customers(np.arange(first, first + count), age, country, gender, level, budget, tastes)
