"""What an operator sees at `/metrics`: latency by stage, ages of views, what was missing, scores, models, the breaker.

Every worker writes its figures to files of its own, and whichever worker is asked adds all of them up
(`PROMETHEUS_MULTIPROC_DIR`; `figures_folder.py` says which). BentoML's own figures are off: they take any path that is
asked for as a label, and a path may hold a customer's id. Here labels are routes, views, slots and models, and nothing
else.

A request only leaves its figures in a queue (a tenth of what writing them costs); `flush` writes what has gathered.
"""

import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import numpy as np
from numpy.typing import NDArray

from services.feature_lookup import OF_ROWS, ViewRows
from services.figures_folder import use_figures_folder

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_AGES = (60.0, 600.0, 3600.0, 6 * 3600.0, 86_400.0, 7 * 86_400.0, 30 * 86_400.0, 90 * 86_400.0, 365 * 86_400.0)
_SHARES = tuple(place / 20 for place in range(1, 20))
_MOST_WAITING = 200_000
Floats = NDArray[np.float64]
P = ParamSpec("P")
_log = logging.getLogger("bentoml.intent")
_DIFFERENCES = (1e-6, 1e-5, 1e-4, 1e-3, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


def _whatever_happens(write: Callable[Concatenate["Metrics", P], None]) -> Callable[Concatenate["Metrics", P], None]:
    """Of a method that writes figures: what keeps it from that is logged once, and a request is answered all the same.

    The library writes to files. Their folder may be gone, or their disk full; and a file that could not grow it leaves
    in a state that it does not expect itself.
    """

    @wraps(write)
    def written(self: "Metrics", /, *given: P.args, **named: P.kwargs) -> None:
        try:
            write(self, *given, **named)
        except Exception as error:
            self._lost(error)

    return written


class Metrics:
    """The figures of one process; may be used from several threads.

    `prometheus_client` is imported here and not before: it looks for `PROMETHEUS_MULTIPROC_DIR` when it is imported.
    """

    def __init__(self) -> None:
        use_figures_folder()
        import prometheus_client as client

        self._client = client
        self._registry = client.CollectorRegistry()
        self._requests = self._histogram(
            "request_seconds", "Whole requests, by route and status", _SECONDS, "route", "status"
        )
        self._stages = self._histogram("stage_seconds", "Stages of a request", _SECONDS, "stage")
        self._ages = self._histogram(
            "view_age_seconds", "Ages of views that were used, at the moment asked about", _AGES, "view"
        )
        self._rows = self._counter(
            "view_rows", "Rows of views: fresh, stale or missing, and why not fresh", "view", "status", "reason"
        )
        self._scores = self._histogram("probability", "Probabilities given", _SHARES, "model")
        self._shadows = self._histogram(
            "shadow_difference", "Champion's against challenger's probability", _DIFFERENCES, "challenger"
        )
        self._left_out = self._counter("shadow_left_out", "Batches that the challenger did not score")
        self._refusals = self._counter("model_refused", "Models that were refused")
        self._circuit = self._gauge(
            "store_circuit_open", "1 while the online store is not asked, after failures", "livemax"
        )
        self._ready = self._gauge("ready", "1 while the worker can answer", "livemin")
        self._models = self._gauge("model_info", "1 for the models in the slots", "livemax", "slot", "model")
        self._children: dict[tuple[Any, ...], Any] = {}
        self._shown: dict[str, str] = {}
        self._lock = threading.Lock()
        self._is_told = False
        # The oldest are lost, if ever.
        self._waiting: deque[tuple[Any, list[float] | Floats]] = deque(maxlen=_MOST_WAITING)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Note a whole request."""
        self._leave([seconds], self._requests, route, status)

    def stage(self, name: str, seconds: float) -> None:
        """Note how long a stage of a request took."""
        self._leave([seconds], self._stages, name)

    def views(self, found: Mapping[str, ViewRows]) -> None:
        """Note the state and the age of every row that was looked up."""
        for name, rows in found.items():
            if rows.all_fresh:  # the usual case, in a tenth of the time
                states, ages = [(("fresh", None), len(rows.age_seconds))], rows.age_seconds
            else:
                states = list(Counter(zip(rows.status.tolist(), rows.reason.tolist(), strict=True)).items())
                ages = rows.age_seconds[rows.status == "fresh"]
            for (status, reason), count in states:
                self._leave([count], self._rows, name, status, _word(reason))
            if len(ages):
                self._leave(ages, self._ages, name)

    def scores(self, model: str, probability: Floats) -> None:
        """Note the probabilities that a model gave."""
        self._leave(probability, self._scores, model)

    def shadow(self, challenger: str, champions: Any, challengers: Any) -> None:
        """Note how far a challenger's probabilities are from the champion's."""
        differences = np.abs(np.asarray(champions) - np.asarray(challengers))
        self._leave(differences, self._shadows, challenger)

    @_whatever_happens
    def shadow_left_out(self) -> None:
        """Note a batch that a challenger did not score."""
        self._left_out.inc()

    @_whatever_happens
    def model_refused(self) -> None:
        """Note that a model was refused."""
        self._refusals.inc()

    @_whatever_happens
    def models(self, slots: Mapping[str, str], ready: bool) -> None:
        """Show which model is in which slot: slot → tag."""
        with self._lock:
            for slot, tag in self._shown.items() - slots.items():
                self._models.labels(slot, tag).set(0)
            for slot, tag in slots.items():
                self._models.labels(slot, tag).set(1)
            self._shown = dict(slots)
            self._ready.set(int(ready))

    @_whatever_happens
    def circuit(self, is_open: bool) -> None:
        """Show whether the store's circuit is open."""
        self._circuit.set(int(is_open))

    @_whatever_happens
    def flush(self) -> None:
        """Write what requests left; at least once a second, beside them."""
        gathered: dict[Any, list[list[float] | Floats]] = {}
        with self._lock:
            while self._waiting:
                child, found = self._waiting.popleft()
                gathered.setdefault(child, []).append(found)
            for child, parts in gathered.items():
                values = np.concatenate(parts)
                if hasattr(child, "observe"):
                    _observe_all(child, values)
                else:
                    child.inc(float(values.sum()))

    def exposition(self) -> bytes:
        """Return the figures of all workers in Prometheus's text format; those of others are a second old.

        Where the files cannot be read, of this worker alone.
        """
        self.flush()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            try:
                return self._of_all_workers()
            except (OSError, ValueError) as error:  # the latter is how the library says that the folder is gone
                self._lost(error)
        return bytes(self._client.generate_latest(self._registry))

    def _of_all_workers(self) -> bytes:
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self._client.CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return bytes(self._client.generate_latest(registry))

    def _lost(self, error: Exception) -> None:
        if not self._is_told:
            _log.error("Figures cannot be written or read, and are lost until they can (%s).", type(error).__name__)
        self._is_told = True

    @_whatever_happens
    def close(self) -> None:
        """Take this process out of what is shown of living workers; what it counted stays."""
        self.flush()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            from prometheus_client.multiprocess import mark_process_dead

            mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]

    def _leave(self, found: list[float] | Floats, metric: Any, *labels: Any) -> None:
        """Leave what was found to `flush`."""
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            try:
                child = self._children[key] = metric.labels(*labels)
            except Exception as error:  # as `_whatever_happens`, on the way of every request
                self._lost(error)
                return
        self._waiting.append((child, found))

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Any:
        return self._client.Histogram(f"intent_{name}", text, labels, buckets=buckets, registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Any:
        return self._client.Counter(f"intent_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, mode: str, *labels: str) -> Any:
        mode_of: Any = mode
        return self._client.Gauge(f"intent_{name}", text, labels, registry=self._registry, multiprocess_mode=mode_of)


def _observe_all(histogram: Any, values: Floats) -> None:
    """Do what `observe` does for each value: it takes one alone, and locks and writes two numbers for each."""
    places = np.searchsorted(histogram._upper_bounds, values, side="left")
    histogram._sum.inc(float(values.sum()))
    for place, count in enumerate(np.bincount(places)):
        if count:
            histogram._buckets[place].inc(int(count))


def _word(reason: Any) -> str:
    """Why a row is not fresh as one of a few words: a store's own text may hold addresses, and is a label too many."""
    if reason is None:
        return ""
    return reason if reason in OF_ROWS else "no answer"
