"""How much the calendar moves visits: weekday, time of the year by country, promotions. All of it can be observed."""

from datetime import date

import numpy as np
from numpy.typing import NDArray

from training.simulator.parameters import Parameters

__all__ = ["season_factors"]


def season_factors(parameters: Parameters, first: date, days: int) -> NDArray[np.float64]:
    """Return the factor of visits by country and day; shape (countries, days), around 1."""
    number = np.arange(days)
    weekday = parameters.weekdays[(first.weekday() + number) % 7]
    of_year = first.timetuple().tm_yday - 1 + number
    swing, highest = parameters.summer[:, :1], parameters.summer[:, 1:]
    year = 1 + swing * np.cos(2 * np.pi * (of_year - highest) / 365.25)
    every, lasting, factor = parameters.promotion
    promoted = np.where(of_year % every < lasting, factor, 1.0)
    factors: NDArray[np.float64] = year * weekday * promoted
    return factors
