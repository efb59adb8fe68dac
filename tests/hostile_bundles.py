"""Bundles that somebody tampered with, each by one trick; resealed where the trick needs the right hashes.

A maker gets the folder of a good bundle, which it may change, and a folder outside in which a trap may lie.
"""

import hashlib
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Maker = Callable[[Path, Path], None]
HOSTILE: dict[str, Maker] = {}


def hostile(name: str) -> Callable[[Maker], Maker]:
    def keep(maker: Maker) -> Maker:
        HOSTILE[name] = maker
        return maker

    return keep


def reseal(bundle: Path, **changes: Any) -> None:
    """Write the manifest anew over whatever lies in the folder, as somebody without a key can."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    files = {p.relative_to(bundle).as_posix(): p for p in sorted(bundle.rglob("*")) if p.is_file()}
    files.pop("manifest.json")
    manifest["files"] = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    (bundle / "manifest.json").write_text(json.dumps(manifest | changes))


def edit(path: Path, change: Callable[[dict], Any]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))


for _file in ("members/boosted_trees/model.ubj", "members/sequence_lstm/model.onnx", "ensemble.json", "golden.json"):
    HOSTILE[f"a flipped byte in {_file}"] = lambda bundle, outside, file=_file: flip(bundle / file, -9)

for _file in ("members/boosted_trees/model.ubj", "members/recency/model.onnx", "golden.json"):

    def _truncated(bundle: Path, outside: Path, file: str = _file) -> None:
        (bundle / file).write_bytes((bundle / file).read_bytes()[:-40])
        reseal(bundle)

    HOSTILE[f"{_file} truncated and resealed"] = _truncated

for _name in (
    "../outside/trap.json",
    "/etc/hostname.json",
    "members/../../outside/trap.json",
    "a\\..\\b.json",
    "con:.json",
):

    def _traversing(bundle: Path, outside: Path, name: str = _name) -> None:
        edit(bundle / "manifest.json", lambda manifest: manifest["files"].update({name: "0" * 64}))

    HOSTILE[f"a manifest that names {_name!r}"] = _traversing


@hostile("a member whose artefact is named outside")
def _artefact_outside(bundle: Path, outside: Path) -> None:
    edit(bundle / "members/recency/member.json", lambda member: member.update(artefact="../../../outside/model.onnx"))
    reseal(bundle)


@hostile("an ensemble of a member named outside")
def _member_outside(bundle: Path, outside: Path) -> None:
    changes = {"members": ["../../outside", "recency", "boosted_trees", "sequence_lstm"], "weights": [1, 0, 0, 0]}
    edit(bundle / "ensemble.json", lambda ensemble: ensemble.update(changes))
    reseal(bundle)


@hostile("a link in the place of a file")
def _linked_file(bundle: Path, outside: Path) -> None:
    (bundle / "golden.json").rename(outside / "golden.json")
    (bundle / "golden.json").symlink_to(outside / "golden.json")


@hostile("a link in the place of a folder")
def _linked_folder(bundle: Path, outside: Path) -> None:
    (bundle / "members").rename(outside / "members")
    (bundle / "members").symlink_to(outside / "members")


@hostile("a link in the place of the manifest")
def _linked_manifest(bundle: Path, outside: Path) -> None:
    (bundle / "manifest.json").rename(outside / "manifest.json")
    (bundle / "manifest.json").symlink_to(outside / "manifest.json")


@hostile("a link that leads to itself")
def _loop(bundle: Path, outside: Path) -> None:
    (bundle / "members/loop").symlink_to(bundle / "members")


@hostile("a pipe in the place of a file")
def _pipe(bundle: Path, outside: Path) -> None:
    (bundle / "golden.json").unlink()
    os.mkfifo(bundle / "golden.json")


@hostile("a pipe in the place of the signature")
def _pipe_signature(bundle: Path, outside: Path) -> None:
    os.mkfifo(bundle / "manifest.sig")


@hostile("a zip bomb in the place of a model")
def _zip_bomb(bundle: Path, outside: Path) -> None:
    with zipfile.ZipFile(bundle / "members/recency/model.onnx", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("model.onnx", b"\0" * 50_000_000)
    reseal(bundle)


@hostile("a zip beside the files")
def _zip_beside(bundle: Path, outside: Path) -> None:
    (bundle / "more.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    reseal(bundle)


class _Trap:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("pickle-was-here",)


for _file in ("members/boosted_trees/model.ubj", "members/recency/model.onnx", "ensemble.json"):

    def _pickled(bundle: Path, outside: Path, file: str = _file) -> None:
        (bundle / file).write_bytes(pickle.dumps(_Trap()))
        reseal(bundle)

    HOSTILE[f"a pickle in the place of {_file}"] = _pickled


@hostile("a pickle under its own name")
def _pickle_beside(bundle: Path, outside: Path) -> None:
    (bundle / "members/model.pkl").write_bytes(pickle.dumps(_Trap()))
    reseal(bundle)


def _outside_weights(bundle: Path, location: str) -> None:
    path = bundle / "members/recency/model.onnx"
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    reseal(bundle)


HOSTILE["an ONNX model with its weights outside"] = lambda b, o: _outside_weights(b, "../../../outside/weights.bin")
HOSTILE["an ONNX model with its weights at an absolute path"] = lambda b, o: _outside_weights(b, str(o / "weights.bin"))
HOSTILE["an ONNX model with its weights in a file beside it"] = lambda b, o: _outside_weights(b, "golden.json")


@hostile("an ONNX model with a constant outside, in a branch")
def _outside_in_branch(bundle: Path, outside: Path) -> None:
    path = bundle / "members/recency/model.onnx"
    model = onnx.load(path)
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "trap")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(outside / "weights.bin"))
    constant = helper.make_node("Constant", [], ["inner"], value=tensor)
    branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("inner", 1, [4])])
    model.graph.node.insert(0, helper.make_node("If", ["tabular"], ["x"], then_branch=branch, else_branch=branch))
    path.write_bytes(model.SerializeToString())
    reseal(bundle)


@hostile("an ONNX model with an operator that nobody knows")
def _unknown_operator(bundle: Path, outside: Path) -> None:
    path = bundle / "members/recency/model.onnx"
    model = onnx.load(path)
    model.graph.node[0].domain = "com.example.shell"
    path.write_bytes(model.SerializeToString())
    reseal(bundle)


@hostile("an ONNX model with weights that are not numbers")
def _nan_weights(bundle: Path, outside: Path) -> None:
    path = bundle / "members/recency/model.onnx"
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        broken = numpy_helper.from_array(np.full_like(numpy_helper.to_array(tensor), np.nan), tensor.name)
        tensor.CopyFrom(broken)
    path.write_bytes(model.SerializeToString())
    reseal(bundle)


@hostile("an ONNX model of other weights")
def _other_weights(bundle: Path, outside: Path) -> None:
    path = bundle / "members/recency/model.onnx"
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(0.5), tensor.name))
    path.write_bytes(model.SerializeToString())
    reseal(bundle)


@hostile("random bytes in the place of trees")
def _random_trees(bundle: Path, outside: Path) -> None:
    (bundle / "members/boosted_trees/model.ubj").write_bytes(np.random.default_rng(5).bytes(4096))
    reseal(bundle)


@hostile("a manifest of two megabytes")
def _giant_manifest(bundle: Path, outside: Path) -> None:
    edit(bundle / "manifest.json", lambda manifest: manifest.update(versions={"x": "y" * 2_000_000}))


@hostile("a JSON file of forty megabytes")
def _giant_json(bundle: Path, outside: Path) -> None:
    (bundle / "golden.json").write_bytes(b'{"columns": "' + b"x" * 40_000_000 + b'"}')
    reseal(bundle)


@hostile("JSON of a hundred thousand levels")
def _deep_json(bundle: Path, outside: Path) -> None:
    (bundle / "ensemble.json").write_bytes(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    reseal(bundle)


@hostile("a sparse file of eight gigabytes")
def _sparse(bundle: Path, outside: Path) -> None:
    with (bundle / "members/recency/model.onnx").open("r+b") as file:
        file.truncate(8 << 30)


@hostile("a manifest that names a file twice")
def _named_twice(bundle: Path, outside: Path) -> None:
    text, more = (bundle / "manifest.json").read_text(), '"files": {"golden.json": "' + "0" * 64 + '", '
    (bundle / "manifest.json").write_text(text.replace('"files": {', more, 1))


@hostile("an ensemble that says a thing twice")
def _said_twice(bundle: Path, outside: Path) -> None:
    text = (bundle / "ensemble.json").read_text()
    (bundle / "ensemble.json").write_text(text.replace("{", '{"method": "mean", ', 1))
    reseal(bundle)


@hostile("files that differ in case alone")
def _same_but_case(bundle: Path, outside: Path) -> None:
    (bundle / "Golden.json").write_bytes((bundle / "golden.json").read_bytes())
    reseal(bundle)


@hostile("a file that no manifest names")
def _unknown_file(bundle: Path, outside: Path) -> None:
    (bundle / "members/recency/sitecustomize.py").write_text("raise SystemExit\n")


@hostile("a script that the manifest names")
def _named_script(bundle: Path, outside: Path) -> None:
    (bundle / "members/recency/sitecustomize.py").write_text("raise SystemExit\n")
    reseal(bundle)


@hostile("two thousand empty folders")
def _many_folders(bundle: Path, outside: Path) -> None:
    for number in range(2000):
        (bundle / f"folder{number}").mkdir()


@hostile("golden examples that are not numbers")
def _golden_nan(bundle: Path, outside: Path) -> None:
    edit(bundle / "golden.json", lambda golden: golden.update(probability=[None] * len(golden["probability"])))
    reseal(bundle)


@hostile("NaN written into the golden examples")
def _golden_nan_literal(bundle: Path, outside: Path) -> None:
    edit(bundle / "golden.json", lambda golden: golden["probability"].__setitem__(0, float("nan")))
    reseal(bundle)


@hostile("no golden examples")
def _golden_none(bundle: Path, outside: Path) -> None:
    edit(bundle / "golden.json", lambda golden: golden.update(columns={}, at_us=[], probability=[], members={}))
    reseal(bundle)


@hostile("an encoding that is malformed")
def _malformed_encoding(bundle: Path, outside: Path) -> None:
    edit(bundle / "members/recency/member.json", lambda member: member.update(tabular={"columns": [["x"] * 9]}))
    reseal(bundle)


@hostile("a runtime that there is not")
def _other_runtime(bundle: Path, outside: Path) -> None:
    edit(bundle / "members/recency/member.json", lambda member: member.update(runtime="python", artefact="model.onnx"))
    reseal(bundle)


@hostile("a horizon that is true")
def _horizon(bundle: Path, outside: Path) -> None:
    edit(bundle / "manifest.json", lambda manifest: manifest.update(horizon_days=True))


@hostile("a manifest with hashes of another kind")
def _other_hashes(bundle: Path, outside: Path) -> None:
    edit(bundle / "manifest.json", lambda m: m["files"].update({"golden.json": m["files"]["golden.json"].upper()}))


@hostile("a signature that is too long")
def _long_signature(bundle: Path, outside: Path) -> None:
    (bundle / "manifest.sig").write_bytes(b"x" * 65)
