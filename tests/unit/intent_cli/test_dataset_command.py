"""`intent dataset` and `intent dataset build` are one command; an anchors file needs no settings."""

import subprocess
import sys
from pathlib import Path

import pytest

from feature_repo.errors import SettingsError
from intent_cli.commands.dataset import _settings
from intent_cli.main import run
from intent_cli.options import DEFAULT_CONFIG
from training.settings import template

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("words", [["dataset"], ["dataset", "build"]])
def test_help_has_examples_and_every_option(words, capsys) -> None:
    assert run([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    for text in ("Example: intent dataset build", "--anchors FILE", "--service NAME", "--chunk-rows N", "--to DIR"):
        assert text in shown


def test_help_of_build_loads_nothing_heavy() -> None:
    """It answers at once, because what takes seconds to import is not imported."""
    script = (
        "import sys; from intent_cli.main import run; run(['dataset', 'build', '--help']);"
        "print([name for name in 'feast pandas pyarrow duckdb numpy sqlalchemy'.split() if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("words", [["nonsense"], ["build", "--chunk-rows", "0"]])
def test_other_words_are_the_users_input(words, capsys) -> None:
    assert run(["dataset", *words]) == 1
    error = capsys.readouterr().err
    assert "nonsense" in error or "--chunk-rows" in error
    assert "Traceback" not in error


def test_only_an_anchors_file_can_do_without_settings(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert _settings(DEFAULT_CONFIG, Path("anchors.csv")) is None
    for config, anchors in ((DEFAULT_CONFIG, None), (Path("named.toml"), Path("anchors.csv"))):
        with pytest.raises(SettingsError, match="intent init"):
            _settings(config, anchors)
    DEFAULT_CONFIG.write_text(template("ta_feng"))
    settings = _settings(DEFAULT_CONFIG, Path("anchors.csv"))
    assert settings is not None
    assert settings.task.horizon_days == 7


def test_anchors_that_are_not_there_are_named_before_anything_is_written(tmp_path, capsys) -> None:
    (tmp_path / "intent.toml").write_text(template("ta_feng"))
    words = ["--config", str(tmp_path / "intent.toml"), "--out", str(tmp_path / "run"), "--to", str(tmp_path / "mine")]
    assert run(["dataset", "build", "--anchors", str(tmp_path / "none.csv"), *words]) == 1
    error = capsys.readouterr().err
    assert "intent ingest" in error or "none.csv" in error
    assert not (tmp_path / "mine").exists()
