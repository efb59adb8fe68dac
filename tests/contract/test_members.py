"""One suite for every member that is found below training/models: a new folder is covered without an edit."""

import copy
import json
from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import onnxruntime
import pytest
import xgboost

from feature_repo.errors import FeatureError, InputError, SplitError
from feature_repo.transforms.encoding import SequenceEncoding, TabularEncoding
from services.runtimes import load_member
from tests.simulated_examples import HORIZON_DAYS, nothing_known, simulated_examples
from training.dataset.examples import Examples
from training.models import member, member_names
from training.models.contract import FitSettings

SETTINGS = FitSettings(HORIZON_DAYS, seed=5)
# What a suite of many fits can afford; a member takes of it what it has.
SMALL = {"epochs": 2, "units": 8, "hidden": 8, "batch": 64, "learning_rate": 0.02, "most_rounds": 60}


@pytest.fixture(scope="module")
def periods():
    return simulated_examples()


@pytest.fixture(scope="module", params=member_names())
def name(request):
    return request.param


@pytest.fixture(scope="module")
def told(name):
    names = {parameter.name for parameter in member(name).parameters}
    return replace(SETTINGS, parameters={key: value for key, value in SMALL.items() if key in names})


@pytest.fixture(scope="module")
def fitted(name, periods, told):
    return member(name).fit(*periods, told)


