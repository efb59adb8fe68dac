import pytest

from training.evaluation.bootstrap import Interval
from training.evaluation.report_numbers import FILTERS, best_of, rail

NAN = float("nan")
SPACE = "\N{NARROW NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("metric", 0.75061, "0.7506"),
        ("signed", -0.00063, "−0.0006"),
        ("signed", 0.0012, "+0.0012"),
        ("signed", -0.00001, "0.0000"),
        ("percent", 0.1854, f"18.5{SPACE}%"),
        ("number", 90291, "90,291"),
        ("number", 1.25, "1.25"),
        ("number", 1536.4, "1,536"),
        ("number", "7 days", "7 days"),
        ("duration", 0.44, f"0.4{SPACE}s"),
        ("duration", 12.4, f"12{SPACE}s"),
        ("duration", 185.0, f"3{SPACE}min 05{SPACE}s"),
        ("ends", Interval(0.746, 0.755), "0.7460 to 0.7550"),
        ("signed_ends", Interval(-0.001, 0.002), "−0.0010 to +0.0020"),
        ("clamped", 250.0, "100.0"),
        ("target_figure", "roc_auc_low", "ROC-AUC, lower end of the interval"),
    ],
)
def test_a_number_is_written_with_few_digits(name, value, text):
    assert FILTERS[name](value) == text


@pytest.mark.parametrize("name", ["metric", "signed", "percent", "number", "duration"])
@pytest.mark.parametrize("value", [None, NAN, float("inf")])
def test_what_is_not_there_is_a_dash_with_a_reason(name, value):
    assert "not defined" in FILTERS[name](value)


def test_a_rail_places_an_interval_within_its_span():
    assert rail(0.6, 0.7, 0.8, (0.5, 1.0)) == {"left": 20.0, "width": 40.0, "dot": 40.0}
    assert rail(0.1, 0.7, 2.0, (0.5, 1.0)) == {"left": 0.0, "width": 100.0, "dot": 40.0}
    assert rail(NAN, 0.7, 0.8, (0.5, 1.0)) is None
    assert rail(0.6, 0.7, 0.8, (0.5, 0.5)) is None


def test_best_knows_which_way_is_better_and_shares_a_tie():
    metrics = {"a": {"roc_auc": 0.7, "log_loss": 0.4}, "b": {"roc_auc": 0.8, "log_loss": NAN}}
    assert best_of(metrics, ("roc_auc", "log_loss")) == {"roc_auc": {"b"}, "log_loss": {"a"}}
    assert best_of({"a": {"ece": 0.1}, "b": {"ece": 0.1}}, ("ece",)) == {"ece": {"a", "b"}}
    assert best_of({"a": {"ece": NAN}}, ("ece",)) == {"ece": frozenset()}
