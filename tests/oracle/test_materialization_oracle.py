"""Any sequence of incremental runs over a growing log ends where one full run does, and where the oracle says."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.materialization import Event, Repository, at, engine_of, offline_rows, online_rows

USERS, EVERY, LOOK_BACK = 3, 20, 30  # minutes

Step = tuple[int, int, int, float | None]
"""(user, minutes between event and knowledge, minutes between the next run and knowledge, value)"""

# A step of the log: the rows that reach the source between two runs. The source may be slow: a row was known up to
# `LOOK_BACK` minutes before the run that it missed, or becomes known after the next one. It happened any time before.
STEPS = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, USERS - 1),
            st.integers(0, 60),
            st.integers(-EVERY - LOOK_BACK, 15),
            st.one_of(st.none(), st.sampled_from([0.0, 1.5])),
        ),
        min_size=1,
        max_size=5,
    ),
    min_size=2,
    max_size=4,
)


def log_of(steps: list[list[Step]], creation: bool) -> list[list[Event]]:
    parts = []
    for number, step in enumerate(steps):
        seen = EVERY * number
        known = [(user, seen + late, before, value) for user, before, late, value in step]
        parts.append(
            [(user, moment - (before if creation else 0), moment, value) for user, moment, before, value in known]
        )
    return parts


@pytest.fixture(scope="module", params=["created", "event time alone"])
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """An applied repository, of which every example takes a copy: to apply costs more than all the rest."""
    folder = tmp_path_factory.mktemp("template")
    creation = request.param == "created"
    engine = {"chunk_rows": 2, "look_back_hours": LOOK_BACK / 60}
    repository = Repository(folder, engine=engine, creation=creation, project="template")
    repository.write([(0, 0, 0, None)])
    repository.open()
    shutil.rmtree(folder / "events")
    return repository


FIXTURES = [HealthCheck.function_scoped_fixture]


@settings(max_examples=15, deadline=None, suppress_health_check=FIXTURES)
@given(steps=STEPS)
def test_increments_end_where_a_full_run_does(template: Repository, steps: list[list[Step]]) -> None:
    assert_increments_equal_a_full_run(template, steps)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=400, deadline=None, suppress_health_check=FIXTURES)
@given(steps=STEPS)
def test_many_increments_end_where_a_full_run_does(template: Repository, steps: list[list[Step]]) -> None:
    assert_increments_equal_a_full_run(template, steps)


def assert_increments_equal_a_full_run(template: Repository, steps: list[list[Step]]) -> None:
    parts = log_of(steps, template.creation)
    with tempfile.TemporaryDirectory() as name:
        kept, full = (copy_of(template, Path(name) / each) for each in ("kept", "full"))
        store = kept.open_applied()
        for number, part in enumerate(parts):
            kept.write(part, part=number)
            for view in ("stats", "history"):
                engine_of(store).materialize_view(store.get_feature_view(view), at(EVERY * number))
            full.write(part, part=number)
        end = EVERY * (len(parts) - 1)
        other = full.open_applied()
        for view in ("stats", "history"):
            engine_of(other).materialize_view(other.get_feature_view(view), at(end))
            expected = offline_rows(parts, view, end, template.creation)
            assert online_rows(store, view, USERS) == online_rows(other, view, USERS) == expected


def copy_of(template: Repository, folder: Path) -> Repository:
    shutil.copytree(template.folder, folder)
    return Repository(folder, engine=template.engine, creation=template.creation, project=template.project)
