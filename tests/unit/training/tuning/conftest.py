"""A member whose best setting is known, and a training period of eight weekly dates that costs nothing to fit."""

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import xgboost

from feature_repo.transforms.customer import CustomerFeatures
from training.dataset.examples import Examples
from training.models.contract import FitSettings
from training.models.parameters import flag, one_of, real, whole
from training.progress import Silent
from training.tuning.forward_folds import forward_folds
from training.tuning.queue import DEFAULT, finished
from training.tuning.search_space import fingerprint, grid_points, searched
from training.tuning.study import Identity, open_study
from training.tuning.trials import Trials

WEEK_US = 7 * 86_400_000_000
SMALL_GRID = ("noise", "harm")
"""Parameters of `Known` whose grid has six points."""


def weekly_examples(customers: int = 300, dates: int = 8, seed: int = 2) -> Examples:
    random = np.random.default_rng(seed)
    who, week = np.tile(np.arange(customers), dates), np.repeat(np.arange(dates), customers)
    taste = random.normal(size=customers)[who]
    label = (random.random(len(who)) < 1 / (1 + np.exp(1.5 - taste))).astype(np.int8)
    features = CustomerFeatures({"taste": taste}, {}, {}, len(who))
    return Examples(np.array([f"c{one}" for one in who], object), week.astype(np.int64) * WEEK_US, label, features)


@dataclass
class Known:
    """Predicts best at slope 1; `trouble` = what happens in a fit where `harm` is on ("memory", "killed", "error",
    "hang"), or in each: "slow", "endless", "always", "always killed".
    """

    name: str = "known"
    trouble: str = ""
    seen: list[int] = field(default_factory=list)
    parameters = (
        real("slope", 0.2, 0.01, 10.0, "of the log-odds", log=True),
        whole("noise", 0, 0, 3, "of no use"),
        one_of("kind", "a", ("a", "b"), "of no use"),
        flag("harm", False, "brings the trouble"),
        whole("most", 7, 1, 9, "not searched", searched=False),
    )

    def fit(self, train, validation, settings: FitSettings):
        told = dict(settings.parameters)
        if self.trouble == "slow":
            time.sleep(0.2)
        if self.trouble == "endless":
            time.sleep(300)
        if self.trouble == "always":
            raise ValueError("no such solver")
        if self.trouble == "always killed":
            bring("killed")
        if told.get("harm"):
            bring(self.trouble)
        return Slope(told.get("slope", 0.2))


@dataclass
class Slope:
    slope: float

    def refit(self, examples, settings):
        return self

    def predict_proba(self, features):
        return 1 / (1 + np.exp(1.5 - self.slope * features.numeric["taste"]))


def bring(trouble: str) -> None:
    if trouble == "memory":
        raise MemoryError("cannot have 3 TiB")
    if trouble == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if trouble == "hang":
        time.sleep(300)
    if trouble == "error":
        raise ValueError("the loss is not a number")


@pytest.fixture(scope="session")
def examples() -> Examples:
    return weekly_examples()


@pytest.fixture
def make(examples, tmp_path):
    """Return a function that opens a study of a `Known` member and its trials, below the test's folder."""

    def made(sampler="tpe", *, trouble="", only=(), seed=1, folder: Path = tmp_path, member=None):
        return opened(member or Known(trouble=trouble), sampler, only, seed, folder, examples)

    return made


def opened(known, sampler: str, only, seed: int, folder: Path, examples: Examples):
    """Open the study of a member in a folder; return it, its trials and its identity."""
    space, folds = searched(known.name, known.parameters, only), forward_folds(examples, 7.0)
    identity = Identity(known.name, fingerprint(space), "data", "log_loss", len(folds), seed)
    study = open_study(f"sqlite:///{folder / 'studies.db'}", known.name, sampler, identity)
    kept = folder / known.name
    kept.mkdir(exist_ok=True)
    return study, Trials(known, space, examples, folds, FitSettings(7.0, seed), "log_loss", sampler, kept), identity


@pytest.fixture
def nobody():
    return Silent().task("", 0, "")


def assert_every_point_once(study, trials) -> None:
    """Assert of a grid over `SMALL_GRID` that each point was judged, the defaults among them, and none twice."""
    points = list(grid_points(trials.space, 1))
    tried = [trial.params for trial in finished(study)]
    assert len(tried) == len(points) == 6
    assert all(point in tried for point in points)
    assert sum(bool(trial.user_attrs.get(DEFAULT)) for trial in finished(study)) == 1


class Deadly:
    """Work that ends its process as the system does when memory is short."""

    def __call__(self, number):
        os.kill(os.getpid(), signal.SIGKILL)


class Endless:
    """Work that takes longer than anybody waits."""

    def __call__(self, number):
        time.sleep(30)


class Trees:
    """Work that needs the threads of OpenMP."""

    def __call__(self, number):
        random = np.random.default_rng(number)
        table = random.random((400, 8))
        told = {"objective": "binary:logistic", "nthread": 2}
        booster = xgboost.train(told, xgboost.QuantileDMatrix(table, table[:, 0] > 0.5), 8)
        return booster.inplace_predict(table).astype(np.float64)
