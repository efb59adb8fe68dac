"""Logistic regression on the task's core features: four numbers that are hard to beat.

Of a customer's purchases these are recency, frequency, monetary value and tenure; another task names its own.
"""

from feature_repo.errors import FeatureError
from training.dataset.examples import Examples
from training.models.contract import (
    CORE_FEATURES,
    FitSettings,
    Fitted,
    chosen_parameters,
    require_both_classes,
)
from training.models.fit_encoding import fit_scaled_table, rows_to_fit
from training.models.parameters import real
from training.models.regression import fit_regression

__all__ = ["MEMBER", "Recency"]


class Recency:
    """The member `recency`."""

    name = "recency"
    parameters = (real("c", 10.0, 1e-3, 1e3, "inverse strength of the L2 penalty", log=True),)

    def fit(self, train: Examples, validation: Examples | None, settings: FitSettings) -> Fitted:
        """Fit scales and weights on `train`; nothing is random and `validation` is not used."""
        chosen = chosen_parameters(self.name, self.parameters, settings.parameters)
        asked = (settings.core_features, CORE_FEATURES)
        found = ([name for name in names if name in train.sample.features.numeric] for names in asked)
        names = next(filter(None, found), [])
        if not names:
            raise FeatureError(
                f"Member 'recency' finds none of {', '.join(settings.core_features)} among the features; expected the "
                "core features of the task. Choose the task's own feature service, or leave the member out."
            )
        train = rows_to_fit(train, names, settings.impute)
        require_both_classes(train)
        tabular = fit_scaled_table(train.sample.features, names, impute=settings.impute)
        return fit_regression(self.name, tabular, train, chosen["c"], scratch=settings.scratch)


MEMBER = Recency()
