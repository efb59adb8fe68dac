import numpy as np
import pyarrow as pa
import pytest

from feature_repo.errors import InputError, SourceDataError, SplitError
from training.atomic import write_parquet
from training.evaluation.predictions import Predictions


def changed(predictions, **changes):
    fields = {name: getattr(predictions, name) for name in ("user_id", "anchor_us", "label", "probability")}
    return Predictions(**(fields | changes))


def test_round_trip_keeps_every_value(predictions, tmp_path):
    path = tmp_path / "test_predictions.parquet"
    write_parquet(path, predictions.to_table())
    again = Predictions.read(path)
    assert again.members == ("sharp", "blunt", "constant", "ensemble")
    assert again.user_id.tolist() == predictions.user_id.tolist()
    assert np.array_equal(again.anchor_us, predictions.anchor_us)
    assert np.array_equal(again.label, predictions.label)
    for member in again.members:
        assert np.array_equal(again.probability[member], predictions.probability[member])


def test_the_file_has_the_published_columns(predictions):
    schema = predictions.to_table().schema
    assert schema.names == [
        "user_id",
        "anchor_timestamp",
        "label",
        "p_sharp",
        "p_blunt",
        "p_constant",
        "p_ensemble",
    ]
    assert schema.field("user_id").type == pa.string()
    assert schema.field("anchor_timestamp").type == pa.timestamp("us", tz="UTC")
    assert schema.field("label").type == pa.int8()


def test_customers_are_numbered_by_id_not_by_row(predictions):
    backwards = predictions.take(np.arange(len(predictions.label))[::-1])
    assert np.array_equal(backwards.customers()[::-1], predictions.customers())


def test_a_missing_file_says_what_writes_it(tmp_path):
    with pytest.raises(SourceDataError, match=r"no file at .*intent evaluate"):
        Predictions.read(tmp_path / "none.parquet")


def test_a_truncated_file_is_refused(predictions, tmp_path):
    path = tmp_path / "p.parquet"
    write_parquet(path, predictions.to_table())
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(SourceDataError, match="not a whole Parquet file"):
        Predictions.read(path)


@pytest.mark.parametrize(
    ("dropped", "named"),
    [(["label"], "label"), (["p_sharp", "p_blunt", "p_constant", "p_ensemble"], "p_<member>")],
)
def test_a_missing_column_is_named(predictions, dropped, named):
    with pytest.raises(SourceDataError, match=f"expected .*{named}"):
        Predictions.from_table(predictions.to_table().drop_columns(dropped))


def test_a_row_without_label_is_refused(predictions):
    table = predictions.to_table().slice(0, 3)
    column = table.schema.get_field_index("label")
    with pytest.raises(SourceDataError, match="1 rows without a label"):
        Predictions.from_table(table.set_column(column, "label", pa.array([1, None, 0], pa.int8())))


@pytest.mark.parametrize("bad", [float("nan"), -0.01, 1.01, float("inf")])
def test_a_value_that_is_no_probability_names_its_member(predictions, bad):
    scores = predictions.probability["sharp"].copy()
    scores[5] = bad
    with pytest.raises(InputError, match="Probabilities of sharp cannot be used: got 1 of 1500"):
        changed(predictions, probability={"sharp": scores})


def test_a_label_that_is_not_binary_is_refused(predictions):
    with pytest.raises(InputError, match="Labels are not binary"):
        changed(predictions, label=predictions.label + np.int8(1))


def test_columns_of_other_length_are_named(predictions):
    with pytest.raises(InputError, match="'p_sharp': 3"):
        changed(predictions, probability={"sharp": np.zeros(3)})


def test_an_empty_test_split_is_an_error(predictions):
    with pytest.raises(SplitError, match="got 0 anchors"):
        predictions.take(np.zeros(len(predictions.label), bool))


def test_the_item_that_is_asked_about_is_kept(predictions, tmp_path):
    items = np.array([f"item {number % 7}" for number in range(len(predictions.label))], object)
    asked = changed(predictions, item_id=items)
    write_parquet(tmp_path / "p.parquet", asked.to_table())
    again = Predictions.read(tmp_path / "p.parquet")
    assert again.item_id.tolist() == items.tolist()
    assert again.take(np.array([3, 1])).item_id.tolist() == ["item 3", "item 1"]
    assert predictions.take(np.array([3])).item_id is None
    with pytest.raises(InputError, match="'item_id': 3"):
        changed(predictions, item_id=items[:3])
