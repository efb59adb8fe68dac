import json
import tomllib

import pytest

from feature_repo.errors import InputError, SettingsError
from tests.unit.training.tuning.conftest import weekly_examples
from training import required_packages
from training.models.boosted_trees.model import BoostedTrees
from training.pipelines import tune
from training.pipelines.tune import TuneOptions, parse_budget, tune_auto, tune_member
from training.progress import Silent
from training.settings import Settings, template
from training.tuning.trials import Budget
from training.tuning.tuned_settings import read_tuned, with_tuned


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("30m", 1800.0), ("1.5h", 5400.0)])
def test_a_time_is_read(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "-3m", "0s", "1d"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(InputError, match="expected a number and a unit"):
        parse_budget(text)


def settings(extra: str = "") -> Settings:
    return Settings.model_validate(tomllib.loads(template("ta_feng") + extra))


def test_tuned_settings_take_the_place_of_those_of_the_file(tmp_path):
    (tmp_path / "tuned.json").write_text(
        json.dumps({"chosen": ["recency"], "members": {"recency": {"c": 3.0}, "boosted_trees": {"max_depth": 3}}})
    )
    told = settings("[members.boosted_trees]\nmax_depth = 5\neta = 0.1\n")
    found = with_tuned(told, tmp_path / "tuned.json", tmp_path)
    assert found.members == {"boosted_trees": {"max_depth": 3, "eta": 0.1}, "recency": {"c": 3.0}}
    assert found.train.members == ("recency",)
    (tmp_path / "tuned.json").write_text('{"members": {}}')
    assert with_tuned(told, tmp_path / "tuned.json", tmp_path).train.members is None


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run's folder whose training period is a small one in memory; any other split is an error."""
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "manifest.json").write_text('{"fingerprint": "0123456789abcdef0123"}')

    def examples_of_split(told, out, split):
        assert split == "train"
        examples = weekly_examples()
        examples.features.numeric["recency_days"] = -examples.features.numeric["taste"]
        return examples

    monkeypatch.setattr(tune, "examples_of_split", examples_of_split)
    return tmp_path


def test_a_member_is_tuned_on_the_training_period_alone(run):
    told = settings("[members.recency]\nc = 0.001\n")
    record, path = tune_member(told, run, "recency", TuneOptions(Budget(4, None), "random"), Silent())
    assert record.defaults == {"c": 0.001}  # what the settings say is what it has to beat
    assert record.identity.data == "0123456789abcdef"
    assert json.loads((run / "tuning" / "recency.json").read_text())["best"] == record.best
    found = read_tuned(path)
    assert found.members == ({"recency": record.values} if record.better else {})
    with pytest.raises(InputError, match="Study 'recency' is of another search space"):
        tune_member(settings(), run, "recency", TuneOptions(Budget(4, None)), Silent())


def test_what_was_tuned_on_one_data_set_is_not_taken_for_another(run, tmp_path_factory):
    _, path = tune_member(settings(), run, "recency", TuneOptions(Budget(1, None)), Silent())
    other = tmp_path_factory.mktemp("other")
    assert with_tuned(settings(), path, other)  # nothing was built there: training says so
    (other / "dataset").mkdir()
    (other / "dataset" / "manifest.json").write_text('{"fingerprint": "fedcba98765432100123"}')
    later = settings().model_copy(update={"task": settings().task.model_copy(update={"horizon_days": 14})})
    told = r"on 0123456789abcdef \(.* 7 days\?\), and that below .* is fedcba9876543210 \(.* 14 days\?\); expected the"
    with pytest.raises(SettingsError, match=told):
        with_tuned(later, path, other)
    path.write_text(json.dumps({**json.loads(path.read_text()), "data": "fedcba9876543210"}))
    assert with_tuned(later, path, other)


def test_trials_that_share_other_settings_are_of_another_study(run):
    few = TuneOptions(Budget(1, None), only=("eta",))
    tune_member(settings("[members.boosted_trees]\nmost_rounds = 12\n"), run, "boosted_trees", few, Silent())
    with pytest.raises(InputError, match="Study 'boosted_trees' is of another search space"):
        tune_member(settings("[members.boosted_trees]\nmost_rounds = 13\n"), run, "boosted_trees", few, Silent())


def test_members_are_chosen_together_and_earlier_results_stay(run):
    (run / "tuned.json").write_text(
        json.dumps({"data": "0123456789abcdef", "members": {"boosted_trees": {"max_depth": 3}}})
    )
    options = TuneOptions(Budget(None, 0.0))
    record, path = tune_auto(settings(), run, ["recency", "constant_rate"], options, Silent())
    assert record.left_out == ("constant_rate",)
    assert read_tuned(path).chosen == ("recency",)
    assert read_tuned(path).members["boosted_trees"] == {"max_depth": 3}
    assert json.loads((run / "tuning" / "auto.json").read_text())["chosen"] == ["recency"]


