"""Every command of README and docs, run as written in a copy of the repository on a 5 % sample."""

import os
import re
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NOT_HERE = {"make test", "make demo"}  # the tests themselves, and what the fixture `sample_run` ran already

# Shops and moments of their own: on files each has a folder, on servers it would need a project.
ON_FILES_ONLY = {
    "docs/adapters.md",
    "docs/activity_features.md",
    "docs/simulated_shop.md",
    "docs/streaming.md",
    "docs/tasks.md",
}

pytestmark = pytest.mark.end_to_end


def commands(page: str) -> list[tuple[str, str]]:
    """(language, text) of every command: a line of a bash block without its comment, or a whole python block."""
    found = []
    for language, text in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        lines = [re.sub(r"\s+#.*", "", line).strip() for line in text.splitlines() if line and line[0] != "#"]
        found += [(language, part) for part in ([text] if language == "python" else lines)]
    return found


def test_every_page_is_known_to_have_commands() -> None:
    assert {("bash", "make demo"), ("bash", "make test")} <= set(commands("README.md"))
    for page in ("docs/data_engineers.md", "docs/ml_engineers.md", "docs/backend_teams.md"):
        assert len(commands(page)) >= 3, page


def kinds(lines: list[str]) -> set[str]:
    """The first words of each line, numbers and tags masked: what kind of line it is. What is odd differs."""
    masked = [re.sub(r":[0-9a-f]{16}\b|[+-]?[\d.,]+", "#", line).split() for line in lines]
    return {" ".join(words[:2]) for words in masked if words and words[0] not in ("odd:", "installing")}


def test_the_readme_shows_what_the_demo_prints(sample_run) -> None:
    """Figures differ on a sample; the kinds of lines do not."""
    block = re.search(
        r"^```text\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert block
    shown, printed = kinds(block[1].splitlines()), kinds(sample_run.demo_output.splitlines())
    customers = {"#: probability", "nobody-we-know: probability"}
    # A sample is held to no targets; and on it the ensemble need not be worse calibrated than a member.
    of_whole_demo = {"targets: #", "missed: ensemble", "To serve"}
    assert shown - of_whole_demo <= printed | customers
    assert {kind for kind in printed if not kind.startswith("make")} <= shown | customers


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_the_page_run(page: str, sample_run) -> None:
    if sample_run.is_on_servers and page in ON_FILES_ONLY:
        pytest.skip("the page makes a run of its own, on files")
    serving = None
    try:
        for language, text in commands(page):
            if text in NOT_HERE:
                continue
            if text.startswith("make serve"):
                serving = start_serving(text, sample_run)
            elif language == "python":
                sample_run.run(["python", "-c", text.replace("127.0.0.1:3000", sample_run.address)])
            else:
                # A shop that a page makes up has too few customers to draw a sample of.
                made_up = "--config artifacts/" in text or "simulated_shop" in text
                whole = "unset INTENT_SAMPLE; " if made_up else ""
                command = whole + text.replace("127.0.0.1:3000", sample_run.address)
                sample_run.run(["bash", "-euo", "pipefail", "-c", command])
    finally:
        if serving is not None:
            os.killpg(serving.pid, signal.SIGINT)  # a terminal's Ctrl-C reaches the whole group
            assert serving.wait(30) in (0, 2, -signal.SIGINT)  # make may end by the signal itself


def start_serving(text: str, sample_run) -> subprocess.Popen:
    process = subprocess.Popen(
        ["bash", "-c", f"exec {text}"], cwd=sample_run.folder, env=sample_run.environment, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{text} ended with {process.returncode}"
        try:
            with urllib.request.urlopen(f"http://{sample_run.address}/readyz", timeout=2):
                return process
        except OSError:
            time.sleep(0.3)
    process.kill()
    raise AssertionError(f"{text} was not ready within two minutes")
