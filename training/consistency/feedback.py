"""What was said beside what became of it: outcomes that came back, joined to the answers in the served log.

An answer is found by the request's id, and where a request was about several customers or items, by the one that the
outcome names; an outcome that names none of several is of no answer. Of several outcomes of one answer the one received
last counts. A member's or a model's calibration is judged on what came back: if only
purchases are reported, that is no sample of all answers, and the command says how many of the answers have an outcome.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import SourceDataError
from training.consistency.served_log import LogFacts, read_answers, served_parts
from training.evaluation.metrics import Ranking, equal_mass_bins, probability_metrics

__all__ = ["Bin", "Feedback", "ModelFeedback", "join_feedback"]

_BINS = 10
Key = tuple[str, str, str]
"""A request, and the customer and the item that an outcome names; "" is not named."""


@dataclass(frozen=True)
class Bin:
    """Answers of similar probability: how many, what was said of them on average, and the share that bought."""

    answers: int
    said: float
    bought: float


@dataclass(frozen=True)
class ModelFeedback:
    """One model's answers that have an outcome; `metrics` are those of `training.evaluation.metrics`."""

    answers: int
    outcomes: int
    said: float
    bought: float
    metrics: dict[str, float]
    bins: list[Bin]


@dataclass
class Feedback:
    """What a folder holds.

    Attributes:
        outcomes: different answers that an outcome was sent for.
        joined: those of them that are in the log; the log may be of a sample of the customers.
        unknown: the others.
        cut: lines at the end of a file that a crash cut off.
        models: model's tag → its figures.
    """

    outcomes: int = 0
    joined: int = 0
    unknown: int = 0
    cut: int = 0
    models: dict[str, ModelFeedback] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able data."""
        return asdict(self)


def join_feedback(folder: Path) -> Feedback:
    """Join the outcomes in `folder` to the answers in it.

    Raises:
        SourceDataError: there are no answers or no outcomes, or a file is none of the service's.
    """
    found = Feedback()
    outcomes = _outcomes(folder, found)
    said: dict[str, list[float]] = defaultdict(list)
    became: dict[str, list[bool]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    joined: set[Key] = set()
    for answer in _answers(folder):
        counts[answer["model"]] += 1
        key = next((k for k in _keys(answer) if k in outcomes and k not in joined), None)
        if key is not None:
            joined.add(key)
            said[answer["model"]].append(answer["probability"])
            became[answer["model"]].append(outcomes[key])
    found.outcomes, found.joined = len(outcomes), len(joined)
    found.unknown = found.outcomes - found.joined
    found.models = {
        tag: _judged(count, np.array(said[tag]), np.array(became[tag], np.int8))
        for tag, count in sorted(counts.items())
        if said[tag]
    }
    return found


def _keys(answer: Mapping[str, Any]) -> list[Key]:
    """Return how an outcome of this answer may be addressed, the most exact way first."""
    request, user, item = answer["request"], *(str(answer["keys"].get(key, "")) for key in ("user_id", "item_id"))
    several = answer.get("of", 1) > 1
    users = [user] if several and not item else [user, ""]
    items = [item] if several or not item else [item, ""]
    return [(request, one, other) for one in users for other in items]


def _answers(folder: Path) -> Iterator[Mapping[str, Any]]:
    facts = LogFacts()
    for part in served_parts(folder):
        for answer in read_answers(part, facts):
            if answer["probability"] is not None:
                yield answer


def _outcomes(folder: Path, found: Feedback) -> dict[Key, bool]:
    files = sorted(folder.glob("feedback-*.jsonl"))
    if not files:
        raise SourceDataError(
            f"There is no feedback below {folder}: got no file feedback-*.jsonl. Send outcomes to POST /feedback of a "
            "service that logs there, or name another folder with --log."
        )
    newest: dict[Key, tuple[int, bool]] = {}
    for file in files:
        for record in _records(file, found):
            key = (record["request"], record["user_id"] or "", record["item_id"] or "")
            received = record["received"]
            if key not in newest or received >= newest[key][0]:
                newest[key] = (received, record["bought"])
    return {key: bought for key, (_, bought) in newest.items()}


def _records(file: Path, found: Feedback) -> Iterator[Mapping[str, Any]]:
    lines = file.read_bytes().split(b"\n")
    found.cut += bool(lines[-1])  # a whole line ends with a line break
    for line in lines[:-1]:
        try:
            record = json.loads(line)
            yield {name: record[name] for name in ("request", "user_id", "item_id", "bought", "received")}
        except (ValueError, KeyError, TypeError):
            raise SourceDataError(
                f"{file.name} is not the service's feedback: got a line that is none of its own. Move it out of the "
                "folder."
            ) from None


def _judged(answers: int, said: NDArray[np.float64], bought: NDArray[np.int8]) -> ModelFeedback:
    places = equal_mass_bins(Ranking.of(bought, said), bins=_BINS)
    bins = [
        Bin(int(inside.sum()), float(said[inside].mean()), float(bought[inside].mean()))
        for place in range(_BINS)
        if (inside := places == place).any()
    ]
    metrics = probability_metrics(bought, said)
    return ModelFeedback(answers, len(said), float(said.mean()), float(bought.mean()), metrics, bins)
