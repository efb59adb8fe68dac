"""How the report writes numbers: few digits, a true minus, and a dash with a reason where there is none."""

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta

from markupsafe import Markup

from training.evaluation.bootstrap import Interval
from training.evaluation.metrics import HIGHER_IS_BETTER, METRICS

__all__ = ["FILTERS", "FURTHER_NAMES", "METRIC_NAMES", "best_of", "rail"]

METRIC_NAMES = dict(zip(METRICS, ("ROC-AUC", "PR-AUC", "Log loss", "Brier", "ECE", "Lift at 10 %"), strict=True))
FURTHER_NAMES = {
    "reliability": "Reliability",
    "resolution": "Resolution",
    "uncertainty": "Uncertainty",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "selection_rate": "Selected",
    "lift_at_5": "Lift at 5 %",
    "lift_at_20": "Lift at 20 %",
    "gain_at_10": "Gain at 10 %",
    "gain_at_20": "Gain at 20 %",
}

NOT_DEFINED = Markup('<span class="none" title="not defined here">–</span>')
MINUS, NARROW_SPACE = "\N{MINUS SIGN}", "\N{NARROW NO-BREAK SPACE}"


def metric(value: float | None, name: str = "") -> str:
    """Return a metric with four decimals; the lift with two and a multiplication sign."""
    if value is None or not math.isfinite(value):
        return NOT_DEFINED
    text = f"{value:.2f}{NARROW_SPACE}×" if name == "lift_at_10" else f"{value:.4f}"
    return text.replace("-", MINUS)


def signed(value: float | None) -> str:
    """Return a difference with its sign and four decimals."""
    if value is None or not math.isfinite(value):
        return NOT_DEFINED
    return _with_sign(value)


def ends(interval: Interval | None, name: str = "") -> str:
    """Return an interval as `low – high`."""
    if interval is None or not math.isfinite(interval.low):
        return NOT_DEFINED
    digits = 2 if name == "lift_at_10" else 4
    low, high = f"{interval.low:.{digits}f}", f"{interval.high:.{digits}f}"
    return f"{low} to {high}".replace("-", MINUS)


def signed_ends(interval: Interval | None) -> str:
    """Return the interval of a difference, both ends with their sign."""
    if interval is None or not math.isfinite(interval.low):
        return NOT_DEFINED
    return f"{_with_sign(interval.low)} to {_with_sign(interval.high)}"


def _with_sign(value: float) -> str:
    """Return four decimals with a sign; what rounds to nothing has none."""
    text = f"{value:+.4f}"
    return text[1:] if float(text) == 0.0 else text.replace("-", MINUS)


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share as a percentage."""
    if value is None or not math.isfinite(value):
        return NOT_DEFINED
    return f"{100.0 * value:.{digits}f}{NARROW_SPACE}%".replace("-", MINUS)


def number(value: float | str | None, digits: int = 0) -> str:
    """Return a count with commas between thousands; text as it is."""
    if isinstance(value, str):
        return value
    if value is None or not math.isfinite(value):
        return NOT_DEFINED
    places = 0 if float(value).is_integer() else max(digits, 2 if abs(value) < 100 else 0)
    return f"{value:,.{places}f}".replace("-", MINUS)


def duration(seconds: float | None) -> str:
    """Return seconds as `0.4 s`, `12 s` or `3 min 05 s`."""
    if seconds is None or not math.isfinite(seconds):
        return NOT_DEFINED
    if seconds < 10:
        return f"{seconds:.1f}{NARROW_SPACE}s"
    whole = timedelta(seconds=round(seconds)).total_seconds()
    minutes, rest = divmod(int(whole), 60)
    return f"{minutes}{NARROW_SPACE}min {rest:02d}{NARROW_SPACE}s" if minutes else f"{rest}{NARROW_SPACE}s"


def clamped(value: float) -> str:
    """Return a percentage of a bar's width, within 0 and 100; nothing where it is not finite."""
    return f"{min(max(value, 0.0), 100.0):.1f}" if math.isfinite(value) else "0"


def target_figure(figure: str) -> str:
    """Return the name of a target's figure in words."""
    metric_name = figure.removesuffix("_low")
    words = METRIC_NAMES.get(metric_name, metric_name)
    return f"{words}, lower end of the interval" if figure.endswith("_low") else words


def rail(low: float, middle: float, high: float, span: tuple[float, float]) -> dict[str, float] | None:
    """Return an interval's place on a rail over `span`, in percent of its width; None if it is not finite."""
    if not all(math.isfinite(value) for value in (low, middle, high, *span)) or span[1] <= span[0]:
        return None

    def place(value: float) -> float:
        return round(100.0 * min(max((value - span[0]) / (span[1] - span[0]), 0.0), 1.0), 2)

    return {"left": place(low), "width": round(place(high) - place(low), 2), "dot": place(middle)}


def best_of(metrics: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return the members with the best estimate of each metric in `names`: several if equal, none if none is finite."""
    best = {}
    for name in names:
        known = {member: values[name] for member, values in metrics.items() if math.isfinite(values[name])}
        first = max if name in HIGHER_IS_BETTER else min
        limit = first(known.values(), default=math.nan)
        best[name] = frozenset(member for member, value in known.items() if value == limit)
    return best


FILTERS = {
    "metric": metric,
    "signed": signed,
    "ends": ends,
    "signed_ends": signed_ends,
    "percent": percent,
    "number": number,
    "duration": duration,
    "clamped": clamped,
    "target_figure": target_figure,
}
