"""What the service logs of an answer is what the model was given for it."""

from pathlib import Path

import numpy as np
import pytest

from feature_repo.transforms.columns import columns_of
from services.contracts import ScoreRequest
from services.customer_scoring import CustomerScoring
from services.scoring import Scorer
from services.served_lines import MODEL_INPUTS, model_inputs
from services.served_log import ServedLog
from tests.online_store import VIEWS, lookup_over
from tests.tiny_shop import AT, AT_US, shop
from training.consistency.replay import TRANSFORMS
from training.consistency.served_log import LogFacts, ServedRows, read_served, served_parts
from training.packaging.bundle import Bundle

USERS = ["00000001", "00000003", "nobody"]


@pytest.fixture(scope="module")
def bundle(tiny_bundle_folder: Path) -> Bundle:
    return Bundle.load(tiny_bundle_folder)


def answered(bundle: Bundle, folder: Path, trouble: str | None = None) -> tuple[list, LogFacts, list[ServedRows]]:
    lookup, store = lookup_over(VIEWS, shop())
    store.trouble = trouble
    described = {v.name: {"join_keys": list(v.join_keys), "fields": dict(v.fields)} for v in VIEWS}
    log = ServedLog(folder, "shop", described | {MODEL_INPUTS: model_inputs()})
    scoring = CustomerScoring(bundle, Scorer(bundle), lookup, log)
    answers = [scoring.answer(ScoreRequest(user_id=user, at=AT), AT) for user in USERS]
    scoring.close()
    facts = LogFacts()
    return answers, facts, [rows for part in served_parts(folder) for rows in read_served(part, facts)]


def test_what_is_logged_is_what_the_model_was_given(bundle: Bundle, tmp_path: Path) -> None:
    _, facts, (rows,) = answered(bundle, tmp_path)
    assert facts.models == {bundle.tag: 3}
    assert rows.asked["user_id"].to_pylist() == USERS
    columns = {
        f: c for name, table in rows.values.items() if name != MODEL_INPUTS for f, c in columns_of(table).items()
    }
    given = TRANSFORMS[MODEL_INPUTS](columns, np.full(3, AT_US, np.int64))
    logged = columns_of(rows.values[MODEL_INPUTS])
    assert logged.keys() == given.keys()
    np.testing.assert_array_equal(logged["recency_days"], given["recency_days"])
    assert not np.isnan(logged["recency_days"][0])
    assert rows.status["user_history"].to_pylist() == ["fresh", "fresh", "missing"]


def test_answers_without_a_store_are_marked(bundle: Bundle, tmp_path: Path) -> None:
    answers, facts, rows = answered(bundle, tmp_path, "Redis: no answer in time")
    assert all(answer.degraded for answer in answers)
    assert (facts.unanswered, rows) == (3, [])


def test_an_answer_is_the_same_with_and_without_a_log(bundle: Bundle, tmp_path: Path) -> None:
    logged, *_ = answered(bundle, tmp_path)
    plain = CustomerScoring(bundle, Scorer(bundle), lookup_over(VIEWS, shop())[0])
    assert [a.probability for a in logged] == [
        plain.answer(ScoreRequest(user_id=user, at=AT), AT).probability for user in USERS
    ]