def test_members_tuned_together_under_a_name_have_a_study_each(run):
    """Where the studies of that name's members cannot be gone on with, another name is the way out."""
    tune_member(settings("[members.recency]\nc = 0.001\n"), run, "recency", TuneOptions(Budget(1, None)), Silent())
    members, budget = ["recency", "logistic_regression"], Budget(None, 2.0)
    with pytest.raises(InputError, match=r"another search space .* Begin another one with --name"):
        tune_auto(settings(), run, members, TuneOptions(budget), Silent())
    for name in members:  # on a busy machine two seconds are over after the first's defaults
        tune_member(settings(), run, name, TuneOptions(Budget(1, None), name=f"second-{name}"), Silent())
    record, _ = tune_auto(settings(), run, members, TuneOptions(budget, name="second"), Silent())
    assert set(record.studies) == set(members)
    assert {path.name for path in (run / "tuning" / "predictions").iterdir()} >= {f"second-{name}" for name in members}


def test_studies_of_one_name_in_two_databases_keep_their_predictions_apart(run):
    def tuned(database: str, trials: int) -> float | None:
        address = f"sqlite:///{run / database}"
        options = TuneOptions(Budget(trials, None), "random", study=address, name="both")
        return tune_member(settings(), run, "recency", options, Silent())[0].standard_error

    first = tuned("a.db", 4)
    told = settings("[members.recency]\nc = 0.001\n")
    other = TuneOptions(Budget(3, None), "random", study=f"sqlite:///{run / 'b.db'}", name="both")
    tune_member(told, run, "recency", other, Silent())
    assert tuned("a.db", 4) == first


def test_a_study_whose_predictions_are_gone_is_refused_before_anything_is_tried(run):
    options = TuneOptions(Budget(None, 0.0))
    tune_auto(settings(), run, ["recency"], options, Silent())
    (kept,) = (run / "tuning" / "predictions" / "recency").glob("*/*.npy")
    kept.unlink()
    with pytest.raises(InputError, match="Begin another study with --name"):
        tune_auto(settings(), run, ["recency"], options, Silent())
    with pytest.raises(InputError, match="Begin another study with --name"):
        tune_member(settings(), run, "recency", TuneOptions(Budget(3, None)), Silent())
    record, _ = tune_auto(settings(), run, ["recency"], TuneOptions(Budget(None, 0.0), name="again"), Silent())
    assert record.chosen == ("recency",)


def test_a_study_of_another_name_takes_nothing_away_but_what_it_searched_again(run):
    steep = settings("[members.recency]\nc = 0.001\n")
    (run / "tuned.json").write_text(
        json.dumps({"data": "0123456789abcdef", "members": {"boosted_trees": {"max_depth": 3, "eta": 0.2}}})
    )
    few = "[members.boosted_trees]\nmost_rounds = 12\n"
    options = TuneOptions(Budget(1, None), only=("eta",), name="trees again")
    record, path = tune_member(settings(few), run, "boosted_trees", options, Silent())
    assert not record.better
    assert read_tuned(path).members["boosted_trees"] == {"max_depth": 3}
    assert json.loads((run / "tuning" / "trees_again.json").read_text())["identity"]["member"] == "boosted_trees"
    assert not (run / "tuning" / "boosted_trees.json").exists()
    tune_member(steep, run, "recency", TuneOptions(Budget(1, None)), Silent())
    assert read_tuned(path).members["boosted_trees"] == {"max_depth": 3}


def without(monkeypatch, package: str) -> None:
    """Let the trees be a member that imports their package when it fits, as networks do, and hide it."""
    monkeypatch.setattr(BoostedTrees, "packages", (package,), raising=False)
    there = required_packages.find_spec
    monkeypatch.setattr(required_packages, "find_spec", lambda name: None if name == package else there(name))


def test_a_member_whose_package_is_missing_begins_no_study(run, monkeypatch):
    """So that the same command goes on once it is installed."""
    told = settings("[members.boosted_trees]\nmost_rounds = 12\n")
    with monkeypatch.context() as hidden:
        without(hidden, "xgboost")
        for refused in (
            lambda: tune_member(told, run, "boosted_trees", TuneOptions(Budget(1, None), only=("eta",)), Silent()),
            lambda: tune_auto(told, run, ["recency", "boosted_trees"], TuneOptions(Budget(None, 0.0)), Silent()),
        ):
            with pytest.raises(InputError, match=r"'boosted_trees' needs the package 'xgboost'.*make setup"):
                refused()
        assert not (run / "tuning").exists()
    record, _ = tune_member(told, run, "boosted_trees", TuneOptions(Budget(1, None), only=("eta",)), Silent())
    assert record.counts == {"complete": 1}


def test_of_members_that_nobody_named_those_without_their_package_are_told(run, monkeypatch):
    monkeypatch.setattr(tune, "members_for", lambda *_, **__: ["recency", "boosted_trees"])
    without(monkeypatch, "xgboost")
    record, _ = tune_auto(settings(), run, None, TuneOptions(Budget(None, 0.0)), Silent())
    assert record.chosen == ("recency",)
    assert record.left_out == ()
    assert "make setup" in record.failed["boosted_trees"]


def test_settings_that_are_wrong_are_no_missing_package(run, monkeypatch):
    monkeypatch.setattr(tune, "members_for", lambda *_, **__: ["recency", "boosted_trees"])
    wrong = settings("[members.boosted_trees]\nmax_dpth = 3\n")
    with pytest.raises(InputError, match="max_dpth"):
        tune_auto(wrong, run, None, TuneOptions(Budget(None, 0.0)), Silent())
    assert not (run / "tuning").exists()
