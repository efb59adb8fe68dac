"""Features that were made of labels, and sessions that were cut by them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.errors import FeatureError, SplitError
from training.dataset.leak_labels import require_no_label_means, require_same_cut

TOWNS = 60


def sold(seed: int, rows: int = 4000, towns: int = TOWNS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(town of each row, label of earlier rows, label of these rows), the towns at rates of their own."""
    rng = np.random.default_rng(seed)
    town, rate = rng.integers(0, towns, rows), rng.uniform(0.05, 0.4, towns)
    return town, *((rng.random(rows) < rate[town]).astype(np.int8) for _ in range(2))


def encoding(town: np.ndarray, label: np.ndarray, prior: float = 0.0) -> np.ndarray:
    """The mean label of each town, drawn towards the mean of all by `prior` rows."""
    rows, bought = np.bincount(town), np.bincount(town, label)
    return ((bought + prior * label.mean()) / np.maximum(rows + prior, 1))[town]


def log_odds(rate: np.ndarray) -> np.ndarray:
    inside = np.clip(rate, 1e-6, 1 - 1e-6)
    return np.log(inside / (1 - inside))


SCALES = {"as it is": lambda rate: rate, "times 100": lambda rate: 100 * rate, "log-odds": log_odds}
GROUPS = [60, 120, 250, 500, 1000, 1500, 2500]


@pytest.mark.parametrize("prior", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_target_encoding_fitted_on_the_rows_themselves_is_named(seed: int, prior: float) -> None:
    town, _, label = sold(seed)
    columns = {"size": np.random.default_rng(seed).normal(size=len(label)), "town_rate": encoding(town, label, prior)}
    with pytest.raises(FeatureError, match=r"\['town_rate'\] are the mean label of the test rows"):
        require_no_label_means(columns, label, "test")


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("prior", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("towns", GROUPS)
def test_no_number_of_groups_and_no_scale_hides_it(towns: int, prior: float, scale: str) -> None:
    for seed in range(3):
        town, _, label = sold(seed, towns=towns)
        with pytest.raises(FeatureError, match="town_rate"):
            require_no_label_means({"town_rate": SCALES[scale](encoding(town, label, prior))}, label, "test")


@pytest.mark.parametrize("prior", [0.0, 1.0, 10.0, 50.0])
@pytest.mark.parametrize("towns", GROUPS)
def test_encodings_of_earlier_rows_pass_at_any_number_of_groups_and_scale(towns: int, prior: float) -> None:
    for seed in range(10):
        town, earlier, label = sold(seed, towns=towns)
        rate = encoding(town, earlier, prior)
        require_no_label_means({name: scaled(rate) for name, scaled in SCALES.items()}, label, "test")


def test_a_feature_whose_groups_all_hold_the_same_share_passes() -> None:
    """One of ten candidates is bought, by everybody: the counts of each age are multiples, and tell nothing."""
    label = np.tile(np.eye(10, dtype=np.int8)[0], 400)
    age = np.repeat(np.random.default_rng(1).integers(20, 70, 400), 10).astype(float)
    require_no_label_means({"age": age}, label, "test")


@given(st.integers(0, 10_000))
def test_one_fitted_on_earlier_rows_passes(seed: int) -> None:
    town, earlier, label = sold(seed)
    require_no_label_means({"town_rate": encoding(town, earlier)}, label, "test")


def test_one_fitted_on_earlier_and_on_these_rows_is_named() -> None:
    town, earlier, label = sold(3, rows=40_000)
    both = encoding(np.concatenate([town, town[:4000]]), np.concatenate([label, earlier[:4000]]))[: len(town)]
    with pytest.raises(FeatureError, match="town_rate"):
        require_no_label_means({"town_rate": both}, label, "test")


@given(st.integers(0, 10_000))
def test_shares_counts_and_unknown_values_pass(seed: int) -> None:
    rng = np.random.default_rng(seed)
    label = (rng.random(500) < 0.2).astype(np.int8)
    columns = {
        "share": rng.integers(0, 8, 500) / 7,
        "flag": (rng.random(500) < 0.3).astype(float),
        "count": rng.poisson(3, 500).astype(float),
        "unknown": np.full(500, np.nan),
        "any": rng.random(500),
    }
    require_no_label_means(columns, label, "train")


LABEL = np.repeat([0, 1], 200)
BOUGHT = LABEL == 1
USUAL = np.full(400, 0.7)


@pytest.mark.parametrize("usual", [USUAL, np.full(400, np.nan)])
def test_sessions_that_only_buyers_have_cut_are_refused(usual: np.ndarray) -> None:
    with pytest.raises(SplitError, match=r"Of 200 anchors with label 0 only 0 .* 200 of 200 with label 1"):
        require_same_cut(BOUGHT, LABEL, usual)


def test_sessions_of_another_kind_that_only_buyers_have_cut_are_refused_too() -> None:
    """Every tenth session without a purchase goes on: it was cut at midnight, or by another pause than the log's."""
    with pytest.raises(SplitError, match=r"Of 200 anchors with label 0 only 20 "):
        require_same_cut(BOUGHT | (np.arange(400) % 10 == 0), LABEL, USUAL)


@pytest.mark.parametrize(
    ("goes_on", "usual"),
    [
        (BOUGHT | (np.arange(400) % 10 < 7), USUAL),  # as often as usual
        (
            BOUGHT | (np.arange(400) % 10 < 3),
            USUAL,
        ),  # one event of each session, drawn at random: the short ones ask more
        (BOUGHT | (np.arange(400) % 40 == 0), USUAL / 20),  # a shop that is mostly left after one event
        (np.arange(400) % 20 == 0, USUAL),  # asked at the end of everybody's session
    ],
)
def test_sessions_that_are_cut_for_everybody_pass(goes_on: np.ndarray, usual: np.ndarray) -> None:
    require_same_cut(goes_on, LABEL, usual)


def test_of_a_few_sessions_nothing_is_said() -> None:
    require_same_cut(BOUGHT[:10], LABEL[:10], USUAL[:10])
    require_same_cut(BOUGHT[180:220], LABEL[180:220], USUAL[180:220])
