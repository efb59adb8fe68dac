import numpy as np
import pytest

from training.evaluation.predictions import Predictions


def make_predictions(customers: int = 400, rows: int = 1500, seed: int = 3) -> Predictions:
    """A small shop with a known order of quality: `sharp` ranks better than `blunt`, `constant` not at all."""
    generator = np.random.default_rng(seed)
    customer = np.concatenate([np.arange(customers), generator.integers(0, customers, rows - customers)])
    taste = generator.normal(size=customers)[customer]
    truth = 1.0 / (1.0 + np.exp(1.3 - 1.4 * taste))
    label = (generator.random(rows) < truth).astype(np.int8)
    noisy = {
        name: 1.0 / (1.0 + np.exp(1.3 - 1.2 * taste + scale * generator.normal(size=rows)))
        for name, scale in (("sharp", 0.3), ("blunt", 1.5))
    }
    ages = np.array(["20-29", "30-39", None], dtype=object)
    return Predictions(
        user_id=np.array([f"{number:08d}" for number in customer], dtype=object),
        anchor_us=generator.integers(0, 3, rows) * 604_800_000_000 + 981_331_200_000_000,
        label=label,
        probability=noisy
        | {
            "constant": np.full(rows, 0.2),
            "ensemble": np.round((noisy["sharp"] * 2 + noisy["blunt"]) / 3, 2),
        },
        slices={"age group": ages[customer % 3]},
    )


@pytest.fixture(scope="session")
def predictions() -> Predictions:
    return make_predictions()
