"""A member that is a network: give it a name, an architecture and parameters, and it fits, answers and exports."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from feature_repo.transforms.customer import CustomerFeatures, customer_features
from feature_repo.transforms.encoding import SequenceEncoding, TabularEncoding
from training.dataset.examples import Examples
from training.date_levels import date_codes
from training.models.contract import (
    CutLists,
    FitSettings,
    Fitted,
    History,
    MemberSpec,
    Parameter,
    chosen_parameters,
    require_both_classes,
    write_member,
)
from training.models.fit_encoding import fit_scaled_table, fit_sequence, rows_to_fit, telling_apart
from training.models.network.export import to_onnx
from training.models.network.inputs import inputs_of
from training.models.network.keras_setup import PACKAGES, quiet_keras
from training.models.network.layers import Architecture, build_network
from training.models.network.layout import layout_of
from training.models.network.rows import InMemory, encode_rows
from training.models.network.scorer import Scorer
from training.models.network.training_loop import Judge, Labels, train_network
from training.models.readable_features import require_readable

__all__ = ["FittedNetwork", "NetworkMember", "table_features_of"]

# What a sequence of purchases does not tell by itself; of the numbers about purchases, no others go in beside it.
BESIDE_A_SEQUENCE = (
    "recency_days",
    "tenure_days",
    "lifetime_baskets",
    "lifetime_revenue",
    "revenue_per_basket",
    "baskets_7d",
    "baskets_14d",
    "baskets_28d",
    "gap_mean",
    "late_by_gap_ratio",
)


@dataclass(frozen=True)
class NetworkMember:
    """A member of the kind `name`: `architecture` reads the sequence; without one, the table is all that is read."""

    name: str
    architecture: Architecture | None
    parameters: tuple[Parameter, ...]

    @property
    def packages(self) -> tuple[str, ...]:
        """What a fit imports."""
        return PACKAGES

    @property
    def needs_sequence(self) -> bool:
        """Whether it reads a sequence."""
        return self.architecture is not None

    def fit(self, train: Examples, validation: Examples | None, settings: FitSettings) -> Fitted:
        """Train until `validation` gets no better for `patience` epochs, or for `epochs` without it.

        Raises:
            InputError: TensorFlow is not installed, or a parameter is not known or not accepted.
            SplitError: the labels are of one class.
            FeatureError: a feature is infinite, or is missing where that is refused.
        """
        chosen = chosen_parameters(self.name, self.parameters, settings.parameters)
        quiet_keras(self.name, settings.seed)
        names = table_features_of(train.sample.features, beside_a_sequence=self.needs_sequence)
        names = telling_apart(train.sample, names)
        channels = train.sample.features.sequences if self.needs_sequence else ()
        train = rows_to_fit(train, names, settings.impute, channels)
        require_both_classes(train)
        encodings = self._encodings(train, names, chosen, settings)
        train.forget_sample()
        return _fit(self, encodings, train, validation, chosen["epochs"], chosen, settings)

    def _encodings(
        self, train: Examples, names: list[str], chosen: dict[str, Any], settings: FitSettings
    ) -> tuple[TabularEncoding, SequenceEncoding | None]:
        shown = train.sample.features
        impute = "indicator" if chosen["indicators"] and settings.impute == "median" else settings.impute
        tabular = fit_scaled_table(shown, names, shown.categorical, impute, codes=bool(chosen.get("embedding", 0)))
        if not self.needs_sequence:
            return tabular, None
        return tabular, fit_sequence(shown, shown.sequences, chosen["steps"], codes=bool(chosen["embedding"]))


@dataclass(frozen=True)
class FittedNetwork:
    """A network without padding, its last bias at the pooled level of demand."""

    kind: NetworkMember
    tabular: TabularEncoding
    sequence: SequenceEncoding | None
    network: Any
    scorer: Scorer
    history: History
    parameters: dict[str, Any]
    cut_lists: CutLists | None
    importance: dict[str, float] = field(default_factory=dict)

    @property
    def spec(self) -> MemberSpec:
        """An ONNX graph over the scaled table and, if it reads one, the unpadded sequence."""
        return MemberSpec(self.kind.name, "onnx", tabular=self.tabular, sequence=self.sequence)

    def predict_proba(self, features: CustomerFeatures) -> NDArray[np.float64]:
        """Return the probability for each row, shape (n,)."""
        rows = InMemory(inputs_of(self.sequence, self.tabular, features))
        return np.asarray(expit(self.scorer.margins(rows)))

    def refit(self, examples: Examples, settings: FitSettings) -> Fitted:
        """Train a new network for as many epochs on other examples."""
        channels = () if self.sequence is None else [channel.name for channel in self.sequence.channels]
        require_readable(examples, [column.name for column in self.tabular.numeric], settings.impute, channels)
        encodings = (self.tabular, self.sequence)
        return _fit(self.kind, encodings, examples, None, self.history.best, self.parameters, settings)

    def export(self, folder: Path) -> None:
        """Write the network as ONNX."""
        write_member(folder, self.spec, to_onnx(self.network))


def table_features_of(features: CustomerFeatures, *, beside_a_sequence: bool) -> list[str]:
    """Return the numbers that a network reads: all of them, unless it reads a sequence as well.

    Then, of a customer's purchases these are the few that the sequence does not tell; what a task adds goes in whole.
    """
    if not beside_a_sequence:
        return list(features.numeric)
    of_purchases = customer_features({}, np.zeros(0, np.int64)).numeric
    chosen = [name for name in BESIDE_A_SEQUENCE if name in features.numeric]
    return chosen + [name for name in features.numeric if name not in of_purchases]


def _fit(
    kind: NetworkMember,
    encodings: tuple[TabularEncoding, SequenceEncoding | None],
    train: Examples,
    stop: Examples | None,
    epochs: int,
    chosen: dict[str, Any],
    settings: FitSettings,
) -> FittedNetwork:
    tabular, sequence = encodings
    quiet_keras(kind.name, settings.seed)
    layout = layout_of(sequence, tabular)
    rows = encode_rows(sequence, tabular, train, settings.seed, settings.scratch)
    labels = Labels(train.label, date_codes(train.anchor_us))
    judge = None
    if stop is not None:
        later = encode_rows(sequence, tabular, stop, settings.seed, settings.scratch)
        judge = Judge(later, stop.label, stop.anchor_us)
    with settings.progress.task(kind.name, epochs, "epochs") as task:
        network, scorer, history = train_network(
            lambda padded: build_network(layout, kind.architecture, chosen, padded=padded),
            rows,
            labels,
            judge,
            epochs,
            {**chosen, "seed": settings.seed},
            task,
        )
    cut = None if sequence is None else CutLists(len(rows), rows.longer, sequence.max_length)
    return FittedNetwork(kind, tabular, sequence, network, scorer, history, chosen, cut)
