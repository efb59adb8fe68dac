"""A bundle small enough for every test: two formula graphs, one over sequences, a few trees, and the right answers."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import xgboost
from onnx import TensorProto, helper, numpy_helper

from feature_repo.transforms.customer import customer_features
from feature_repo.transforms.encoding import NumericColumn, OneHotColumn, SequenceEncoding, TabularEncoding
from feature_repo.transforms.ragged import Ragged
from training.ensemble.combine import Calibration, Ensemble, combine
from training.packaging.golden import golden_vectors
from training.packaging.write_bundle import BundleFacts, write_bundle

DAY_US = 86_400_000_000
AT = datetime(2001, 2, 19, tzinfo=UTC)
AT_US = int(AT.timestamp()) * 1_000_000
MEMBERS = ("constant_rate", "recency", "boosted_trees", "sequence_lstm")
USED = MEMBERS[1:]
SUMS = tuple(f"basket_{name}" for name in ("lines", "quantity", "revenue", "cost", "items", "categories"))
FEATURES = {
    "views": {
        "user_profile": {
            "join_keys": ["user_id"],
            "ttl_seconds": 0,
            "fields": {"age_group": "String", "area": "String"},
        },
        "user_history": {
            "join_keys": ["user_id"],
            "ttl_seconds": 365 * 86_400,
            "fields": {"lifetime_baskets": "Float64", "first_purchase_at": "Int64", "last_purchase_at": "Int64"},
        },
        "user_baskets": {
            "join_keys": ["user_id"],
            "ttl_seconds": 365 * 86_400,
            "fields": {"basket_at": "Array(Int64)"} | dict.fromkeys(SUMS, "Array(Float64)"),
        },
        "item_catalogue": {"join_keys": ["item_id"], "ttl_seconds": 0, "fields": {"brand": "String"}},
    },
    "defaults": {},
}


def customer(number: int) -> dict[str, tuple[int, dict]]:
    """What the store holds of customer `number`: that many baskets, four days apart, the last a day before AT."""
    moments = [AT_US - DAY_US * (1 + 4 * back) for back in reversed(range(number))]
    known = moments[-1] if moments else AT_US - DAY_US
    sums = [10.0 * place for place in range(1, number + 1)]
    history = {"lifetime_baskets": float(number), "first_purchase_at": moments[0] if moments else None}
    return {
        "user_profile": (known, {"age_group": "ABCD"[number % 4], "area": None if number % 3 else "115"}),
        "user_history": (known, history | {"last_purchase_at": moments[-1] if moments else None}),
        "user_baskets": (known, {"basket_at": moments} | {name: sums for name in SUMS}),
    }


def shop(customers: int = 12) -> dict[str, dict[str, tuple[int, dict]]]:
    """View → user id → (event time, values) of customers 00000001, 00000002 …"""
    views: dict[str, dict] = {"user_profile": {}, "user_history": {}, "user_baskets": {}}
    for number in range(1, customers + 1):
        for view, row in customer(number).items():
            views[view][f"{number:08d}"] = row
    return views


def write_tiny_bundle(target: Path, work: Path) -> Path:
    """Write the bundle to `target`; `work` is a folder for the exports."""
    columns, at_us = tiny_columns(12)
    features = customer_features(columns, at_us)
    members = {
        "constant_rate": _export_constant(work),
        "recency": _export_recency(work, features),
        "boosted_trees": _export_trees(work, features),
        "sequence_lstm": _export_sequence(work, features),
    }
    ensemble = Ensemble("log_odds", MEMBERS, (0.0, 0.25, 0.5, 0.25), calibration=Calibration("platt", slope=0.9))
    write_bundle(
        target,
        members=work,
        ensemble=ensemble.to_json(),
        features=FEATURES,
        golden=golden_vectors(columns, at_us, combine(ensemble, members), members),
        facts=BundleFacts(
            seed=7,
            horizon_days=7,
            versions={"numpy": np.__version__},
            data_fingerprint="0" * 64,
            metrics={"roc_auc": 0.75},
            data_window={"from": "2000-11-01", "to": "2001-02-28"},
        ),
    )
    return target


def tiny_columns(n: int) -> tuple[dict, np.ndarray]:
    """Return what the store holds of the first `n` customers, as the views' columns, and AT for each."""
    rows = [customer(number) for number in range(1, n + 1)]
    values: dict[str, list] = {}
    for row in rows:
        for _, fields in row.values():
            for field, value in fields.items():
                values.setdefault(field, []).append(value)
    columns: dict = {}
    for field, column in values.items():
        if isinstance(column[0], list):
            offsets = np.concatenate([[0], np.cumsum([len(item) for item in column])]).astype(np.int64)
            columns[field] = Ragged(np.concatenate([np.array(item) for item in column]), offsets)
        else:
            columns[field] = np.array(column, object if field in ("age_group", "area") else np.float64)
    return columns, np.full(n, AT_US, np.int64)


