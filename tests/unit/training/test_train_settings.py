import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from feature_repo.errors import SettingsError
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


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("[train]\norigin = 3", "  train.origin: got 3; no such key; expected one of members, origins"),
        ("[model]\ndepth = 3", "  model: got {'depth': 3}; no such key; expected one of anchors, data, "),
        ("[data.items]\ncolour = 3", "  data.items.colour: got 3; no such key; expected one of "),
        (
            '[train]\nmembers = "recency"',
            """  train.members: got 'recency'; expected a list, such as ["one", "another"]""",
        ),
    ],
)
def test_a_misspelt_key_is_told_the_keys_there_are(tmp_path: Path, extra: str, message: str) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(PLAIN + extra)
    with pytest.raises(SettingsError) as refused:
        Settings.load(path)
    assert message in str(refused.value)


def test_a_section_that_is_missing_is_named_without_the_rest_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(PLAIN.replace("[anchors]", "[anchor]"))
    with pytest.raises(SettingsError) as refused:
        Settings.load(path)
    assert "\n  anchors: is not there; expected it to be told\n" in str(refused.value)
