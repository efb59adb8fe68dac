import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.errors import InputError
from tests.unit.training.tuning.conftest import Known
from training.models import members
from training.models.contract import chosen_parameters
from training.models.parameters import real, whole
from training.tuning.search_space import clamped, defaults, fingerprint, grid_points, points_one_at_a_time, searched


def test_what_is_not_searched_stays_out():
    assert [one.name for one in searched("known", Known.parameters)] == ["slope", "noise", "kind", "harm"]
    assert [one.name for one in searched("known", Known.parameters, ["kind", "slope"])] == ["kind", "slope"]


def test_what_is_named_is_searched_even_if_it_is_left_alone_otherwise():
    assert [one.name for one in searched("known", Known.parameters, ["most", "kind"])] == ["most", "kind"]
    assert {point["most"] for point in grid_points(searched("known", Known.parameters, ["most"]), 1)} == {1, 5, 7, 9}


@pytest.mark.parametrize("only", [["least"], ["slope", "least=3"], ["slope", "slope=1,2"], ["=3"]])
def test_names_that_are_unknown_or_there_twice_are_refused(only):
    wrong = "Parameters .* of member 'known' cannot be searched; expected some of slope, .* most, each once"
    with pytest.raises(InputError, match=wrong):
        searched("known", Known.parameters, only)
    with pytest.raises(InputError, match="nothing to tune"):
        searched("constant", (), only)


@pytest.mark.parametrize(
    ("only", "tried"),
    [
        ("most=2,9", [7, 2, 9]),
        ("most=7, 2,2", [7, 2]),
        ("slope=1,1e-1", [0.2, 1.0, 0.1]),
        ("kind=B", ["a", "b"]),
        ("harm=true", [False, True]),
    ],
)
def test_values_that_are_given_are_tried_beside_the_default(only, tried):
    (space,) = searched("known", Known.parameters, [only])
    assert list(space.choices) == tried
    assert sorted(point[space.name] for point in grid_points([space], 1)) == sorted(tried)
    (whole_range,) = searched("known", Known.parameters, [space.name])
    assert (fingerprint([space]) == fingerprint([whole_range])) == (space == whole_range)


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ("most=2,10", "Values 10 of parameter 'most' .* a whole number from 1 to 9"),
        ("most=2.5,x,3", "Values '2.5', 'x' of parameter 'most' .* a whole number from 1 to 9"),
        ("slope=nan", "Values nan of parameter 'slope' .* a number from 0.01 to 10"),
        ("slope=", "Values '' of parameter 'slope' .* a number from 0.01 to 10"),
        ("kind=c", "Values 'c' of parameter 'kind' .* one of 'a', 'b'"),
        ("harm=1", "Values '1' of parameter 'harm' .* true or false"),
    ],
)
def test_values_outside_what_is_declared_are_refused(only, expected):
    with pytest.raises(InputError, match=expected):
        searched("known", Known.parameters, [only])


def test_one_at_a_time_each_point_differs_from_the_defaults_in_one():
    penalty = real("l1", 0.0, 1e-6, 1e-2, "", log=True)
    space = (*searched("known", (*Known.parameters, penalty), ["most=2,9", "harm", "l1=1e-4", "noise"]),)
    usual = {"most": 7, "harm": False, "l1": 0.0, "noise": 0}
    changes = [{"most": 2}, {"most": 9}, {"harm": True}, {"l1": 1e-4}, {"noise": 2}, {"noise": 3}]
    assert list(points_one_at_a_time(space)) == [usual | change for change in changes]


def test_the_fingerprint_is_of_the_space_alone():
    space = searched("known", Known.parameters)
    assert fingerprint(space) == fingerprint(tuple(reversed(space)))
    other = real("slope", 0.2, 0.01, 20.0, "of the log-odds", log=True)
    assert fingerprint((other, *space[1:])) != fingerprint(space)
    reworded = real("slope", 0.2, 0.01, 10.0, "in other words", log=True)
    assert fingerprint((reworded, *space[1:])) == fingerprint(space)


def test_a_grid_has_each_point_once_and_the_defaults_among_them():
    space = searched("known", Known.parameters)
    points = [tuple(point.items()) for point in grid_points(space, 1)]
    assert len(points) == len(set(points)) == 4 * 3 * 2 * 2  # slope has its default beside three values
    assert tuple(defaults(space).items()) in points
    assert [tuple(point.items()) for point in grid_points(space, 2)] != points


@given(st.integers(1, 5), st.integers(0, 50), st.booleans())
def test_a_grid_stays_in_its_ranges(low, more, log):
    space = (whole("n", low, low, low + more, "", log=log), real("x", 0.0, 0.001, 0.001 + more, "", log=log))
    for point in grid_points(space, 0):
        assert low <= point["n"] <= low + more
        assert 0.001 <= point["x"] <= 0.001 + more


def test_a_space_of_billions_is_drawn_from_without_being_laid_out():
    space = tuple(real(f"x{number}", 0.5, 0.0, 1.0, "") for number in range(40))
    assert len(next(grid_points(space, 0))) == 40


def test_defaults_outside_a_range_are_moved_into_it_for_the_sampler():
    space = (real("l1", 0.0, 1e-6, 1e-2, "", log=True), whole("n", 9, 1, 5, ""))
    assert clamped(space, defaults(space)) == {"l1": 1e-6, "n": 5}


def test_every_members_grid_is_accepted_by_it():
    for name, found in members().items():
        for _, point in zip(range(20), grid_points(searched(name, found.parameters), 3), strict=False):
            assert chosen_parameters(name, found.parameters, point).items() >= point.items()
            assert not any(isinstance(value, np.generic) for value in point.values())