@pytest.fixture(scope="module")
def exported(fitted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "member"
    fitted.export(folder)
    return folder


def run_export(folder, features):
    """Score as a service would, from the files alone."""
    spec = json.loads((folder / "member.json").read_text())
    table = TabularEncoding.from_json(spec["tabular"]).apply(features) if spec["tabular"] else None
    if spec["runtime"] == "xgboost":
        booster = xgboost.Booster()
        booster.load_model(folder / spec["artefact"])
        return booster.inplace_predict(table)
    session = onnxruntime.InferenceSession(folder / spec["artefact"], providers=["CPUExecutionProvider"])
    if spec["sequence"] is None:
        return session.run(["probability"], {"tabular": table})[0].reshape(-1)
    values, offsets = SequenceEncoding.from_json(spec["sequence"]).apply(features)
    result = np.empty(features.n)
    for row in range(features.n):
        steps = values[offsets[row] : offsets[row + 1]]
        steps = steps if len(steps) else np.zeros((1, values.shape[1]), np.float32)
        inputs = {"sequence": steps[None], "tabular": table[row : row + 1]}
        wanted = {item.name for item in session.get_inputs()}
        result[row] = session.run(["probability"], {k: v for k, v in inputs.items() if k in wanted})[0].item()
    return result


def test_its_name_is_its_folder(name):
    assert member(name).name == name


def test_answers_probabilities_for_every_row(fitted, periods):
    p = fitted.predict_proba(periods[1].features)
    assert p.shape == (len(periods[1]),)
    assert p.dtype == np.float64
    assert ((p > 0) & (p < 1)).all()


def test_level_is_about_that_of_the_data(fitted, periods):
    label = np.concatenate([period.label for period in periods])
    assert fitted.predict_proba(periods[1].features).mean() == pytest.approx(label.mean(), abs=0.12)


def test_not_worse_than_the_base_rate(fitted, periods):
    label, p = periods[1].label, fitted.predict_proba(periods[1].features)
    rate = np.full(len(label), periods[0].label.mean())
    assert loss(p, label) < loss(rate, label) + 1e-9


def test_order_of_rows_does_not_matter(fitted, periods):
    features = periods[1].features
    order = np.random.default_rng(0).permutation(features.n)
    np.testing.assert_allclose(
        fitted.predict_proba(features.take(order)), fitted.predict_proba(features)[order], atol=1e-6
    )


def test_one_row_alone_is_the_same_as_among_many(fitted, periods):
    features = periods[1].features.take(np.arange(20))
    alone = [fitted.predict_proba(features.take(np.array([row])))[0] for row in range(20)]
    np.testing.assert_allclose(alone, fitted.predict_proba(features), atol=1e-6)


def test_the_same_seed_gives_the_same_numbers(name, fitted, periods, told):
    again = member(name).fit(*periods, told)
    features = periods[1].features
    np.testing.assert_allclose(again.predict_proba(features), fitted.predict_proba(features), atol=1e-6)


def test_refit_is_repeatable_and_keeps_encodings(fitted, periods):
    first, second = (fitted.refit(periods[1], SETTINGS) for _ in range(2))
    features = periods[0].features
    np.testing.assert_allclose(first.predict_proba(features), second.predict_proba(features), atol=1e-6)
    assert first.spec == fitted.spec


def test_nothing_known_gets_a_finite_answer(fitted):
    p = fitted.predict_proba(nothing_known(3))
    assert ((p > 0) & (p < 1)).all()
    assert np.ptp(p) < 1e-6


def test_no_rows_give_no_answers(fitted, periods):
    assert fitted.predict_proba(periods[1].features.take(np.array([], np.int64))).shape == (0,)


def test_export_gives_the_same_numbers(fitted, periods, exported):
    features = periods[1].features
    np.testing.assert_allclose(run_export(exported, features), fitted.predict_proba(features), atol=1e-5)
    unknown = nothing_known(2)
    np.testing.assert_allclose(run_export(exported, unknown), fitted.predict_proba(unknown), atol=1e-5)


def test_export_says_what_it_is(name, fitted, exported):
    spec = json.loads((exported / "member.json").read_text())
    assert spec["member"] == name
    assert spec == json.loads(json.dumps(fitted.spec.to_json()))
    assert {path.name for path in exported.iterdir()} == {"member.json", spec["artefact"]}


def test_input_is_not_changed(name, periods, told):
    train, validation = (period.take(np.arange(0, len(period), 3)) for period in periods)
    before = copy.deepcopy((train, validation))
    member(name).fit(train, validation, told).predict_proba(validation.features)
    for now, then in zip((train, validation), before, strict=True):
        np.testing.assert_array_equal(now.label, then.label)
        for column in now.features.numeric:
            np.testing.assert_array_equal(now.features.numeric[column], then.features.numeric[column])
        for channel in now.features.sequences:
            np.testing.assert_array_equal(
                now.features.sequences[channel].values, then.features.sequences[channel].values
            )


@pytest.mark.parametrize("again", [False, True], ids=["fitted", "fitted again"])
def test_missing_values_are_refused_by_name_where_told_so(name, fitted, periods, told, again):
    train = with_numbers(known_everywhere(periods[0]), {"recency_days": np.nan})
    fit_it = partial(fitted.refit, train) if again else partial(member(name).fit, train, None)
    told = replace(told, impute="refuse")
    if not reads_features(fitted, periods[0]):
        assert fit_it(told).spec == fitted.spec
        return
    with pytest.raises(FeatureError, match=r"got NaN in recency_days \(1 of [\d,]+\); expected none"):
        fit_it(told)


def test_nothing_is_refused_that_is_known_everywhere(name, periods, told):
    train = known_everywhere(periods[0].take(np.arange(0, len(periods[0]), 5)))
    assert member(name).fit(train, None, replace(told, impute="refuse")).spec.member == name


@pytest.mark.parametrize("again", [False, True], ids=["fitted", "fitted again"])
def test_infinite_values_are_refused_by_name_whatever_is_told(name, fitted, periods, told, again):
    train = with_numbers(periods[0], {"tenure_days": np.inf})
    fit_it = partial(fitted.refit, train) if again else partial(member(name).fit, train, None)
    if not reads_features(fitted, periods[0]):
        assert fit_it(told).spec == fitted.spec
        return
    with pytest.raises(FeatureError, match=r"infinite: got tenure_days \(1 values\)"):
        fit_it(told)


@pytest.mark.parametrize("only", [0, 1])
def test_labels_of_one_class_are_refused(name, periods, only):
    train = periods[0]
    same = Examples(train.user_id, train.anchor_us, np.full(len(train), only, np.int8), train.features)
    with pytest.raises(SplitError, match="expected both"):
        member(name).fit(same, None, SETTINGS)


def test_history_counts_the_steps_it_kept(fitted):
    history = fitted.history
    assert len(history.train) == len(history.validation) == len(history.learning_rate)
    assert (history.best > 0) == bool(history.step)
    assert history.best <= len(history.train)
    json.dumps(history.to_json(), allow_nan=False)


def test_importance_is_a_share(fitted):
    if fitted.importance:
        assert sum(fitted.importance.values()) == pytest.approx(1.0)
        assert set(fitted.importance) == set(fitted.spec.tabular.names)


def test_an_unknown_parameter_is_refused_with_the_known_ones(name, periods):
    known = ", ".join(parameter.name for parameter in member(name).parameters) or "none at all"
    with pytest.raises(InputError, match=f"{name!r} has no parameter 'dept'; expected one of {known}"):
        member(name).fit(*periods, replace(SETTINGS, parameters={"dept": 3}))


def test_a_graph_has_no_loop(fitted, exported):
    if fitted.spec.runtime == "onnx":
        operations = {node.op_type for node in onnx.load(exported / "model.onnx").graph.node}
        assert not operations & {"Loop", "Scan", "If"}


def test_the_runtime_of_the_service_gives_the_same_numbers(fitted, periods, exported):
    spec = json.loads((exported / "member.json").read_text())
    features = periods[1].features.take(np.arange(0, periods[1].features.n, 7))
    served = load_member(spec, (exported / spec["artefact"]).read_bytes()).predict(features)
    np.testing.assert_allclose(served, fitted.predict_proba(features), atol=1e-5)


def reads_features(fitted, examples):
    """Whether it tells customers apart at all."""
    return np.ptp(fitted.predict_proba(examples.features)) > 0


def known_everywhere(examples):
    """Return the examples with a number wherever none was known."""
    numeric = {name: np.nan_to_num(values) for name, values in examples.features.numeric.items()}
    return replace(examples, features=replace(examples.features, numeric=numeric))


def with_numbers(examples, first):
    """Return the examples with other numbers in the first row."""
    numeric = {name: values.copy() for name, values in examples.features.numeric.items()}
    for name, value in first.items():
        numeric[name][0] = value
    return replace(examples, features=replace(examples.features, numeric=numeric))


def loss(p, label):
    return -np.log(np.where(label == 1, p, 1 - p)).mean()
