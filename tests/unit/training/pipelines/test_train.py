import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from feature_repo.errors import InputError, SplitError
from tests.simulated_examples import HORIZON_DAYS, simulated_examples
from training.ensemble.combine import Ensemble
from training.models.contract import FitSettings
from training.pipelines.train import export_members, train

MEMBERS = ["constant_rate", "recency", "bg_nbd", "boosted_trees"]


@pytest.fixture(scope="module")
def periods():
    return simulated_examples()


@pytest.fixture(scope="module")
def trained(periods):
    return train(*periods, MEMBERS, FitSettings(HORIZON_DAYS, 4))


def test_everything_is_told(trained):
    assert list(trained.members) == list(trained.ensemble.members) == MEMBERS
    assert set(trained.validation) == {*MEMBERS, "ensemble"}
    assert set(trained.histories) == set(trained.seconds) == set(MEMBERS)
    assert len(trained.choice.candidates) == 4 * 5
    assert [row.who for row in trained.newer_data] == ["ensemble", *MEMBERS]


def test_the_ensemble_is_about_as_good_as_its_best_member(trained):
    losses = {name: figures.log_loss for name, figures in trained.validation.items()}
    assert losses["ensemble"] <= min(losses.values()) + 0.005
    assert losses["ensemble"] < losses["constant_rate"]


def test_members_are_refitted_only_if_newer_data_helped(trained):
    assert trained.refitted == trained.newer_data[0].helps


def test_predicts_with_every_member_and_the_ensemble(trained, periods):
    found = trained.predict(periods[1])
    assert list(found) == [*MEMBERS, "ensemble"]
    assert all(p.shape == (len(periods[1]),) and p.dtype == np.float64 for p in found.values())


def test_the_same_seed_gives_the_same_predictions(trained, periods):
    again = train(*periods, MEMBERS, FitSettings(HORIZON_DAYS, 4))
    assert again.ensemble == trained.ensemble
    for name, p in again.predict(periods[1]).items():
        np.testing.assert_allclose(p, trained.predict(periods[1])[name], atol=1e-6)


def test_exports_a_folder_for_each_member_in_place_of_what_was_there(trained, tmp_path):
    (tmp_path / "members" / "old").mkdir(parents=True)
    export_members(trained, tmp_path / "members")
    assert sorted(path.name for path in (tmp_path / "members").iterdir()) == sorted(MEMBERS)
    assert all((tmp_path / "members" / name / "member.json").is_file() for name in MEMBERS)


def test_the_record_is_json(trained):
    record = {
        "ensemble": trained.ensemble.to_json(),
        "candidates": [candidate.to_json() for candidate in trained.choice.candidates],
        "newer_data": [row.to_json() for row in trained.newer_data],
        "histories": {name: history.to_json() for name, history in trained.histories.items()},
    }
    kept = json.loads(json.dumps(record, allow_nan=False))
    assert Ensemble.from_json(kept["ensemble"]) == trained.ensemble


def test_an_unknown_member_is_refused_before_anything_is_fitted(periods):
    with pytest.raises(InputError, match="'perceptron' is not known"):
        train(*periods, ["recency", "perceptron"], FitSettings(HORIZON_DAYS, 4))


@pytest.mark.parametrize("package", ["keras", "tensorflow", "tf2onnx"])
def test_a_network_without_its_packages_is_refused_before_another_member_is_fitted(periods, package, monkeypatch):
    monkeypatch.setattr("training.pipelines.train.fit_forward", lambda *arguments: pytest.fail("a member was fitted"))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        InputError, match=f"Member 'mlp' needs the package '{package}', .*platform.txt.*leave the member"
    ):
        train(*periods, ["recency", "mlp"], FitSettings(HORIZON_DAYS, 4))


@pytest.mark.parametrize(("place", "period"), [(0, "training"), (1, "validation")])
@pytest.mark.parametrize("label", [0, 1])
def test_labels_of_one_class_are_refused_before_anything_is_fitted(periods, place, period, label, monkeypatch):
    monkeypatch.setattr("training.pipelines.train.fit_forward", lambda *arguments: pytest.fail("a member was fitted"))
    spoilt = list(periods)
    spoilt[place] = replace(spoilt[place], label=np.full_like(spoilt[place].label, label))
    with pytest.raises(SplitError, match=rf"Labels of the {period} period: .* expected both"):
        train(*spoilt, MEMBERS, FitSettings(HORIZON_DAYS, 4))


def test_a_member_is_told_its_parameters_and_no_other_member_is(periods):
    told = {"boosted_trees": {"max_depth": 1, "most_rounds": 20}}
    trained = train(*periods, ["recency", "boosted_trees"], FitSettings(HORIZON_DAYS, 4), told)
    assert trained.members["boosted_trees"].parameters["max_depth"] == 1
    with pytest.raises(InputError, match="'recency' has no parameter 'max_depth'; expected one of c"):
        train(*periods, ["recency"], FitSettings(HORIZON_DAYS, 4), {"recency": {"max_depth": 1}})
