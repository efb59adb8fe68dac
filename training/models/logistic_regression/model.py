"""Logistic regression on all features: where events are few, nothing beats it by much."""

from training.dataset.examples import Examples
from training.models.contract import (
    FitSettings,
    Fitted,
    chosen_parameters,
    require_both_classes,
)
from training.models.fit_encoding import fit_scaled_table, rows_to_fit, telling_apart
from training.models.parameters import flag, real
from training.models.regression import fit_regression

__all__ = ["MEMBER", "Regression"]


class Regression:
    """The member `logistic_regression`."""

    name = "logistic_regression"
    parameters = (
        real("c", 0.01, 1e-4, 100.0, "inverse strength of the L2 penalty", log=True),
        flag("indicators", True, "a column for each number that may be missing, saying whether it is"),
        flag("class_weights", False, "both classes weigh the same in training; probabilities are corrected for it"),
    )

    def fit(self, train: Examples, validation: Examples | None, settings: FitSettings) -> Fitted:
        """Fit scales and weights on `train`; nothing is random and `validation` is not used."""
        chosen = chosen_parameters(self.name, self.parameters, settings.parameters)
        names = telling_apart(train.sample, train.sample.features.numeric)
        train = rows_to_fit(train, names, settings.impute)
        require_both_classes(train)
        features = train.sample.features
        impute = "indicator" if chosen["indicators"] and settings.impute == "median" else settings.impute
        tabular = fit_scaled_table(features, names, features.categorical, impute)
        return fit_regression(
            self.name, tabular, train, chosen["c"], class_weights=chosen["class_weights"], scratch=settings.scratch
        )


MEMBER = Regression()
