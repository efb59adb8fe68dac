"""The step that fits: members forward in time, the ensemble on their forward predictions, then the final members."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from training.atomic import replace_folder
from training.dataset.examples import Examples
from training.dataset.stored_examples import one_after_the_other
from training.date_levels import levelled_log_loss
from training.ensemble.choose import Choice, choose, log_losses
from training.ensemble.combine import Ensemble, combine
from training.ensemble.forward_predictions import ORIGINS, Forward, ForwardFits, fit_forward, predict
from training.ensemble.later_dates import Coverage, coverage_of_later_dates
from training.ensemble.newer_data import NewerData, compare_newer_data
from training.ensemble.venn_abers import fit_interval
from training.models.contract import CutLists, FitSettings, Fitted, History, Value, require_both_classes
from training.models.told_member import require_installed, told_member

__all__ = ["Figures", "Trained", "export_members", "train"]


@dataclass(frozen=True)
class Figures:
    """How one forecast did on the validation period, by models fitted before it.

    The ensemble's weights and calibration were chosen on that period too: its figures are not out of sample.

    `levelled_log_loss` gives each date its own level (see `training/date_levels.py`): the part of the loss that
    is about telling customers apart.
    """

    roc_auc: float
    log_loss: float
    levelled_log_loss: float


@dataclass(frozen=True)
class Trained:
    """All that training found out.

    `members`: the final ones, by name. `choice`: the ensemble, and the candidates it was chosen from. `newer_data`:
    what newer data were worth; `refitted` is true if the final members were fitted on train and validation.
    `validation`: member (or "ensemble") → figures on validation, by models fitted on train alone. `histories`:
    training curves of the fit that decided the number of steps. `seconds`: member → time spent on fitting it.
    `forward`: what models fitted on train alone predicted for the validation period. `coverage`: how intervals of
    earlier dates fared on later ones, by ensembles of the earlier dates; None if there were too few. `cut_lists`: of
    each final member that reads lists, how many of those it was fitted on were longer than what it reads.
    """

    members: dict[str, Fitted]
    choice: Choice
    newer_data: list[NewerData]
    refitted: bool
    validation: dict[str, Figures]
    histories: dict[str, History]
    seconds: dict[str, float]
    forward: Forward
    coverage: Coverage | None
    cut_lists: dict[str, CutLists]

    @property
    def ensemble(self) -> Ensemble:
        """How the members are combined."""
        return self.choice.ensemble

    def predict(self, examples: Examples) -> dict[str, Any]:
        """Return member → probability, and "ensemble" → probability, each float64 of shape (n,)."""
        probabilities = {name: predict(fitted, examples) for name, fitted in self.members.items()}
        return {**probabilities, "ensemble": combine(self.ensemble, probabilities)}


def train(
    train: Examples,
    validation: Examples,
    members: Sequence[str],
    settings: FitSettings,
    parameters: Mapping[str, Mapping[str, Value]] | None = None,
    origins: int = ORIGINS,
) -> Trained:
    """Fit the members called `members`, and choose how to combine them, on `train` and `validation` alone.

    Args:
        train: anchors whose label windows end before validation begins.
        validation: later anchors.
        members: names of folders under `training/models`.
        settings: horizon, seed, progress, and what else all members are told.
        parameters: member → parameter → value, where it is not to be the default.
        origins: from how many moments the members forecast what follows.

    Raises:
        InputError: a member is not known, or a parameter of one, or a package that one needs is not installed.
        SplitError: a period holds labels of one class only; nothing was fitted.
    """
    require_both_classes(train)
    require_both_classes(validation, "validation")
    pool = {name: told_member(name, parameters) for name in members}
    for one in pool.values():
        require_installed(one)
    fits = fit_forward(pool, train, validation, settings, origins)
    choice = choose(fits.forward, settings.horizon_days)
    coverage = coverage_of_later_dates(choice, fits.forward, settings.horizon_days)
    together = combine(choice.ensemble, fits.forward.probabilities)
    band = fit_interval(together, fits.forward.label, fits.forward.anchor_us)
    choice = replace(choice, ensemble=replace(choice.ensemble, interval=band))
    newer = compare_newer_data(fits, choice.ensemble)
    refit = bool(newer) and newer[0].helps
    of_validation = fits.forward.take(fits.forward.anchor_us >= validation.anchor_us.min())
    final, seconds = _final(fits, one_after_the_other(train, validation), settings) if refit else (fits.on_train, {})
    return Trained(
        members=final,
        choice=choice,
        newer_data=newer,
        refitted=refit,
        validation=_figures(of_validation, choice.ensemble),
        histories={name: fitted.history for name, fitted in (fits.first or fits.on_train).items()},
        seconds={name: spent + seconds.get(name, 0.0) for name, spent in fits.seconds.items()},
        forward=of_validation,
        coverage=coverage,
        cut_lists=_cut_lists(final),
    )


def export_members(trained: Trained, folder: Path) -> None:
    """Replace `folder` by one folder for each member, with its `member.json` and artefact."""
    with replace_folder(folder) as fresh:
        for name, fitted in trained.members.items():
            fitted.export(fresh / name)


def _final(fits: ForwardFits, both: Examples, settings: FitSettings) -> tuple[dict[str, Fitted], dict[str, float]]:
    """Fit once more on both periods; encodings and numbers of steps stay those of the training period."""
    final, seconds = {}, {}
    for name, fitted in fits.on_train.items():
        start = perf_counter()
        final[name] = fitted.refit(both, settings)
        seconds[name] = perf_counter() - start
    return final, seconds


def _cut_lists(members: Mapping[str, Fitted]) -> dict[str, CutLists]:
    found = {name: getattr(fitted, "cut_lists", None) for name, fitted in members.items()}
    return {name: cut for name, cut in found.items() if cut is not None}


def _figures(forward: Forward, ensemble: Ensemble) -> dict[str, Figures]:
    forecasts = {**forward.probabilities, "ensemble": combine(ensemble, forward.probabilities)}
    clipped = {who: np.clip(p, 1e-15, 1 - 1e-15) for who, p in forecasts.items()}
    return {
        who: Figures(
            float(roc_auc_score(forward.label, p)),
            float(log_losses(p, forward.label).mean()),
            levelled_log_loss(p, forward.label, forward.anchor_us),
        )
        for who, p in clipped.items()
    }
