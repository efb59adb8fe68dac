"""What the bento packs: everything that serving can import, and nothing that needs Feast or the training stack."""

import ast
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
# What training and the development environment have installed, and the serving image has not.
NOT_THERE = ("feast", "pandas", "tensorflow", "keras", "sklearn", "duckdb", "matplotlib")
# What the image has for /events and for models of events, and a score of a customer must not wait for.
NOT_LOADED = (*NOT_THERE, "pyarrow", "sqlalchemy", "psycopg")


def packed() -> set[Path]:
    patterns = yaml.safe_load((ROOT / "bentofile.yaml").read_text())["include"]
    return {path for pattern in patterns for path in ROOT.glob(pattern)}


def file_of(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def imports(path: Path) -> set[str]:
    """Every module that a file can import, inside functions as well, with the packages above it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 2)}


def reached(start: str) -> set[Path]:
    found: set[Path] = set()
    waiting = {start, start.rpartition(".")[0]}
    while waiting:
        path = file_of(waiting.pop())
        if path is not None and path not in found:
            found.add(path)
            waiting |= imports(path)
    return found


def test_the_bento_packs_everything_that_serving_can_import() -> None:
    needed = reached("services.intent_service")
    assert len(needed) > 30
    missing = sorted(str(path.relative_to(ROOT)) for path in needed - packed())
    assert not missing, f"bentofile.yaml leaves out {missing}, which services.intent_service imports"


def test_nothing_that_serving_imports_needs_what_the_image_has_not() -> None:
    for path in reached("services.intent_service"):
        assert not {name.split(".")[0] for name in imports(path)} & set(NOT_THERE), path


SCORE_WITHOUT = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, NotInstalled())

from datetime import UTC, datetime
from pathlib import Path
import intent_stores.packed_redis
import services.intent_service
from services.contracts import ScoreRequest
from services.customer_scoring import CustomerScoring
from services.feature_lookup import read_views, views_of
from services.golden_check import check_golden
from services.online_url import SqliteUrl
from services.packed_lookup import open_lookup
from services.scoring import Scorer
from training.packaging.bundle import Bundle

bundle = Bundle.load(Path({bundle!r}))
scorer = Scorer(bundle)
check_golden(bundle, scorer)
views = views_of(read_views(bundle.json("features.json")), "user_id")
lookup = open_lookup(SqliteUrl(Path({online!r}), "tiny"), views)
at = datetime(2001, 2, 19, tzinfo=UTC)
answer = CustomerScoring(bundle, scorer, lookup).answer(ScoreRequest(user_id="00000005", at=at), at)
assert not answer.degraded and not answer.cold_start, answer
print(*sorted({{name.split(".")[0] for name in sys.modules}} & set({absent!r})))
"""


def test_a_customer_is_scored_where_nothing_of_training_is_installed(tiny_bundle_folder: Path, tmp_path: Path) -> None:
    from tests.online_store import write_online_store

    write_online_store(tmp_path / "online.db")
    code = SCORE_WITHOUT.format(absent=NOT_LOADED, bundle=str(tiny_bundle_folder), online=str(tmp_path / "online.db"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "BENTOML_HOME": str(tmp_path / "home"), "BENTOML_DO_NOT_TRACK": "True"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
