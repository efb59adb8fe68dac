"""What an evaluation costs: every metric of five members over 90,000 anchors, with 1,000 draws of their customers.

The peer is what one would write with scikit-learn: take a draw's rows and call each metric's function on them. It is
run on the same draws, on a few of them, and told per draw. Run: python -m benchmarks.evaluation

Ends with 1, and says MISSED, if the whole takes longer than it may on two quiet cores.
"""

import argparse
import os
import resource
import sys
import time

import numpy as np
from sklearn import metrics as sk

from training.evaluation.bootstrap import draw_counts
from training.evaluation.decisions import FURTHER, choose_threshold
from training.evaluation.evaluate import evaluate
from training.evaluation.metrics import METRICS
from training.evaluation.predictions import Predictions

MEMBERS = 5
MOST_SECONDS = 30.0  # for 90,000 anchors and 1,000 draws


def predictions(anchors: int, customers: int, seed: int) -> Predictions:
    """Make members of different sharpness over customers with several anchors each."""
    random = np.random.default_rng(seed)
    customer = np.concatenate([np.arange(customers), random.integers(0, customers, anchors - customers)])
    taste = random.normal(size=customers)[customer]
    label = (random.random(anchors) < 1 / (1 + np.exp(1.7 - taste))).astype(np.int8)
    probability = {
        f"member_{number}": 1 / (1 + np.exp(1.7 - taste + 0.3 * number * random.normal(size=anchors)))
        for number in range(MEMBERS)
    }
    users = np.array([f"{number:08d}" for number in customer], object)
    return Predictions(users, np.zeros(anchors, np.int64), label, probability)


def ours(data: Predictions, draws: int) -> tuple[float, float]:
    """Return wall and processor seconds of the whole evaluation."""
    thresholds = {name: choose_threshold(data.label, p) for name, p in data.probability.items()}
    wall, cpu = time.perf_counter(), time.process_time()
    found = evaluate(data, seed=1, draws=draws, thresholds=thresholds)
    if len(found.intervals) != MEMBERS or len(found.further["member_0"]) != len(FURTHER):
        raise SystemExit("The evaluation lacks members or figures.")
    return time.perf_counter() - wall, time.process_time() - cpu


def peer(data: Predictions, draws: int) -> tuple[float, float]:
    """Return wall and processor seconds of scikit-learn's functions over `draws` draws."""
    customer, wall, cpu = data.customers(), time.perf_counter(), time.process_time()
    for counts in draw_counts(int(customer.max()) + 1, draws, 1):
        for drawn in counts:
            rows = np.repeat(np.arange(len(customer)), drawn[customer])
            label = data.label[rows]
            for p in data.probability.values():
                scores = p[rows]
                sk.roc_auc_score(label, scores)
                sk.average_precision_score(label, scores)
                sk.log_loss(label, scores)
                sk.brier_score_loss(label, scores)
                sk.precision_recall_fscore_support(label, scores >= 0.25, average="binary")
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> int:
    """Print both, and their ratio; 1 if the bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--anchors", type=int, default=90_000)
    parser.add_argument("--customers", type=int, default=30_000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--peer-draws", type=int, default=10)
    asked = parser.parse_args()
    data = predictions(asked.anchors, asked.customers, 3)
    wall, cpu = ours(data, asked.draws)
    peer_wall, peer_cpu = peer(data, asked.peer_draws)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"evaluation: {len(METRICS) + len(FURTHER)} metrics of {MEMBERS} members, {asked.anchors:,} anchors of "
        f"{asked.customers:,} customers, {asked.draws:,} draws: {wall:.1f} s (at most {MOST_SECONDS:.0f})"
        f"{'' if wall <= MOST_SECONDS else ' MISSED'}, {cpu:.1f} s of processor, peak memory {memory:,.0f} MB, load of "
        f"the last minute {os.getloadavg()[0]:.1f}"
    )
    ratio = (peer_cpu / asked.peer_draws) / (cpu / asked.draws)
    print(
        f"  scikit-learn on the rows of each draw, 7 metrics: {1000 * peer_wall / asked.peer_draws:.0f} ms a draw "
        f"({1000 * peer_cpu / asked.peer_draws:.0f} ms of processor); ours {1000 * cpu / asked.draws:.1f} ms of "
        f"processor, {ratio:.0f} times less"
    )
    return 0 if wall <= MOST_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