def write_member(work: Path, name: str, runtime: str, artefact: bytes, tabular=None, sequence=None) -> None:
    """Write a member as its export does, to the folder `work / name`."""
    folder = work / name
    folder.mkdir(parents=True)
    file = "model.ubj" if runtime == "xgboost" else "model.onnx"
    (folder / file).write_bytes(artefact)
    (folder / "training_log.csv").write_text("not part of a bundle")
    description = {"member": name, "runtime": runtime, "artefact": file, "dtype": "float32"}
    encodings = {"tabular": tabular and tabular.to_json(), "sequence": sequence and sequence.to_json()}
    (folder / "member.json").write_text(json.dumps(description | encodings))


def _graph(nodes, inputs, constants=(), answer=("n", 1)) -> bytes:
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "member",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info("probability", TensorProto.FLOAT, answer)],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def linear_formula(weights: np.ndarray) -> bytes:
    """Return the graph that answers sigmoid(table @ weights), for weights of shape (columns, 1)."""
    nodes = [
        helper.make_node("MatMul", ["tabular", "weights"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["probability"]),
    ]
    return _graph(nodes, {"tabular": ["n", len(weights)]}, [("weights", weights)])


def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def _export_constant(work: Path) -> np.ndarray:
    encoding = TabularEncoding((NumericColumn("recency_days", fill=0.0),))
    nodes = [
        helper.make_node("Mul", ["tabular", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "rate"], ["probability"]),
    ]
    constants = [("zero", np.float32(0)), ("rate", np.float32(0.125))]
    write_member(work, "constant_rate", "onnx", _graph(nodes, {"tabular": ["n", 1]}, constants), encoding)
    return np.full(12, 0.125)


def _export_recency(work: Path, features) -> np.ndarray:
    encoding = TabularEncoding(
        (NumericColumn("recency_days", fill=30.0, scale=10.0), NumericColumn("lifetime_baskets", fill=0.0, log=True)),
        (OneHotColumn("age_group", ("A", "B")),),
    )
    weights = np.array([[-1.0], [0.5], [0.1], [0.2], [0.0]], np.float32)
    write_member(work, "recency", "onnx", linear_formula(weights), encoding)
    return sigmoid(encoding.apply(features) @ weights)[:, 0].astype(np.float64)


def _export_trees(work: Path, features) -> np.ndarray:
    encoding = TabularEncoding((NumericColumn("recency_days"), NumericColumn("baskets_28d"), NumericColumn("gap_mean")))
    return export_trees(work, encoding, encoding.apply(features), np.arange(features.n) % 3 == 0)


def export_trees(work: Path, encoding: TabularEncoding, table: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Write a few trees on an encoded table as the member `boosted_trees`; return what they say of its rows."""
    booster = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 2, "min_child_weight": 0, "nthread": 1},
        xgboost.DMatrix(table, label.astype(float)),
        num_boost_round=5,
    )
    write_member(work, "boosted_trees", "xgboost", bytes(booster.save_raw("ubj")), encoding)
    return booster.predict(xgboost.DMatrix(table)).astype(np.float64)


def _export_sequence(work: Path, features) -> np.ndarray:
    tabular = TabularEncoding((NumericColumn("recency_days", fill=30.0, scale=100.0),))
    sequence = SequenceEncoding(
        (NumericColumn("gap_before_days", scale=50.0), NumericColumn("basket_revenue", scale=500.0)), 5
    )
    nodes = [
        helper.make_node("ReduceSum", ["sequence", "axes"], ["steps"], keepdims=0),
        helper.make_node("ReduceSum", ["tabular", "last"], ["table"], keepdims=0),
        helper.make_node("Sub", ["steps", "table"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["probability"]),
    ]
    constants = [("axes", np.array([1, 2], np.int64)), ("last", np.array([1], np.int64))]
    graph = _graph(nodes, {"sequence": ["n", "t", 2], "tabular": ["n", 1]}, constants, ("n",))
    write_member(work, "sequence_lstm", "onnx", graph, tabular, sequence)
    values, offsets = sequence.apply(features)
    return sigmoid(Ragged(values.sum(axis=1), offsets).sum() - tabular.apply(features)[:, 0]).astype(np.float64)
