"""A whole simulated shop on disk: events in parts, customers, items, reviews, and the ceiling of one task.

The folder appears whole or not at all. The same version, seed, size and task give the same bytes.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.errors import InputError, SettingsError
from training.atomic import replace_folder, write_json
from training.progress import Progress, Silent
from training.settings import Settings
from training.simulator.block import BLOCK, Block, block_of, catalogue_of
from training.simulator.catalogue import Catalogue
from training.simulator.ceilings import CEILING_SCHEMA, Question, question_of
from training.simulator.chances import Chances
from training.simulator.parameters import Parameters, load_parameters
from training.simulator.reviews import REVIEW_SCHEMA, reviews_of
from training.simulator.seasons import season_factors

__all__ = ["FOLDER", "MANIFEST", "Size", "simulate"]

FOLDER = "simulation"
MANIFEST = "simulation.json"
FORMAT = 2


@dataclass(frozen=True)
class Size:
    """How large the shop is: customers, items at least, days until `[splits] log_end`, and the seed."""

    customers: int = 20_000
    days: int = 63
    items: int = 12_000
    seed: int = 1

    def check(self) -> None:
        """Refuse what is no size.

        Raises:
            InputError: a number is too small.
        """
        least = {"customers": 1, "days": 1, "items": 1, "seed": 0}
        wrong = [f"{name} {getattr(self, name)}" for name, low in least.items() if getattr(self, name) < low]
        if wrong:
            raise InputError(
                f"No shop has {', '.join(wrong)}; expected customers, days and items of 1 or more, and a seed of 0 or "
                "more. Change the options of `intent simulate`."
            )


def simulate(
    settings: Settings, out: Path, size: Size, progress: Progress | None = None, parameters: Parameters | None = None
) -> dict[str, Any]:
    """Write a synthetic shop into `<out>/simulation`, and return its manifest.

    The log ends at `[splits] log_end`. The ceiling is told for the task, anchors and horizon of `settings`; what
    happens in the shop does not depend on them.

    Args:
        settings: of the run that will ask.
        out: the run's folder.
        size: of the shop.
        progress: told of every block of customers.
        parameters: instead of those of the package.

    Raises:
        InputError: a size is too small.
        SettingsError: the task cannot be asked of a shop that lives from day to day, or the log ends within a day.
        SplitError: a split is left without an anchor date.
    """
    size.check()
    parameters = parameters or load_parameters()
    end = settings.log_end
    if (end.hour, end.minute, end.second) != (0, 0, 0):
        raise SettingsError(f"log_end is {end:%Y-%m-%d %H:%M} UTC; expected a midnight in UTC. Change [splits].")
    begin = end - timedelta(days=size.days)
    question = question_of(settings, begin)
    _sweep(out)
    with replace_folder(out / FOLDER) as folder:
        counts = _write(folder, parameters, question, size, begin, progress or Silent())
        told = _manifest(folder, parameters, question, settings, size, begin, counts)
        write_json(folder / MANIFEST, told)
    return told


def _write(
    folder: Path, parameters: Parameters, question: Question, size: Size, begin: datetime, progress: Progress
) -> dict[str, int]:
    chances = Chances(parameters, season_factors(parameters, begin.date(), size.days))
    catalogue = catalogue_of(parameters, size.seed, size.items)
    asked = question.asked(chances)
    pq.write_table(catalogue.table(), folder / "items.parquet", compression="zstd")
    (folder / "events").mkdir()
    counts = {"events": 0, "customers": 0, "items": len(catalogue.price), "reviews": 0, "anchors": 0}
    with ExitStack() as stack, progress.task("simulate", size.customers, "customers") as task:
        files = {
            name: stack.enter_context(pq.ParquetWriter(folder / f"{name}.parquet", schema, compression="zstd"))
            for name, schema in _SCHEMAS.items()
            if name != "ceiling" or question.has_ceiling
        }
        for number in range(-(-size.customers // BLOCK)):
            block = block_of(chances, catalogue, asked, size.seed, number, size.customers, size.days)
            _write_block(folder, files, block, number, catalogue, parameters, question, size, counts)
            task.advance(len(block.customers.number))
    return counts


def _write_block(
    folder: Path,
    files: dict[str, Any],
    block: Block,
    number: int,
    catalogue: Catalogue,
    parameters: Parameters,
    question: Question,
    size: Size,
    counts: dict[str, int],
) -> None:
    begin_us = question.begin_us
    events = block.rows.table(block.customers, catalogue, begin_us, f"s{number:04d}-")
    pq.write_table(events, folder / "events" / f"part-{number:05d}.parquet", compression="zstd")
    seen = pa.array(sorted(set(block.rows.customer.tolist())), pa.int64())
    customers = block.customers.table().take(seen)
    end_us = begin_us + size.days * 86_400_000_000
    reviews = reviews_of(parameters, block.customers, catalogue, block.rows, begin_us, end_us, block.reviewing)
    answers = question.answers(block) if question.has_ceiling else iter(())
    told: dict[str, Iterable[pa.Table]] = {"users": [customers], "reviews": [reviews], "ceiling": answers}
    for name, tables in told.items():
        for table in tables:
            files[name].write_table(table)
            counts[_COUNTED[name]] += table.num_rows
    counts["events"] += events.num_rows


_SCHEMAS = {
    "users": pa.schema([(name, pa.string()) for name in ("user_id", "age_group", "gender", "country")]),
    "reviews": REVIEW_SCHEMA,
    "ceiling": CEILING_SCHEMA,
}
_COUNTED = {"users": "customers", "reviews": "reviews", "ceiling": "anchors"}


def _manifest(
    folder: Path,
    parameters: Parameters,
    question: Question,
    settings: Settings,
    size: Size,
    begin: datetime,
    counts: dict[str, int],
) -> dict[str, Any]:
    """What the shop was made with; `files` are SHA-256 by path."""
    ceiling = {
        "task": settings.task.name,
        "horizon_days": question.horizon or None,
        "prefixes": list(question.prefixes),
        "known_by": settings.anchors.known_by,
        "probability": "of the label, given every event before the anchor and the true parameters: best reachable",
        "probability_given_state": "of the label, given the hidden state as well: out of reach",
    }
    return {
        "format": FORMAT,
        "synthetic": True,
        "simulator_version": parameters.version,
        "parameters_sha256": parameters.digest,
        "size": asdict(size),
        "begin": begin.astimezone(UTC).isoformat(),
        "end": settings.log_end.isoformat(),
        "counts": counts,
        "ceiling": ceiling if question.has_ceiling else None,
        "files": {path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(folder.rglob("*.parquet"))},
    }


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a simulated shop.

    Raises:
        InputError: there is none, or it is of another format.
    """
    path = folder / MANIFEST
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] == FORMAT and told["synthetic"]:
            return dict(told)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise InputError(f"{folder} holds no simulated shop; expected a {MANIFEST}. Run `intent simulate`.")


def _sweep(out: Path) -> None:
    """Remove what a killed simulation left; nobody else writes such names here."""
    for left in out.glob(f".{FOLDER}.{'?' * 8}"):
        shutil.rmtree(left, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
