import struct
from pathlib import Path

from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event

from training.evaluation.curve_files import write_curve_files

HISTORIES = {
    "net": {"step": "epoch", "train": [0.6, 0.5], "validation": [0.7, 0.65], "learning_rate": [0.1, 0.05], "best": 2},
    "constant": {"step": "", "train": [], "validation": [], "learning_rate": [], "best": 0},
}


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Read a folder's event file by the format's own rules: length, its checksum, the event, its checksum."""
    (path,) = folder.iterdir()
    data, place, found = path.read_bytes(), 0, {}
    while place < len(data):
        (length,) = struct.unpack("<Q", data[place : place + 8])
        body = data[place + 12 : place + 12 + length]
        (told,) = struct.unpack("<I", data[place + 12 + length : place + 16 + length])
        checksum = crc32c(body)
        assert told == ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
        event = Event.FromString(body)
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, round(value.simple_value, 6)))
        place += 16 + length
    return found


def test_curves_and_figures_are_read_back(tmp_path):
    folder = write_curve_files(tmp_path, HISTORIES, {"net": {"roc_auc": 0.75}, "ensemble": {"roc_auc": 0.8}})
    assert sorted(path.name for path in folder.iterdir()) == ["constant", "ensemble", "net"]
    assert scalars(folder / "net") == {
        "loss/train": [(1, 0.6), (2, 0.5)],
        "loss/validation": [(1, 0.7), (2, 0.65)],
        "learning_rate": [(1, 0.1), (2, 0.05)],
        "test/roc_auc": [(2, 0.75)],
    }
    assert scalars(folder / "ensemble") == {"test/roc_auc": [(0, 0.8)]}


def test_a_second_evaluation_takes_the_place_of_the_first(tmp_path):
    write_curve_files(tmp_path, HISTORIES, {})
    write_curve_files(tmp_path, {"net": HISTORIES["net"]}, {})
    assert [path.name for path in (tmp_path / "tensorboard").iterdir()] == ["net"]
