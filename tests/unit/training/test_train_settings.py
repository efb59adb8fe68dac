import tomllib

import pytest
from pydantic import ValidationError

from training.settings import Settings, template

PLAIN = template("ta_feng")


def load(extra: str = "") -> Settings:
    return Settings.model_validate(tomllib.loads(PLAIN + extra))


def test_without_a_section_all_members_are_meant_from_two_origins() -> None:
    assert load().train.members is None
    assert load().train.origins == 2
    assert load().members == {}


def test_members_and_what_they_are_told() -> None:
    settings = load('[train]\nmembers = ["recency"]\norigins = 4\n[members.boosted_trees]\nmax_depth = 3\neta = 0.1\n')
    assert settings.train.members == ("recency",)
    assert settings.members == {"boosted_trees": {"max_depth": 3, "eta": 0.1}}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ('[train]\nmembers = ["perceptron"]', "'perceptron' is not known; expected one of bg_nbd, boosted_trees"),
        ("[train]\nmembers = []", "expected at least one member, each once"),
        ('[train]\nmembers = ["recency", "recency"]', "each once"),
        ("[train]\norigins = 1", "greater than or equal to 2"),
        ("[members.perceptron]\ndepth = 1", "'perceptron' is not known; expected one of bg_nbd"),
    ],
)
def test_what_is_not_known_is_refused(extra: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        load(extra)
