"""Outcomes written by the service's own log, joined to answers written by the service's own log."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from feature_repo.errors import SourceDataError
from services.batch_contracts import ScoreBatchRequest
from services.contracts import ScoreRequest
from services.customer_scoring import CustomerScoring
from services.event_contracts import Outcome
from services.feedback_log import FeedbackLog
from services.request_handling import RequestHandling
from services.scoring import Scorer
from services.served_lines import MODEL_INPUTS, ServedBatch, model_inputs
from services.served_log import ServedLog
from tests.online_store import VIEWS, tiny_lookup
from tests.tiny_shop import AT
from training.consistency.feedback import join_feedback
from training.packaging.bundle import Bundle

USERS = [f"{number:08d}" for number in range(1, 13)]


@pytest.fixture
def answers(tiny_bundle_folder: Path, tmp_path: Path) -> tuple[Path, dict[str, str], dict[str, float]]:
    """The folder of a log of twelve single answers and one batch `ff…`; customer → request id, → probability."""
    bundle = Bundle.load(tiny_bundle_folder)
    described = {v.name: {"join_keys": list(v.join_keys), "fields": dict(v.fields)} for v in VIEWS}
    log = ServedLog(tmp_path / "served", "shop", described | {MODEL_INPUTS: model_inputs()})
    scoring = CustomerScoring(bundle, Scorer(bundle), tiny_lookup(), log)
    given = {user: scoring.answer(ScoreRequest(user_id=user, at=AT), AT) for user in USERS}
    scoring.answer_batch(USERS, AT, "f" * 32)
    scoring.close()
    ids = {user: answer.request_id for user, answer in given.items()}
    return tmp_path / "served", ids, {user: answer.probability for user, answer in given.items()}


def test_outcomes_find_their_answers(answers: tuple[Path, dict[str, str], dict[str, float]]) -> None:
    folder, ids, said = answers
    log = FeedbackLog(folder)
    log.append([Outcome(request_id=ids[user], bought=place % 3 == 0) for place, user in enumerate(USERS[:9])])
    log.append([Outcome(request_id="0" * 32, bought=True)])
    log.close()
    found = join_feedback(folder)
    assert (found.outcomes, found.joined, found.unknown) == (10, 9, 1)
    (model,) = found.models.values()
    assert (model.answers, model.outcomes) == (24, 9)
    assert model.said == pytest.approx(np.mean([said[user] for user in USERS[:9]]))
    assert model.bought == pytest.approx(3 / 9)
    assert sum(one.answers for one in model.bins) == 9
    assert 0 <= model.metrics["ece"] <= 1


def test_the_last_outcome_counts_once(answers: tuple[Path, dict[str, str], dict[str, float]]) -> None:
    folder, ids, _ = answers
    for bought in (True, True, False):
        log = FeedbackLog(folder)
        log.append([Outcome(request_id=ids[USERS[0]], bought=bought)])
        log.close()
    (model,) = join_feedback(folder).models.values()
    assert (model.outcomes, model.bought) == (1, 0.0)


def test_of_a_batch_the_customer_says_which_answer(answers: tuple[Path, dict[str, str], dict[str, float]]) -> None:
    folder, _, said = answers
    log = FeedbackLog(folder)
    log.append([Outcome(request_id="f" * 32, user_id=USERS[4], bought=True)])
    log.close()
    (model,) = join_feedback(folder).models.values()
    assert model.said == pytest.approx(said[USERS[4]])


def test_an_outcome_that_names_none_of_a_batch_is_of_no_answer(answers) -> None:
    folder, _, _ = answers
    log = FeedbackLog(folder)
    log.append([Outcome(request_id="f" * 32, bought=True)])
    log.close()
    assert (join_feedback(folder).joined, join_feedback(folder).unknown) == (0, 1)


def test_a_batch_that_models_shared_is_one_of_several_too(tiny_bundle_folder: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(tiny_bundle_folder)
    described = {v.name: {"join_keys": list(v.join_keys), "fields": dict(v.fields)} for v in VIEWS}
    log = ServedLog(tmp_path, "shop", described | {MODEL_INPUTS: model_inputs()})
    answering = {user: CustomerScoring(bundle, Scorer(bundle), tiny_lookup(), log) for user in USERS[:2]}
    handling = RequestHandling(SimpleNamespace(scorings_for=lambda ids: [answering[user] for user in ids]))
    sent = asyncio.run(handling.score_batch(ScoreBatchRequest(user_ids=USERS[:2], at=AT)))
    handling.close()
    log.close()
    request_id = json.loads(sent.body)["request_id"]
    feedback = FeedbackLog(tmp_path)
    feedback.append([Outcome(request_id=request_id, bought=True)])
    feedback.append([Outcome(request_id=request_id, user_id=USERS[0], bought=False)])
    feedback.close()
    found = join_feedback(tmp_path)
    assert (found.joined, found.unknown) == (1, 1)
    (model,) = found.models.values()
    assert model.bought == 0.0


def test_of_a_ranking_the_item_says_which_answer(tmp_path: Path) -> None:
    views = {"item_demand": {"join_keys": ["item_id"], "fields": {"price": "Float64"}}}
    served = ServedLog(tmp_path, "shop", views)
    columns = {"item_demand": {"price": np.array([1.0, 2.0])}}
    keys = {"user_id": ["u1"], "item_id": ["i1", "i2"]}
    served.offer(ServedBatch("e" * 32, 0, keys, "model:1", columns, probability=np.array([0.25, 0.75])))
    served.close()
    log = FeedbackLog(tmp_path)
    log.append([Outcome(request_id="e" * 32, item_id="i2", bought=True)])
    log.append([Outcome(request_id="e" * 32, user_id="u1", item_id="i1", bought=False)])
    log.append([Outcome(request_id="e" * 32, user_id="u1", bought=True)])
    log.append([Outcome(request_id="e" * 32, item_id="another", bought=True)])
    log.close()
    found = join_feedback(tmp_path)
    assert (found.joined, found.unknown) == (2, 2)
    (model,) = found.models.values()
    assert (model.answers, model.outcomes, model.said, model.bought) == (2, 2, 0.5, 0.5)
    assert model.metrics["roc_auc"] == 1.0


def test_a_line_that_a_crash_cut_off_is_left_out(answers: tuple[Path, dict[str, str], dict[str, float]]) -> None:
    folder, ids, _ = answers
    log = FeedbackLog(folder)
    log.append([Outcome(request_id=ids[USERS[0]], bought=True)])
    log.close()
    (file,) = folder.glob("feedback-*.jsonl")
    file.write_bytes(file.read_bytes() + b'{"request": "')
    found = join_feedback(folder)
    assert (found.joined, found.cut) == (1, 1)


@pytest.mark.parametrize("content", [None, b"not ours\n"])
def test_a_folder_without_feedback_is_told(
    answers: tuple[Path, dict[str, str], dict[str, float]], content: bytes | None
) -> None:
    if content is not None:
        (answers[0] / "feedback-x.jsonl").write_bytes(content)
    with pytest.raises(SourceDataError, match="feedback"):
        join_feedback(answers[0])
