"""A study in SQL: opened or gone on with, never mixed with one of another space, data or metric."""

import logging
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from feature_repo.errors import DependencyDown, InputError
from training.tuning import queue

__all__ = ["SAMPLERS", "Identity", "Sampler", "open_study", "storage_url"]

Sampler = Literal["grid", "one_at_a_time", "random", "tpe"]
SAMPLERS: tuple[Sampler, ...] = ("grid", "one_at_a_time", "random", "tpe")

_BEFORE_PRUNING = 4
_AGAIN_SECONDS = 0.5


@dataclass(frozen=True)
class Identity:
    """What the trials of one study have in common; a study of another identity cannot be gone on with.

    `space`: fingerprint of the search space. `data`: that of the data set. `metric` and `folds`: how a trial is judged.
    `seed`: what each is fitted with, for what another seed moves is no difference between settings.
    """

    member: str
    space: str
    data: str
    metric: str
    folds: int
    seed: int


def storage_url(out: Path, url: str | None) -> str:
    """Return the address of the studies: SQLite below the run unless another database is named."""
    if url is not None:
        return url
    folder = out / "tuning"
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'studies.db'}"


def open_study(url: str, name: str, sampler: Sampler, identity: Identity) -> Any:
    """Create the study `name` at `url`, or load it if it is of the same identity.

    A trial that was running when its process was killed is tried again, once its heartbeat is 30 seconds old.

    Raises:
        InputError: the address cannot be read, or the study is of another space, data set, metric, seed or number of
            folds.
        DependencyDown: the database does not answer.
    """
    optuna.logging.set_verbosity(logging.ERROR)  # trials that fail are counted, not traced
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            storage=_storage(url),
            study_name=name,
            pruner=_pruner(sampler),
            direction="minimize",
            load_if_exists=True,
        )
    _require_same(study, identity, name)
    study.sampler = _sampler(sampler, identity.seed + len(study.trials))  # going on must not draw the same values again
    return study


def _storage(url: str) -> Any:
    shown = url
    try:
        shown = make_url(url).render_as_string(hide_password=True)
        return _opened(url)
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError) as problem:
        raise InputError(
            f"Studies cannot be kept at {shown if '://' in shown else 'the given address'}: {_first_line(problem)} "
            "Expected an address of SQLAlchemy, such as sqlite:///studies.db or postgresql+psycopg://user@host/name."
        ) from None
    except SQLAlchemyError as problem:
        raise DependencyDown(
            f"The database of the studies, {shown}, does not answer: {_first_line(problem)} Start it, or name another "
            "with --study."
        ) from None


def _opened(url: str) -> Any:
    """Open the database, and once more if it failed: tunings that begin at once all make its tables, and one wins."""
    try:
        return _database(url)
    except (IntegrityError, OperationalError, ProgrammingError):
        time.sleep(_AGAIN_SECONDS)
        return _database(url)


def _database(url: str) -> Any:
    storage = optuna.storages.RDBStorage(
        url,
        heartbeat_interval=queue.BEAT_SECONDS,
        grace_period=queue.GRACE_SECONDS,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=3),
    )
    if storage.engine.dialect.name == "sqlite" and storage.engine.url.database not in (None, "", ":memory:"):
        _lock_from_the_first_read(storage.engine)
    return storage


def _lock_from_the_first_read(engine: Any) -> None:
    """Have transactions hold SQLite's lock while they read what they then change.

    Optuna locks the row of a trial before it takes it from the queue, which SQLite knows nothing of: two tunings that
    read at the same moment that it waits would both take it.
    """
    engine.dispose()  # connections that are open already begin as they were told before

    @event.listens_for(engine, "connect")
    def let_begin(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _pruner(name: Sampler) -> Any:
    """Return what ends trials early; none where each point is a question of its own, to be answered on all folds."""
    if name == "one_at_a_time":
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=_BEFORE_PRUNING, n_warmup_steps=0)


def _sampler(name: Sampler, seed: int) -> Any:
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=8, multivariate=True)
    return optuna.samplers.RandomSampler(seed=seed)  # points laid out beforehand are queued one by one


def _require_same(study: Any, identity: Identity, name: str) -> None:
    asked = dict(identity.__dict__)
    found = study.user_attrs.get("identity")
    if found is None and not study.trials:
        study.set_user_attr("identity", asked)
        return
    apart = [key for key in asked if (found or {}).get(key) != asked[key]]
    if apart:
        told = "; ".join(f"{key} is {(found or {}).get(key)!r}, now {asked[key]!r}" for key in apart)
        raise InputError(
            f"Study {name!r} is of another {' and '.join(_WORDS[key] for key in apart)} ({told}); expected the same, "
            "for its trials do not compare. Begin another one with --name, or tune as it was begun."
        )


_WORDS = {
    "member": "member",
    "space": "search space",
    "data": "data set",
    "metric": "metric",
    "folds": "number of folds",
    "seed": "seed",
}


def _first_line(problem: Exception) -> str:
    return str(problem).strip().split("\n")[0].rstrip(".") + "."
