"""The shape of the code base: sizes, names, and who may import a heavy library."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("feature_repo", "intent_stores", "training", "services", "intent_cli")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
BANNED_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc", "base2"}

# Heavy libraries, and the only places that may import them: elsewhere they cost start-up time and memory.
QUARANTINE = {
    "tensorflow": ("training/models/",),
    "keras": ("training/models/",),
    "tf2onnx": ("training/models/",),
    "feast": (
        "feature_repo/activity_views.py",
        "feature_repo/context_views.py",
        "feature_repo/data_sources.py",
        "feature_repo/entities.py",
        "feature_repo/feature_services.py",
        "feature_repo/item_views.py",
        "feature_repo/user_views.py",
        "intent_stores/",
        "training/dataset/point_in_time.py",
        "training/pipelines/feature_store.py",
    ),
    "bentoml": (
        "services/intent_service.py",
        "services/json_body.py",
        "services/loaded_models.py",
        "training/packaging/publish.py",
        "intent_cli/",
    ),
}


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def length_without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 50


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_has_one_idea_and_at_most_300_lines(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 300, f"{path.relative_to(ROOT)} has {lines} lines; expected at most 300. Split it by idea."


def test_functions_are_short() -> None:
    sizes = sorted(
        (length_without_docstring(node), f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
        for path in SOURCES
        for node in functions(path)
    )
    lengths = [size for size, _ in sizes]
    assert sizes[-1][0] <= 60, f"longest function: {sizes[-1]}; expected at most 60 lines without the docstring"
    assert lengths[len(lengths) // 2] <= 10, "the median function is longer than 10 lines"
    assert lengths[len(lengths) * 9 // 10] <= 25, f"one function in ten is longer than 25 lines: {sizes[-20:]}"


def test_names_say_what_a_module_is() -> None:
    bad = [str(p.relative_to(ROOT)) for p in SOURCES if set(p.relative_to(ROOT).with_suffix("").parts) & BANNED_NAMES]
    assert not bad, f"these names say nothing: {bad}"


def test_every_package_says_in_one_sentence_what_it_is() -> None:
    for path in (p for p in SOURCES if p.name == "__init__.py"):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert docstring, f"{path.relative_to(ROOT)} has no docstring"


@pytest.mark.parametrize("library", QUARANTINE)
def test_heavy_libraries_stay_where_they_belong(library: str) -> None:
    allowed = QUARANTINE[library]
    bad = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if library in imported(path) and not str(path.relative_to(ROOT)).startswith(allowed)
    ]
    assert not bad, f"{library} is imported in {bad}; expected only in {allowed}"


def test_feastignore_names_every_module_but_definitions() -> None:
    folder = ROOT / "feature_repo"
    ignored = {
        line.strip()
        for line in (folder / ".feastignore").read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    }
    seen = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if path.name != "__init__.py" and not ignored & {part.as_posix() for part in lineage(path.relative_to(folder))}
    }
    assert seen == {"definitions.py"}
    missing = [name for name in ignored if not (folder / name).exists()]
    assert not missing, f".feastignore names what is not there: {missing}"


def lineage(path: Path) -> list[Path]:
    return [path, *path.parents]


def test_sibling_folders_of_models_share_their_file_names() -> None:
    allowed = {"__init__.py", "model.py", "layers.py", "input_pipeline.py", "likelihood.py", "export.py"}
    for folder in (ROOT / "training" / "models").iterdir():
        # What networks share lies in a folder of its own, which is no member.
        if folder.is_dir() and folder.name not in ("__pycache__", "network"):
            files = {path.name for path in folder.glob("*.py")}
            assert "model.py" in files, f"{folder.name} has no model.py"
            assert files <= allowed, f"{folder.name} has unusual files: {files - allowed}"


def test_models_do_not_know_each_other() -> None:
    folder = ROOT / "training" / "models"
    names = {path.parent.name for path in folder.glob("*/model.py")}
    assert len(names) >= 3
    for path in folder.glob("*/*.py"):
        others = {f"training.models.{name}" for name in names - {path.parent.name}}
        text = path.read_text(encoding="utf-8")
        assert not [other for other in others if f"{other}." in text or f"{other} " in text], path
