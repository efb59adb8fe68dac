"""The parameters are frozen: a version is one set of numbers, and what is no set of numbers is refused."""

import json
from pathlib import Path

import pytest

import training.simulator
from feature_repo.errors import InputError
from training.simulator.parameters import Parameters, load_parameters

FILE = Path(training.simulator.__file__).with_name("parameters.json")
FROZEN = {1: "60fd9e8a5f870fcc08ee39cc8db72a5c1bfd68dbbab9c91add827895635e9218"}


def test_a_version_never_changes():
    """Figures name the version: other numbers are another version, with a line of its own here."""
    parameters = load_parameters()
    assert FROZEN[parameters.version] == parameters.digest


def test_the_file_holds_numbers_only():
    told = json.loads(FILE.read_text())
    assert set(told) == {"version", "fitted", "chosen"}

    def numbers(value):
        return all(numbers(one) for one in value) if isinstance(value, list) else isinstance(value, int | float)

    assert all(numbers(value) for part in ("fitted", "chosen") for value in told[part].values())
    assert FILE.stat().st_size < 10_000


@pytest.mark.parametrize(
    ("part", "name", "value", "says"),
    [
        ("fitted", "states", [[1.2, -0.1, -0.1]] * 3, "'states' holds .* expected probabilities"),
        ("chosen", "slots", [0.2, 0.2, 0.2], "'slots' holds .* sum to 1"),
        ("chosen", "visit", [0.1, float("nan"), 0.2], "'visit' is not finite"),
        ("chosen", "colour", [1], "'colour'.* missing or too many"),
    ],
)
def test_what_is_no_parameter_is_refused(part, name, value, says):
    told = json.loads(FILE.read_text())
    told[part][name] = value
    with pytest.raises(InputError, match=says):
        Parameters.of_json(told)
