"""Two services over one BentoML home: the figures of each are its own, however the other one comes and goes."""

from pathlib import Path

import httpx
import psutil

from intent_cli.bento_server import Bento, free_port, running
from intent_cli.server_process import ServerProcess
from services.figures_folder import VARIABLE
from tests.hostile_requests import BODIES
from tests.waiting import until

SCORED = 'intent_request_seconds_count{route="/score",status="200"}'


def score(server: ServerProcess, times: int) -> None:
    for _ in range(times):  # on a connection of its own each: whichever worker is free takes it
        answer = httpx.post(
            f"{server.address}/score",
            content=BODIES["/score"],
            headers={"content-type": "application/json"},
            trust_env=False,
        )
        assert answer.status_code == 200


def figures(server: ServerProcess) -> dict[str, float]:
    text = httpx.get(f"{server.address}/metrics", trust_env=False, timeout=20).text
    found = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("intent_")]
    return {name: float(value) for name, value in found}


def folders(server: ServerProcess) -> set[Path]:
    workers = psutil.Process(server.pid).children(recursive=True)
    return {Path(worker.environ()[VARIABLE]) for worker in workers if VARIABLE in worker.environ()}


def test_a_second_service_takes_nothing_from_the_first(tiny_bento: Bento, tmp_path: Path) -> None:
    with running(tiny_bento, free_port(), workers=2, log=tmp_path / "first.log") as first:
        score(first, 12)
        until(lambda: figures(first).get(SCORED) == 12, 20)  # of both workers, whichever is asked
        (own,) = folders(first)
        with running(tiny_bento, free_port(), log=tmp_path / "second.log") as second:
            score(second, 3)
            until(lambda: figures(second).get(SCORED) == 3, 20)
            assert figures(first)[SCORED] == 12
            (other,) = folders(second)
        assert own != other
        assert not other.exists()
        score(first, 1)
        until(lambda: figures(first).get(SCORED) == 13, 20)
        told = figures(first)
        assert told["intent_ready"] == 1
        assert [told[name] for name in told if name.startswith("intent_model_info")] == [1]
    assert not own.exists()
