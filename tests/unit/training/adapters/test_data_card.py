"""What a page calls the data: a published set by its title, anybody's own by the name of the source."""

import json

import pytest

from tests.sources import TABLE_COLUMNS, TABLE_HEADER, settings_of, write_csv
from training.adapters import ingest
from training.adapters.data_card import OWN_DATA
from training.adapters.registry import adapters


def test_own_data_are_called_by_their_source(tmp_path):
    rows = [["007", "2024-05-01T10:00:00Z", "a", "1", "2.5", "k"]]
    file = write_csv(tmp_path / "orders of a shop.csv", TABLE_HEADER, rows)
    ingest(settings_of("table", columns=TABLE_COLUMNS), tmp_path / "out", path=file)
    card = json.loads((tmp_path / "out" / "data_card.json").read_text())
    assert card["title"] == card["source"] == "orders of a shop.csv"
    assert (tmp_path / "out" / "data_card.md").read_text().startswith("# Data card: orders of a shop.csv")


@pytest.mark.parametrize("name", ["table", "sql"])
def test_adapters_for_any_data_say_so(name):
    assert adapters()[name].description.licence == OWN_DATA
