import tomllib

import pytest

from feature_repo.errors import InputError, SettingsError
from training.tuning.scores import require_score
from training.tuning.tuned_settings import TunedSettings, as_toml, read_tuned, write_tuned

TOLD = {"boosted_trees": {"max_depth": 3, "eta": 0.1}}
SETTINGS = TunedSettings(TOLD, ("boosted_trees", "recency"), "abc", "Will they?")


def test_is_read_as_written(tmp_path):
    assert read_tuned(write_tuned(tmp_path, SETTINGS)) == SETTINGS


def test_is_toml_of_the_same():
    assert tomllib.loads(as_toml(SETTINGS.members | {"recency": {}}))["members"] == SETTINGS.members


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("{", SettingsError, "malformed"),
        ('{"members": 3}', SettingsError, "malformed"),
        ('{"members": {"perceptron": {}}}', InputError, "'perceptron' is not known; expected one of"),
        ('{"members": {"boosted_trees": {"depth": 3}}}', InputError, "no parameter 'depth'; expected one of max_depth"),
        ('{"members": {"boosted_trees": {"max_depth": 99}}}', InputError, "expected a whole number from 1 to 10"),
        ('{"members": {}, "chosen": ["perceptron"]}', InputError, "'perceptron' is not known"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path, text, kind, message):
    (tmp_path / "tuned.json").write_text(text)
    with pytest.raises(kind, match=message):
        read_tuned(tmp_path / "tuned.json")


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SettingsError, match="Run it first"):
        read_tuned(tmp_path / "tuned.json")


def test_an_unknown_metric_is_answered_with_the_known():
    with pytest.raises(InputError, match="Metric 'roc_auc' cannot judge a trial; expected one of levelled_log_loss"):
        require_score("roc_auc")
