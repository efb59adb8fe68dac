import dataclasses
import json
import os
import time

import numpy as np
import optuna
import pytest

from feature_repo.errors import DependencyDown, InputError
from tests.unit.training.tuning.conftest import Deadly, Endless, Known, Trees, bring
from training.models.parameters import real
from training.tuning.own_process import CutByBudget, OutOfMemory, TrialFailed, each_in_own_process
from training.tuning.queue import default_trial, finished
from training.tuning.record import record_of
from training.tuning.trials import Budget


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_finds_what_is_better_than_the_defaults(sampler, make, nobody):
    study, trials, identity = make(sampler, only=("slope",) if sampler == "grid" else ())
    trials.run(study, Budget(9, None), nobody)
    record = record_of(study, trials, identity)
    assert record.defaults["slope"] == 0.2
    assert record.best < record.default
    assert record.better
    assert record.chosen["slope"] > 0.3
    assert record.difference == pytest.approx(record.best - record.default, abs=1e-6)
    assert sum(record.counts.values()) == (4 if sampler == "grid" else 9)  # a grid of four points ends by itself
    json.dumps(record.to_json(), allow_nan=False)


def test_one_at_a_time_what_is_named_is_judged_with_the_rest_at_its_default(make, nobody):
    study, trials, identity = make("one_at_a_time", only=("most=2", "slope=1,5"))
    for _ in range(2):  # gone on with, nothing is left to judge
        trials.run(study, Budget(None, None), nobody)
    values = [(one["values"]["most"], one["values"]["slope"]) for one in record_of(study, trials, identity).trials]
    assert values == [(7, 0.2), (2, 0.2), (7, 1.0), (7, 5.0)]
    assert record_of(study, trials, identity).chosen == {"most": 7, "slope": 1.0}


def test_one_at_a_time_every_point_is_judged_to_the_end_and_compared_with_the_defaults(make, nobody):
    study, trials, identity = make("one_at_a_time", only=("most=1,2,3", "slope=1,9,10"))
    trials.run(study, Budget(None, None), nobody)
    record = record_of(study, trials, identity)
    assert record.counts == {"complete": 7}  # the worst by far comes last, and is not pruned
    apart = [trial["difference"] for trial in record.trials]
    assert apart == pytest.approx([trial["score"] - record.default for trial in record.trials], abs=1e-4)  # of float32
    assert apart[:4] == [0.0] * 4
    assert min(apart) == record.difference < 0 < apart[5] < apart[6]
    assert all(trial["standard_error"] > 0 for trial in record.trials[4:])
    (trials.folder / "2.npy").unlink()
    assert record_of(study, trials, identity).trials[2]["difference"] is None


def test_pruned_trials_are_counted_and_end_early(make, nobody):
    study, trials, identity = make("random", seed=5)
    trials.run(study, Budget(12, None), nobody)
    counts = record_of(study, trials, identity).counts
    assert counts["pruned"] > 0
    for trial in finished(study):
        if trial.state == optuna.trial.TrialState.PRUNED:
            assert len(trial.intermediate_values) < len(trials.folds)


@pytest.mark.parametrize(("trouble", "counted"), [("memory", "out of memory"), ("killed", "out of memory"),
                                                  ("error", "failed")])  # fmt: skip
def test_a_trial_that_goes_wrong_is_counted_and_the_study_goes_on(trouble, counted, make, nobody):
    study, trials, identity = make("random", trouble=trouble)
    trials.run(study, Budget(7, None), nobody)
    record = record_of(study, trials, identity)
    assert sum(record.counts.values()) == 7
    assert record.counts[counted] > 0
    assert record.counts["complete"] > 1
    assert any("message" in trial for trial in record.trials if trial["state"] == counted)


def test_defaults_that_cannot_be_fitted_end_it(make, nobody):
    study, trials, _ = make(member=Known(name="broken", trouble="always"))
    with pytest.raises(TrialFailed, match=r"The defaults of member 'broken' cannot be fitted .* no such solver"):
        trials.run(study, Budget(3, None), nobody)


def test_a_study_goes_on_where_it_was(make, nobody):
    study, trials, _ = make()
    trials.run(study, Budget(4, None), nobody)
    study, trials, identity = make()
    assert len(finished(study)) == 4
    trials.run(study, Budget(6, None), nobody)
    assert len(finished(study)) == 6
    assert record_of(study, trials, identity).standard_error is not None
    kept = trials.folder / f"{study.best_trial.number}.npy"
    kept.write_bytes(next(path.read_bytes() for path in sorted(trials.folder.iterdir()) if path != kept))
    with pytest.raises(InputError, match=f"Predictions of trial {study.best_trial.number} .* a digest of"):
        record_of(study, trials, identity)  # another trial's
    for path in trials.folder.iterdir():
        path.unlink()  # another machine has the study, but not what its trials predicted
    for refused in (lambda: record_of(study, trials, identity), lambda: trials.require_predictions(study)):
        with pytest.raises(InputError, match="Begin another study with --name"):
            refused()


def test_going_on_does_not_draw_the_same_values_again(make, nobody):
    for trials_in_all in (2, 3, 4):
        study, trials, _ = make("random", only=("slope",))
        trials.run(study, Budget(trials_in_all, None), nobody)
    assert len({trial.params["slope"] for trial in finished(study)}) == 4


