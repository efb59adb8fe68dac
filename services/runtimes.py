"""The two ways a member of the ensemble is run: ONNX Runtime, and XGBoost's own predictor. Neither needs TensorFlow.

Both libraries are imported when the first model is loaded, and not by `bentoml build` or the server's parent process.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import BundleError
from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import SequenceEncoding, TabularEncoding
from services.explanation import MemberContributions
from services.left_out import left_out
from services.member_contributions import graph_contributions, tree_contributions
from services.tree_prediction import TreePrediction

__all__ = ["Member", "load_member"]

_ROWS_AT_ONCE = 4096  # bounds the memory of a large batch: 4096 x 50 steps x 8 channels are 6.5 MB


class Member(Protocol):
    """A member ready to be run; may be called from several threads.

    `takes_lists`: whether it takes the sequences of the features, and not only the numbers and words. `takes_codes`:
    whether it takes the codes of the item that is asked about.
    """

    takes_lists: bool
    takes_codes: bool

    def predict(self, features: CustomerFeatures) -> NDArray[np.float64]:
        """Return the probability of each customer, float64 of shape (n,)."""
        ...

    def explain(self, features: CustomerFeatures, seed: int) -> MemberContributions:
        """Return what each feature adds to the log-odds of the one customer in `features`."""
        ...


def load_member(description: dict[str, Any], artefact: bytes, threads: int = 1) -> Member:
    """Return the member of a bundle's member.json and artefact, run on `threads` threads.

    Raises:
        BundleError: the artefact is not what the description says.
    """
    name = description.get("member")
    try:
        if description["runtime"] == "xgboost":
            return _Trees(description, artefact, threads)
        return _Graph(description, artefact, threads)
    except BundleError:
        raise
    except Exception as error:  # the libraries raise their own kinds for a model they cannot read
        raise BundleError(
            f"Member {name!r} cannot be loaded: its artefact or its encodings are not what its member.json says "
            f"({type(error).__name__}). Publish the bundle again with this release."
        ) from error


class _Trees:
    def __init__(self, description: dict[str, Any], artefact: bytes, threads: int) -> None:
        with left_out("sklearn"):  # XGBoost takes it in where it finds it, and pandas with it: two seconds for nothing
            import xgboost

        self._encoding = TabularEncoding.from_json(description["tabular"])
        self._booster = xgboost.Booster(params={"nthread": threads})
        self._booster.load_model(bytearray(artefact))
        self._predict = TreePrediction(self._booster)
        self.takes_lists = self.takes_codes = False

    def predict(self, features: CustomerFeatures) -> NDArray[np.float64]:
        return self._predict(self._encoding.apply(features))

    def explain(self, features: CustomerFeatures, seed: int) -> MemberContributions:
        return tree_contributions(self._booster, self._encoding, self._encoding.apply(features))


class _Graph:
    def __init__(self, description: dict[str, Any], artefact: bytes, threads: int) -> None:
        import onnxruntime

        self._tabular = TabularEncoding.from_json(description["tabular"]) if description["tabular"] else None
        self._sequence = SequenceEncoding.from_json(description["sequence"]) if description["sequence"] else None
        self.takes_lists = self._sequence is not None
        self.takes_codes = self._tabular is not None and bool(self._tabular.codes)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(artefact, options, providers=["CPUExecutionProvider"])
        self._check_inputs(str(description["member"]))

    def _check_inputs(self, name: str) -> None:
        expected = {"tabular"} if self._tabular else set()
        expected |= {"sequence"} if self._sequence else set()
        got = {item.name for item in self._session.get_inputs()}
        outputs = {item.name for item in self._session.get_outputs()}
        odd = sorted({item.type for item in self._session.get_inputs()} - {"tensor(float)"})
        if odd:
            raise BundleError(
                f"Member {name!r} takes inputs of {odd}; expected tensor(float), which is what the encodings give. "
                "Publish the bundle again with this release."
            )
        if got != expected or "probability" not in outputs:
            raise BundleError(
                f"Member {name!r} takes {sorted(got)} and gives {sorted(outputs)}; expected {sorted(expected)} and "
                "'probability'. Publish the bundle again with this release."
            )

    def predict(self, features: CustomerFeatures) -> NDArray[np.float64]:
        table = self._tabular.apply(features) if self._tabular else None
        if self._sequence is None:
            answer = self._run({} if table is None else {"tabular": table})
            # A graph without inputs gives one number for all.
            return answer if len(answer) == features.n else np.broadcast_to(answer, (features.n,)).copy()
        values, offsets = self._sequence.apply(features)
        if features.n == 1 and len(values):  # one customer's steps are the whole table
            return self._run({"sequence": values[None]} | ({} if table is None else {"tabular": table}))
        lengths = np.diff(offsets)
        result = np.empty(features.n, np.float64)
        for length in np.unique(lengths):
            for rows in _slices(np.flatnonzero(lengths == length)):
                feeds = {"sequence": self._steps(values, offsets, rows, int(length))}
                if table is not None:
                    feeds["tabular"] = table[rows]
                result[rows] = self._run(feeds)
        return result

    def explain(self, features: CustomerFeatures, seed: int) -> MemberContributions:
        table = self._tabular.apply(features) if self._tabular else None
        steps = None if self._sequence is None else self._sequence.apply(features)[0]
        return graph_contributions(self._run_both, self._tabular, table, steps, seed)

    def _run_both(self, table: NDArray[Any] | None, sequence: NDArray[Any] | None) -> NDArray[np.float64]:
        given = {"tabular": table, "sequence": sequence}
        answer = self._run({name: values for name, values in given.items() if values is not None})
        return answer if table is None else np.broadcast_to(answer, (len(table),))

    def _steps(
        self, values: NDArray[Any], offsets: NDArray[np.int64], rows: NDArray[np.int64], length: int
    ) -> NDArray[Any]:
        """Return the sequences of customers with equally many steps, unpadded; no step at all is one of zeros."""
        if length == 0:
            return np.zeros((len(rows), 1, values.shape[1]), np.float32)
        return values[offsets[rows][:, None] + np.arange(length)]

    def _run(self, feeds: dict[str, Any]) -> NDArray[np.float64]:
        (output,) = self._session.run(["probability"], feeds)
        return np.asarray(output, np.float64).reshape(-1)


def _slices(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE)]
