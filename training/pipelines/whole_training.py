"""What belongs to one training: its digest, and whether the figures of a run's folder are of the one that is there."""

import hashlib
import json
from pathlib import Path
from typing import Any

from feature_repo.errors import SourceDataError

__all__ = ["ENSEMBLE_FILE", "TEST_SCORES", "TRAINING", "judged_metrics", "require_whole_training", "training_digest"]

TEST_SCORES = "test_scores.parquet"
TRAINING = "training.json"
ENSEMBLE_FILE = "ensemble.json"


def training_digest(out: Path) -> str:
    """Return the digest of what lies below `out`: members, how they are combined, their scores, and on which data.

    A file that is missing counts as one of another content.
    """
    names = [path.relative_to(out) for path in (out / "members").rglob("*") if path.is_file()]
    total = hashlib.sha256()
    for name in sorted([*names, Path(ENSEMBLE_FILE), Path(TEST_SCORES), Path("dataset/features.json")]):
        content = (out / name).read_bytes() if (out / name).exists() else b"missing"
        total.update(f"{name.as_posix()} {hashlib.sha256(content).hexdigest()}\n".encode())
    manifest = out / "dataset" / "manifest.json"
    fingerprint = json.loads(manifest.read_text())["fingerprint"] if manifest.exists() else "missing"
    total.update(str(fingerprint).encode())
    return total.hexdigest()


def require_whole_training(out: Path) -> str:
    """Return the digest of what was trained: the members, how they are combined, their scores, and on which data.

    Raises:
        SourceDataError: nothing was trained, training was interrupted, or the data set was built anew since.
    """
    path = out / TRAINING
    recorded = json.loads(path.read_text()).get("digest") if path.exists() else None
    if recorded is None or recorded != training_digest(out):
        raise SourceDataError(
            f"What is trained below {out} is {'not there' if recorded is None else 'not whole, or of other data'}; "
            "expected members, ensemble and scores of one training on the data set that is there. Run `intent train`."
        )
    return str(recorded)


def judged_metrics(out: Path) -> dict[str, Any]:
    """Return `metrics.json` of a run, which judges the training that is there; `training` is its digest.

    Raises:
        SourceDataError: the run was not evaluated, was trained anew since, or its training is not whole.
    """
    path = out / "metrics.json"
    if not path.exists():
        raise SourceDataError(
            f"No figures at {path}; expected a run that was trained and evaluated. Run `intent evaluate --out {out}` "
            "first."
        )
    metrics: dict[str, Any] = json.loads(path.read_text())
    judged, there = metrics.get("training"), require_whole_training(out)
    if judged != there:
        raise SourceDataError(
            f"{path} judges another training ({str(judged)[:12]}) than the one that is there ({there[:12]}); expected "
            f"the figures of what is trained. Run `intent evaluate --out {out}` again."
        )
    return metrics
