"""Training curves as TensorBoard reads them: one event file a member below `<out>/tensorboard/`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.atomic import replace_folder

__all__ = ["TENSORBOARD", "write_curve_files"]

TENSORBOARD = "tensorboard"


def write_curve_files(
    out: Path, histories: Mapping[str, Mapping[str, Any]], figures: Mapping[str, Mapping[str, float]]
) -> Path:
    """Replace `<out>/tensorboard/` by a folder for each member, and return its path.

    `histories`: member → `History.to_json()`; its losses and learning rate become scalars by step. `figures`: member →
    metric → value on the test period, one scalar each. The files need no TensorFlow to be written; to look at them,
    `pip install tensorboard` and `tensorboard --logdir <out>/tensorboard`.
    """
    from tensorboardX import SummaryWriter

    target = out / TENSORBOARD
    with replace_folder(target) as fresh:
        for name in sorted({*histories, *figures}):
            with SummaryWriter(str(fresh / name)) as writer:
                _write(writer, histories.get(name, {}), figures.get(name, {}))
    return target


def _write(writer: Any, history: Mapping[str, Any], figures: Mapping[str, float]) -> None:
    for tag, key in (("loss/train", "train"), ("loss/validation", "validation"), ("learning_rate", "learning_rate")):
        for step, value in enumerate(history.get(key, ()), 1):
            writer.add_scalar(tag, value, step)
    for metric, value in figures.items():
        writer.add_scalar(f"test/{metric}", value, int(history.get("best", 0)))
