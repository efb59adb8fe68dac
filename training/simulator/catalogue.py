"""Items of the simulated shop: category, brand, price, cost, title, and how popular each is."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from training.simulator.parameters import Parameters

__all__ = ["BANDS", "CURRENCY", "Catalogue", "draw_catalogue"]

BANDS = 3
"""Of each category a third of the items is cheap, a third ordinary, a third dear."""

CURRENCY = "EUR"

_GOODS = {
    "kitchen": ("kettle", "pan", "knife", "toaster", "bowl", "mug"),
    "garden": ("spade", "hose", "planter", "lantern", "bench", "shears"),
    "sports": ("ball", "racket", "helmet", "mat", "bottle", "gloves"),
    "clothing": ("jacket", "shirt", "scarf", "jeans", "dress", "coat"),
    "shoes": ("boots", "sneakers", "sandals", "loafers", "slippers", "clogs"),
    "audio": ("headphones", "speaker", "turntable", "microphone", "radio", "amplifier"),
    "computers": ("laptop", "keyboard", "mouse", "monitor", "router", "tablet"),
    "phones": ("phone", "charger", "case", "cable", "holder", "battery"),
    "books": ("novel", "atlas", "cookbook", "biography", "guide", "comic"),
    "toys": ("puzzle", "doll", "train", "blocks", "kite", "game"),
    "beauty": ("cream", "perfume", "brush", "soap", "lipstick", "shampoo"),
    "office": ("notebook", "pen", "lamp", "folder", "stapler", "desk"),
}
_BRANDS = ("Alder", "Birch", "Cedar", "Dune", "Ember", "Fjord", "Grove", "Heath", "Islet", "Juniper", "Kelp", "Larch",
           "Maple", "Nettle", "Oak", "Pine", "Quartz", "Reed", "Slate", "Thorn")  # fmt: skip
_STYLES = (
    "small",
    "large",
    "classic",
    "light",
    "sturdy",
    "folding",
    "blue",
    "green",
    "red",
    "grey",
    "travel",
    "family",
)
_QUALITY = ("plain", "decent", "good", "very good", "excellent")


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Items in groups of one category and price band, one behind the other.

    Attributes:
        names: of the categories.
        category: place of each item's category, int64.
        price: per piece.
        cost: per piece.
        quality: 0 to 4; reviews tell it.
        brand: place of each item's brand.
        cumulative: share of the weights within the group up to each item, plus the group's number: one search finds an
            item of any group.
        weights: popularity of the categories, summing to 1.
    """

    names: list[str]
    category: NDArray[np.int64]
    price: NDArray[np.float64]
    cost: NDArray[np.float64]
    quality: NDArray[np.int64]
    brand: NDArray[np.int64]
    cumulative: NDArray[np.float64]
    weights: NDArray[np.float64]

    def choose(
        self, category: NDArray[np.int64], band: NDArray[np.int64], chance: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return an item for each category, band and number in [0, 1)."""
        return np.searchsorted(self.cumulative, category * BANDS + band + chance, side="right").astype(np.int64)

    @property
    def ids(self) -> list[str]:
        """Their `item_id`."""
        return [f"i{number:06d}" for number in range(len(self.price))]

    def table(self) -> pa.Table:
        """Return what the shop knows: id, category, brand, title, description, price, cost, currency."""
        brands = [_BRANDS[number] for number in self.brand.tolist()]
        categories = [self.names[number] for number in self.category.tolist()]
        styles = [_STYLES[number * 7 % len(_STYLES)] for number in range(len(brands))]
        goods = [name.split(".")[-1] for name in categories]
        return pa.table(
            {
                "item_id": self.ids,
                "category": categories,
                "brand": brands,
                "title": [f"{brand} {style} {good}" for brand, style, good in zip(brands, styles, goods, strict=True)],
                "description": [
                    f"A {_QUALITY[quality]} {good} by {brand}."
                    for quality, good, brand in zip(self.quality.tolist(), goods, brands, strict=True)
                ],
                "list_price": self.price,
                "unit_cost": self.cost,
                "currency": pa.repeat(CURRENCY, len(brands)),
            }
        )


def draw_catalogue(parameters: Parameters, items: int, random: np.random.Generator) -> Catalogue:
    """Draw at least `items` items, as many in each category and price band."""
    names = [f"{field}.{good}" for field, goods in _GOODS.items() for good in goods]
    groups = len(names) * BANDS
    each = -(-items // groups)
    total = each * groups
    group = np.repeat(np.arange(groups), each)
    exponent, shift = parameters.popularity
    weight = (1 + random.permutation(total) + shift) ** -exponent
    by_group = weight.reshape(groups, each)
    cumulative = (by_group.cumsum(1) / by_group.sum(1, keepdims=True)).ravel()
    cumulative[each - 1 :: each] = 1.0
    price = _prices(parameters, len(names), each, random)
    quality = np.clip(random.normal(2.6, 1.0, total).round(), 0, len(_QUALITY) - 1).astype(np.int64)
    margin = np.interp(random.random(total), np.linspace(0, 1, len(parameters.margin)), parameters.margin)
    return Catalogue(
        names,
        group // BANDS,
        price,
        (price * (1 - margin)).round(2),
        quality,
        random.integers(0, len(_BRANDS), total),
        cumulative + group,
        by_group.reshape(len(names), -1).sum(1) / weight.sum(),
    )


def _prices(parameters: Parameters, categories: int, each: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Prices within a category rise from band to band."""
    mean, deviation, between = parameters.price
    level = mean + between * random.standard_normal(categories)
    within = np.sqrt(max(deviation**2 - between**2, 0.01))
    spread = np.sort(random.standard_normal((categories, each * BANDS)), axis=1)
    return np.maximum(np.exp(level[:, None] + within * spread), 0.5).round(2).ravel()
