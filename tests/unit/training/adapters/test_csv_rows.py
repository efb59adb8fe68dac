"""CSV that is not what it claims to be: other encodings, rows of any width, quotes that never end."""

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_repo.errors import SourceDataError
from tests.sources import log_of, quarantined, settings_of
from training.adapters import csv_rows, ingest, utf8_stream
from training.adapters.csv_rows import read_csv

SETTINGS = settings_of("table", columns={"user_id": "who", "event_timestamp": "when", "quantity": "pieces"})
LATIN = """who,when,pieces
Anna,2024-01-02,1
Müller,2024-01-03,5,extra
Müller,2024-01-03,6
Bob,2024-01-05,3
Jürgen
""".encode("latin-1")


def written(folder, content: bytes):
    (folder / "x.csv").write_bytes(content)
    return folder / "x.csv"


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_latin_1_row_of_the_wrong_width_goes_to_quarantine_alone(tmp_path, capfd):
    report = ingest(SETTINGS, tmp_path / "out", path=written(tmp_path, LATIN))
    assert report.events == 2
    assert quarantined(tmp_path / "out") == [
        (2, "wrong_column_count", {"line": "M\ufffdller,2024-01-03,5,extra"}),
        (3, "not_utf8", {"who": "M\ufffdller", "when": "2024-01-03", "pieces": "6"}),
        (5, "wrong_column_count", {"line": "J\ufffdrgen"}),
    ]
    assert capfd.readouterr() == ("", "")


def test_a_quote_that_never_ends_is_told_without_the_row(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_rows, "BLOCK_BYTES", 256)
    file = written(tmp_path, b'who,when,pieces\n"Anna,2024-01-02,1\n' + b"Bob,2024-01-02,1\n" * 100)
    with pytest.raises(SourceDataError, match=r"x\.csv cannot be read as CSV: got a row longer than 256 by") as refused:
        ingest(SETTINGS, tmp_path / "out", path=file)
    assert "Anna" not in str(refused.value)
    assert "Bob" not in str(refused.value)
    assert refused.value.__suppress_context__


cells = st.binary(max_size=6).filter(lambda cell: not set(cell) & set(b'\x00\r\n",'))


@given(st.lists(st.lists(cells, min_size=1, max_size=4), max_size=12), st.integers(1, 9))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_bytes_every_row_is_read_or_set_apart(tmp_path, monkeypatch, rows, step):
    monkeypatch.setattr(utf8_stream, "READ_BYTES", step)  # characters are cut in two
    rows = [[b"x", *row] for row in rows]
    file = written(tmp_path, b"a,b,c\n" + b"".join(b",".join(row) + b"\n" for row in rows))
    found = {}
    for part in read_csv(file):
        bad = {int(n) for problem in part.problems for n in part.source_row[problem.rows]}
        for number, row in zip(part.source_row.tolist(), part.table.to_pylist(), strict=True):
            found[number] = "not_utf8" if number in bad else list(row.values())
        found |= {row.source_row: row.reason for row in part.unreadable}
    assert [found[number + 1] for number in range(len(rows))] == [expected(row) for row in rows]


def expected(row: list[bytes]) -> object:
    if len(row) != 3:
        return "wrong_column_count"
    try:
        return [cell.decode() or None for cell in row]
    except UnicodeDecodeError:
        return "not_utf8"


def test_text_of_every_script_survives(tmp_path):
    text = io.StringIO()
    csv.writer(text).writerows([["who", "when"], ["Zoë 李 🎁 \ufffd", "2024-01-02"]])
    ingest(
        settings_of("table", columns={"user_id": "who", "event_timestamp": "when"}),
        tmp_path / "out",
        path=written(tmp_path, text.getvalue().encode()),
    )
    assert log_of(tmp_path / "out")[0]["user_id"] == "Zoë 李 🎁 \ufffd"
