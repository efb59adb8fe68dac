"""Fit the simulator to the real data sets, and write what was found into the package.

    python -m training.simulator.fit FOLDER                 # of the real data sets; about two minutes
    python -m training.simulator.fit FOLDER --version 2     # another version, after something was changed

What is read: Taobao (kinds of sessions, pauses, mix of types, conversion, events per customer), Ta Feng (days between
purchases, margins), REES46 (prices), all of them (popularity). What no data set says stays as it is under `chosen` in
`parameters.json`: how visible the hidden states are, age groups, countries, seasons, tastes, budgets.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import SourceDataError
from training.atomic import write_json
from training.simulator.distances import distances, simulated_log
from training.simulator.parameters import Parameters
from training.simulator.real_sets import REAL_SETS, real_log
from training.simulator.session_fit import Tilt, kinds_of_session, two_chains
from training.simulator.shapes import SESSION_S, Shape, ShapeLog, shape_of

__all__ = ["fit", "main"]

Floats = NDArray[np.float64]
_HERE = Path(__file__).parent
_CLASSES = np.array([-1.15, -0.3, 0.45, 1.35])  # middles of the classes of a normal variable
_CUSTOMERS = 2_500
_TRIALS = 160

# Start, lowest and highest value of what is searched for.
SEARCHED = {
    "spread": (0.9, 0.2, 1.3),
    "away to browsing": (0.015, 0.005, 0.2),
    "away to deciding": (0.0025, 0.0005, 0.05),
    "browsing to away": (0.09, 0.02, 0.4),
    "browsing to deciding": (0.10, 0.01, 0.3),
    "deciding to away": (0.08, 0.05, 0.4),
    "deciding to browsing": (0.11, 0.01, 0.3),
    "deciding after a purchase": (0.33, 0.02, 0.7),
    "deciding buys": (3.5, 1.5, 7.0),
    "deciding carts": (2.6, 1.0, 6.0),
}
# What the search minimises: the sum of these distances, times their weights.
AIMS = {
    ("types of events (share of views)", "taobao"): 1.0,
    ("sessions with a purchase", "taobao"): 1.0,
    ("purchases per cart", "taobao"): 0.3,
    ("events in a session (median)", "taobao"): 1.0,
    ("events of a customer, by the mean (median)", "taobao"): 1.0,
    ("days between purchases (median)", "ta_feng"): 2.0,
}


def fit(folder: Path, chosen: dict[str, Any], version: int) -> tuple[dict[str, Any], dict[str, Shape]]:
    """Return the content of `parameters.json`, and the shapes of the real data sets."""
    logs = {name: real_log(name, folder) for name in REAL_SETS}
    shapes = {name: shape_of(log, days) for name, (log, days) in logs.items()}
    chains = two_chains(logs["taobao"][0])
    fixed = {
        "pause": _pauses(logs["taobao"][0]),
        "price": _prices(logs["rees46"][0]),
        "margin": _margins(logs["ta_feng"][0]),
        "popularity": _popularity(shapes),
    }
    values = _search(chains, fixed, chosen, shapes)
    fitted = _fitted(chains, fixed, values)
    return {"version": version, "fitted": fitted, "chosen": chosen}, shapes


def _search(
    chains: Floats, fixed: dict[str, Any], chosen: dict[str, Any], shapes: dict[str, Shape]
) -> dict[str, float]:
    """A random walk that keeps what is better, always on the same simulated customers."""
    random = np.random.default_rng(0)
    start, lowest, highest = np.array(list(SEARCHED.values())).T
    aimed = {name: shapes[name] for name in ("taobao", "ta_feng")}

    def loss(values: Floats) -> float:
        named = dict(zip(SEARCHED, values.tolist(), strict=True))
        told = {"version": 0, "fitted": _fitted(chains, fixed, named), "chosen": chosen}
        log = simulated_log(Parameters.of_json(told), _CUSTOMERS, items=2_000)
        found = {(one.what, one.data): one.distance for one in distances(log, aimed)}
        return sum(weight * found[aim] for aim, weight in AIMS.items())

    best, step = loss(start), 0.3
    for trial in range(_TRIALS):
        moved = step * random.standard_normal(len(start)) * (random.random(len(start)) < 0.4)
        values = np.clip(start * np.exp(moved), lowest, highest)
        found = loss(values)
        better = found < best
        best, start = (found, values) if better else (best, start)
        step = min(step * 1.3, 0.5) if better else max(step * 0.98, 0.05)
        if trial % 20 == 19:
            sys.stderr.write(f"  {trial + 1} of {_TRIALS} trials, distance {best:.4f}\n")
    return dict(zip(SEARCHED, start.tolist(), strict=True))


def _fitted(chains: Floats, fixed: dict[str, Any], values: dict[str, float]) -> dict[str, Any]:
    tilt = replace(Tilt(), deciding_buys=values["deciding buys"], deciding_carts=values["deciding carts"])
    first, follow = kinds_of_session(chains, tilt)
    up = [values["away to browsing"], values["away to deciding"], values["browsing to deciding"]]
    down = [values["browsing to away"], values["deciding to away"], values["deciding to browsing"]]
    states = [
        [1 - up[0] - up[1], up[0], up[1]],
        [down[0], 1 - down[0] - up[2], up[2]],
        [down[1], down[2], 1 - down[1] - down[2]],
    ]
    stays = values["deciding after a purchase"]
    return fixed | {
        "first": _shares(first),
        "follow": _shares(follow),
        "states": _shares(np.array(states)),
        "after_purchase": _shares(np.array([0.7 * (1 - stays), 0.3 * (1 - stays), stays])),
        "classes": np.exp(values["spread"] * _CLASSES).round(6).tolist(),
    }


def _shares(table: Floats) -> Any:
    """Rounded to numbers that a file may show, and still summing to 1."""
    rounded = table.round(6)
    rounded[..., -1] += 1 - rounded.sum(-1)
    return rounded.round(6).tolist()


def _pauses(log: ShapeLog) -> list[list[float]]:
    """Two log-normal parts by expectation-maximisation over the pauses within sessions."""
    order = np.lexsort((log.second, log.customer))
    pause = np.diff(log.second[order])
    same = (np.diff(log.customer[order]) == 0) & (pause < SESSION_S)
    values = np.log(np.maximum(pause[same], 1).astype(np.float64))
    share, mean, deviation = np.array([0.7, 0.3]), np.array([3.5, 5.5]), np.array([1.0, 1.0])
    for _ in range(200):
        density = share / deviation * np.exp(-0.5 * ((values[:, None] - mean) / deviation) ** 2)
        weight = density / density.sum(1, keepdims=True)
        total = weight.sum(0)
        share, mean = total / len(values), (weight * values[:, None]).sum(0) / total
        deviation = np.sqrt((weight * (values[:, None] - mean) ** 2).sum(0) / total)
    return np.stack([share, mean, deviation], axis=1).round(4).tolist()


def _prices(log: ShapeLog) -> list[float]:
    """Mean and deviation of the logarithm over items; half of the variance lies between categories."""
    _, one = np.unique(log.item, return_index=True)
    price = _given(log.price)[one]
    logarithm = np.log(price[price > 0])
    deviation = float(logarithm.std())
    return [round(float(logarithm.mean()), 4), round(deviation, 4), round(deviation * 0.5**0.5, 4)]


def _margins(log: ShapeLog) -> list[float]:
    return np.quantile(np.clip(_given(log.margin), -1, 0.9), np.linspace(0, 1, 21)).round(4).tolist()


def _given(values: Floats | None) -> Floats:
    if values is None:
        raise SourceDataError("A real data set lacks prices or costs; expected both in Ta Feng, prices in REES46.")
    return values


def _popularity(shapes: dict[str, Shape]) -> list[float]:
    """The exponent whose slope is closest to all sets' together, drawing as many events as each has."""
    random, ranks = np.random.default_rng(0), np.arange(1, 12_001)

    def apart(exponent: float) -> float:
        weight = (ranks + 10.0) ** -exponent
        drawn = (
            (shape, random.multinomial(min(shape.events, 500_000), weight / weight.sum())) for shape in shapes.values()
        )
        return sum(abs(_slope(counts) - shape.numbers["slope of popularity"]) for shape, counts in drawn)

    return [min(np.arange(0.3, 1.21, 0.02).round(2).tolist(), key=apart), 10.0]


def _slope(counts: NDArray[np.int64]) -> float:
    ordered = np.sort(counts)[::-1][9:500]
    return float(np.polyfit(np.log(np.arange(10, 501)), np.log(np.maximum(ordered, 1)), 1)[0])


def main() -> None:
    """Fit, and replace `parameters.json` and `real_shapes.json` beside this module."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--version", type=int, default=1)
    chosen = options.parse_args()
    before = json.loads((_HERE / "parameters.json").read_text(encoding="utf-8"))
    told, shapes = fit(chosen.folder, before["chosen"], chosen.version)
    Parameters.of_json(told)
    write_json(_HERE / "parameters.json", told)
    write_json(_HERE / "real_shapes.json", {name: shape.to_json() for name, shape in shapes.items()})


if __name__ == "__main__":
    main()
