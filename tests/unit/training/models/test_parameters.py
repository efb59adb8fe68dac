import math

import pytest

from feature_repo.errors import InputError
from training.models import members
from training.models.parameters import chosen_parameters, flag, one_of, real, whole

DECLARED = (
    whole("depth", 4, 1, 10, "levels"),
    real("l1", 0.0, 1e-6, 1e-2, "penalty", log=True),
    one_of("kind", "gru", ("gru", "lstm"), "cell"),
    flag("weighted", False, "class weights"),
)


def test_what_is_absent_has_its_default():
    assert chosen_parameters("net", DECLARED, {"depth": 7}) == {
        "depth": 7, "l1": 0.0, "kind": "gru", "weighted": False,
    }  # fmt: skip


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="'net' has no parameter 'dept'; expected one of depth, l1, kind, weighted"):
        chosen_parameters("net", DECLARED, {"dept": 7})
    with pytest.raises(InputError, match="expected one of none at all"):
        chosen_parameters("net", (), {"depth": 7})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("depth", 0, "a whole number from 1 to 10"),
        ("depth", 2.0, "a whole number"),
        ("depth", True, "a whole number"),
        ("l1", 1e-9, "a number from 1e-06 to 0.01, or 0.0"),
        ("l1", math.nan, "a number"),
        ("l1", "small", "a number"),
        ("kind", "rnn", "one of 'gru', 'lstm'"),
        ("weighted", 1, "true or false"),
    ],
)
def test_a_value_that_is_not_accepted_is_told(name, value, expected):
    with pytest.raises(InputError, match=expected):
        chosen_parameters("net", DECLARED, {name: value})


def test_every_member_accepts_its_own_defaults_and_both_ends_of_its_ranges():
    for name, found in members().items():
        names = [parameter.name for parameter in found.parameters]
        assert len(set(names)) == len(names)
        for parameter in found.parameters:
            ends = parameter.choices or ((True, False) if parameter.kind == "bool" else (parameter.low, parameter.high))
            for value in (parameter.default, *ends):
                assert chosen_parameters(name, found.parameters, {parameter.name: value})[parameter.name] == value
            assert not parameter.log or parameter.low > 0
            assert parameter.about
