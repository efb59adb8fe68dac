"""The reader of the log, on what the writer wrote and on what a kill, a stranger or a bad disk made of it."""

from pathlib import Path

import pytest

from feature_repo.errors import SourceDataError
from services.served_log import ServedLog
from tests.unit.services.test_served_log import VIEWS, batch
from training.consistency.served_log import LogFacts, arrow_type, read_served, served_parts


def written(folder: Path, *flushes: list[str]) -> Path:
    log = ServedLog(folder, "shop", VIEWS)
    for users in flushes:
        log.offer(batch(*users))
        assert log.flush()
    log.close()
    (part,) = folder.iterdir()
    return part


def users(part: Path, facts: LogFacts, **options: int) -> list[str]:
    return [user for rows in read_served(part, facts, **options) for user in rows.asked["user_id"].to_pylist()]


def test_rows_come_back_in_columns(tmp_path: Path) -> None:
    facts = LogFacts()
    (rows,) = read_served(written(tmp_path, ["old", "new"]), facts)
    assert rows.asked.to_pydict()["user_id"] == ["old", "new"]
    assert rows.asked["event_timestamp"].cast("int64").to_pylist() == [983_404_800_000_000] * 2
    assert rows.values["user_history"].to_pydict() == {
        "spent": [1.5, 1.5],
        "last_at": [900_000_000_000_000, None],
        "area": ["A1", None],
    }
    assert rows.values["user_events"].to_pydict() == {"event_at": [[0, 1], [2, 3]], "price": [[0.1, None]] * 2}
    assert rows.status["user_history"].to_pylist() == ["fresh", "fresh"]
    assert (facts.rows, facts.models, facts.services) == (2, {"purchase_intent:1": 2}, {"shop": 1})


def test_pieces_are_as_large_as_asked(tmp_path: Path) -> None:
    part = written(tmp_path, [str(number) for number in range(7)])
    pieces = list(read_served(part, LogFacts(), rows_at_once=3))
    assert [piece.asked.num_rows for piece in pieces] == [3, 3, 1]


def test_a_part_cut_anywhere_gives_the_whole_members_before(tmp_path: Path) -> None:
    part = written(tmp_path, ["a"], ["b"], ["c"])
    whole = part.read_bytes()
    ends = [place for place in range(len(whole)) if whole[place : place + 3] == b"\x1f\x8b\x08"] + [len(whole)]
    for cut in range(len(whole) + 1):
        part.write_bytes(whole[:cut])
        facts = LogFacts()
        members = sum(end <= cut for end in ends[1:])
        assert users(part, facts) == ["a", "b", "c"][:members]
        assert facts.cut == (cut not in ends)


def test_a_flipped_byte_is_never_read_as_a_row(tmp_path: Path) -> None:
    part = written(tmp_path, ["a"], ["b"])
    whole = part.read_bytes()
    for place in range(len(whole)):
        part.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        facts = LogFacts()
        try:
            found = users(part, facts)
        except SourceDataError:
            continue
        assert found in ([], ["a"], ["a", "b"])
        assert facts.cut or found == ["a", "b"]  # bytes of gzip's own header that nobody reads


def test_answers_without_a_store_are_counted_only(tmp_path: Path) -> None:
    from dataclasses import replace

    log = ServedLog(tmp_path, "shop", VIEWS)
    log.offer(replace(batch("a"), answered=False))
    log.offer(batch("b"))
    log.close()
    facts = LogFacts()
    (part,) = served_parts(tmp_path)
    assert users(part, facts) == ["b"]
    assert (facts.rows, facts.unanswered) == (1, 1)


@pytest.mark.parametrize(
    "text", ["not JSON", "[1]", '{"format": 99}', '{"format": 1}', '{"format": 1, "service": "s", "views": []}']
)
def test_a_strange_file_is_refused(tmp_path: Path, text: str) -> None:
    import gzip

    part = tmp_path / "served-x.jsonl.gz"
    part.write_bytes(gzip.compress(text.encode() + b"\n"))
    with pytest.raises(SourceDataError, match="not a part of a served log"):
        users(part, LogFacts())


def test_a_row_of_other_types_is_refused(tmp_path: Path) -> None:
    import gzip

    part = written(tmp_path, ["a"])
    text = gzip.decompress(part.read_bytes())
    for wrong in (text.replace(b'"spent":1.5', b'"spent":"much"'), text.replace(b'"spent":1.5', b'"other":1')):
        part.write_bytes(gzip.compress(wrong))
        with pytest.raises(SourceDataError, match="do not fit"):
            users(part, LogFacts())


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(SourceDataError, match="INTENT_SERVED_LOG"):
        served_parts(tmp_path)


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(SourceDataError, match="Opaque"):
        arrow_type("Array(Opaque)")
