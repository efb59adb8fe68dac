"""Settings that ask a simulated shop, as the example does."""

import tomllib
from pathlib import Path

import pytest

from training.settings import Settings

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def settings_for():
    """Return the example's settings with some keys of sections changed."""

    def make(**sections):
        told = tomllib.loads((ROOT / "examples" / "simulated_shop.toml").read_text())
        for section, keys in sections.items():
            changed = told[section] | keys
            told[section] = {name: value for name, value in changed.items() if value is not None}
        return Settings.model_validate(told)

    return make
