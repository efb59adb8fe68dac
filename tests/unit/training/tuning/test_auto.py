import json
import time

import pytest

from feature_repo.errors import InputError
from tests.unit.training.tuning.conftest import Known
from training.models.parameters import real
from training.tuning.auto import Contender, tune_together
from training.tuning.own_process import TrialFailed
from training.tuning.queue import finished
from training.tuning.record import record_of
from training.tuning.trials import Budget


def contender(make, member):
    study, trials, identity = make(member=member)
    return Contender(member.name, study, trials, lambda: record_of(study, trials, identity))


def four_trials(one, seconds, task):
    assert 0 < seconds <= 600
    one.trials.run(one.study, Budget(len(finished(one.study)) + 4, None), task)


@pytest.fixture
def contenders(make):
    useless = Known(name="useless")
    useless.parameters = (real("other", 0.1, 0.05, 0.2, "changes nothing"),)
    fixed = Known(name="fixed")
    fixed.parameters = ()
    return [contender(make, member) for member in (Known(), useless, fixed)]


def test_time_goes_to_those_that_matter_and_the_best_are_chosen(contenders, nobody):
    found = tune_together(contenders, Budget(None, 600.0), nobody, four_trials)
    assert found.rounds[0] == ("known", "useless")
    assert found.rounds[-1] == ("known",)
    assert found.chosen == ("known",)
    assert found.studies["known"].better
    assert found.best_member == "known"
    assert found.ensemble <= found.best + 1e-9
    assert found.left_out == ()
    assert len(finished(contenders[2].study)) == 1
    json.dumps(found.to_json(), allow_nan=False)


def test_defaults_that_do_not_fit_into_the_time_are_cut_off_and_named(make, contenders, nobody):
    endless = contender(make, Known(name="endless", trouble="endless"))
    known, useless, _ = contenders
    known.trials.run(known.study, Budget(0, None), nobody)  # of an earlier call: it costs no time
    begun = time.monotonic()
    found = tune_together([known, endless, useless], Budget(None, 3.0), nobody)
    assert 3.0 <= time.monotonic() - begun < 30.0  # a fit of it takes minutes
    assert found.left_out == ("endless", "useless")
    assert (found.chosen, found.failed, found.rounds) == (("known",), {}, ())
    assert finished(endless.study) == []  # it is judged anew by a tuning with more time
    trial = endless.study.trials[-1]
    assert (trial.state.name, trial.user_attrs["why"]) == ("FAIL", "cut by the budget")


class Hungry(Known):
    """Its fit needs more memory than there is."""

    def fit(self, *_: object) -> Known:
        raise MemoryError


def test_a_member_that_runs_out_of_memory_is_named_and_the_others_go_on(make, contenders, nobody):
    hungry = contender(make, Hungry(name="hungry"))
    found = tune_together([hungry, *contenders], Budget(None, 600.0), nobody, four_trials)
    assert found.failed.keys() == {"hungry"}
    assert "MemoryError" in found.failed["hungry"]
    assert (found.chosen, found.left_out) == (("known",), ())
    assert "hungry" not in found.studies
    json.dumps(found.to_json(), allow_nan=False)
    with pytest.raises(TrialFailed, match="'hungry' cannot be fitted"):
        tune_together([hungry], Budget(None, 600.0), nobody)


def test_without_time_at_least_one_is_judged_and_the_others_are_named(contenders, nobody):
    with pytest.raises(InputError, match="needs a time"):
        tune_together(contenders, Budget(3, None), nobody)
    with pytest.raises(InputError, match="no member to tune"):
        tune_together([], Budget(None, 1.0), nobody)
    found = tune_together(contenders, Budget(None, 0.0), nobody)
    assert found.left_out == ("useless", "fixed")
    assert found.chosen == ("known",)
