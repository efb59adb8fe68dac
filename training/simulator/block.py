"""A block of customers: the unit in which a simulation draws random numbers, so that nothing else changes a byte."""

from dataclasses import dataclass

import numpy as np

from training.simulator.catalogue import Catalogue, draw_catalogue
from training.simulator.chances import Chances
from training.simulator.customers import Customers, draw_customers
from training.simulator.days import Asked, Day, live
from training.simulator.event_rows import Rows, event_rows
from training.simulator.parameters import Parameters

__all__ = ["BLOCK", "Block", "block_of", "catalogue_of"]

BLOCK = 4_096
"""Customers in a block. It never changes: another number would be other random numbers."""

_CATALOGUE, _CUSTOMERS, _DAYS, _ROWS, _REVIEWS = range(5)


@dataclass(frozen=True, eq=False)
class Block:
    """Customers, their days, and the rows of a log that these give."""

    customers: Customers
    days: list[Day]
    rows: Rows
    reviewing: np.random.Generator


def catalogue_of(parameters: Parameters, seed: int, items: int) -> Catalogue:
    """Return the catalogue of the shop with this seed."""
    return draw_catalogue(parameters, items, _random(seed, 0, _CATALOGUE))


def block_of(
    chances: Chances, catalogue: Catalogue, asked: Asked, seed: int, number: int, customers: int, days: int
) -> Block:
    """Return block `number` of a shop of `customers` customers over `days` days."""
    parameters, begin = chances.parameters, number * BLOCK
    count = min(BLOCK, customers - begin)
    drawn = draw_customers(parameters, begin, count, catalogue.weights, _random(seed, number, _CUSTOMERS))
    lived = list(live(chances, drawn, asked, days, _random(seed, number, _DAYS)))
    rows = event_rows(parameters, drawn, catalogue, lived, _random(seed, number, _ROWS))
    return Block(drawn, lived, rows, _random(seed, number, _REVIEWS))


def _random(seed: int, block: int, what: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(block, what))))