def test_a_time_is_kept_but_for_the_defaults(make, nobody):
    study, trials, _ = make()
    trials.run(study, Budget(None, 0.0), nobody)
    assert [trial.number for trial in finished(study)] == [default_trial(study).number]


def test_no_trial_begins_that_the_time_would_cut_off(make, nobody, monkeypatch):
    study, trials, _ = make(trouble="slow")
    trials.run(study, Budget(2, None), nobody)
    least = min(trial.user_attrs["seconds"] for trial in finished(study))
    trials.run(study, Budget(None, 0.9 * least), nobody)
    assert len(study.trials) == 2


def test_how_many_trials_there_will_be(make):
    _, trials, _ = make("grid", only=("slope",))
    assert [trials.planned(Budget(most, None)) for most in (40, 2, None)] == [4, 2, 4]
    _, trials, _ = make("tpe", only=("slope",))
    assert [trials.planned(Budget(most, None)) for most in (40, None)] == [40, 0]


def test_a_study_of_another_space_is_refused(make):
    make()
    narrowed = Known()
    narrowed.parameters = (real("slope", 0.2, 0.1, 1.0, ""), *Known.parameters[1:])
    with pytest.raises(InputError, match="Study 'known' is of another search space"):
        make(member=narrowed)


def test_addresses_that_are_none_are_told(make, tmp_path):
    from training.tuning.study import Identity, open_study

    identity = Identity("known", "", "", "log_loss", 3, 1)
    with pytest.raises(InputError, match="Expected an address of SQLAlchemy"):
        open_study("somewhere", "known", "tpe", identity)
    with pytest.raises(InputError, match="oracel"):
        open_study("oracel://host/db", "known", "tpe", identity)
    with pytest.raises(DependencyDown) as problem:
        open_study("postgresql+psycopg://someone:secret@127.0.0.1:1/db", "known", "tpe", identity)
    assert "secret" not in str(problem.value)


@pytest.mark.skipif(not os.environ.get("INTENT_TEST_POSTGRES_URL"), reason="needs INTENT_TEST_POSTGRES_URL")
def test_a_study_lives_in_postgresql_as_well(nobody):
    from training.tuning.study import Identity, open_study

    url = os.environ["INTENT_TEST_POSTGRES_URL"].replace("postgresql://", "postgresql+psycopg://")
    identity = Identity("known", "", "", "log_loss", 3, 1)
    study = open_study(url, f"known-{os.getpid()}", "tpe", identity)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    again = open_study(url, f"known-{os.getpid()}", "tpe", identity)
    assert len(again.trials) == 1
    optuna.delete_study(study_name=f"known-{os.getpid()}", storage=url)


def test_a_deadline_ends_the_process():
    began = time.monotonic()
    with pytest.raises(CutByBudget):
        list(each_in_own_process(Endless(), 1, began + 0.2))
    assert time.monotonic() - began < 20


def test_what_killed_the_process_is_told():
    with pytest.raises(OutOfMemory, match="ended by SIGKILL"):
        list(each_in_own_process(Deadly(), 1, time.monotonic() + 30))


def test_a_caller_who_has_fitted_trees_may_tune_them():
    """OpenMP's threads are in the caller by then; a child forked from it would wait for them without end."""
    here = Trees()(0)
    assert np.array_equal(next(each_in_own_process(Trees(), 1, time.monotonic() + 60)), here)


@dataclasses.dataclass
class Unreadable:
    """Work that ends its process while it is taken over, in one of the ways that a lack of memory has."""

    how: str

    def __setstate__(self, state):
        bring(state["how"])

    def __call__(self, number):
        raise AssertionError("never taken over")


class Large(Unreadable):
    """The same, and of a size that no pipe holds: its caller is still sending it."""

    def __getstate__(self):
        return {"how": self.how, "examples": np.zeros(2_000_000)}


@pytest.mark.parametrize("kind", [Unreadable, Large])
@pytest.mark.parametrize(("how", "told"), [("memory", "cannot have 3 TiB"), ("killed", "ended by SIGKILL")])
def test_no_memory_for_the_examples_themselves_is_told(kind, how, told, capfd):
    with pytest.raises(OutOfMemory, match=told):
        list(each_in_own_process(kind(how), 1, time.monotonic() + 30))
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("trouble", ["always", "always killed"])
def test_defaults_that_failed_are_asked_again(trouble, make, nobody):
    """What was in the way, a package or the memory, may be there by now; then the study is as any other."""
    study, trials, _ = make("grid", trouble=trouble, only=("slope",))
    for _ in range(2):
        with pytest.raises(TrialFailed, match="The defaults of member 'known' cannot be fitted"):
            trials.run(study, Budget(None, None), nobody)
    study, trials, identity = make("grid", only=("slope",))
    trials.run(study, Budget(None, None), nobody)
    counts = record_of(study, trials, identity).counts
    assert counts == {"complete": 4, "failed" if trouble == "always" else "out of memory": 2}


def test_a_study_of_another_seed_is_refused(make):
    make()
    with pytest.raises(InputError, match=r"Study 'known' is of another seed .seed is 1, now 2.*--name"):
        make(seed=2)
