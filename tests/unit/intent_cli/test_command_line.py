"""Every command: help with an example, exit codes, --json, and errors that say what to do and change nothing."""

import json
import os
import re
from pathlib import Path

import pytest
import typer

from intent_cli.commands import COMMANDS
from intent_cli.main import run
from training.settings import template

FIXED = {"init", "ingest", "apply", "dataset", "train", "evaluate", "publish", "materialize", "score", "serve"}


def test_the_fixed_commands_are_there() -> None:
    assert set(COMMANDS) >= FIXED


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(name, capsys) -> None:
    assert run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Example: intent {name}" in " ".join(shown.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_uses_options_that_exist(name, capsys) -> None:
    example = re.search(r"Example: (intent .*)", COMMANDS[name].__doc__ or "")
    assert example
    run([name, "--help"])
    shown = capsys.readouterr().out
    for word in example[1].split():
        assert not word.startswith("--") or word in shown


def test_unknown_commands_and_options_are_the_users_input(capsys) -> None:
    for arguments, named in (
        (["nonsense"], "nonsense"),
        (["ingest", "--nonsense"], "--nonsense"),
        (["serve", "--port", "abc"], "--port"),
        (["serve", "--workers", "0"], "--workers"),
        (["score"], "--out"),
    ):
        assert run(arguments) == 1
        error = capsys.readouterr().err
        assert named in error
        assert "--help" in error
        assert "Unexpected" not in error


def test_the_bare_command_shows_its_help(capsys) -> None:
    assert run([]) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (ModuleNotFoundError("No module named 'sklearn'", name="sklearn"), "needs the package 'sklearn'.*make setup"),
        (ModuleNotFoundError("No module named 'scipy.stats'", name="scipy.stats"), "needs the package 'scipy'"),
        (
            MemoryError("Unable to allocate 3 TiB"),
            "Memory ran out: Unable to allocate 3 TiB. What was finished is kept",
        ),
        (ModuleNotFoundError("No module named 'nonsense'", name="nonsense"), "Unexpected ModuleNotFoundError.*--debug"),
        (
            ZeroDivisionError("division by zero"),
            "Unexpected ZeroDivisionError: division by zero. Run again with --debug",
        ),
    ],
)
def test_what_no_step_knows_of_is_told_in_one_line(problem, told, capsys, monkeypatch) -> None:
    def failing(*_, **__):
        raise problem

    monkeypatch.setattr("intent_cli.main.app", failing)
    assert run(["train"]) == 1
    error = capsys.readouterr().err
    assert re.search(told, error)
    assert error.count("\n") == 1


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A small shop with its settings, ready for `intent ingest`."""
    lines = ["customer,bought_at,sku,quantity,line_total"]
    lines += [f"00{i % 7},2000-11-{1 + i % 28:02d}T10:00:00,item{i % 5},1,{i + 1}.50" for i in range(60)]
    (tmp_path / "purchases.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "intent.toml").write_text(template("table"))
    return tmp_path


def intent(shop: Path, *arguments: str) -> int:
    return run([*arguments, "--out", str(shop / "run")])


def test_ingest_reports_json(shop, capsys) -> None:
    assert intent(shop, "ingest", "--config", str(shop / "intent.toml"), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows_in"] == 60
    assert report["events"] == 60
    assert report["stage"]["seconds"] >= 0


def test_an_ingest_names_the_log_that_it_replaces(shop, capsys) -> None:
    later = shop / "later.csv"
    later.write_text((shop / "purchases.csv").read_text())
    for path in ([], [str(later)]):
        assert intent(shop, "ingest", *path, "--config", str(shop / "intent.toml"), "--json") == 0
    printed = capsys.readouterr()
    assert [json.loads(line)["replaced"] for line in printed.out.splitlines()] == [None, ["table", "purchases.csv"]]
    assert printed.err.count("the log that the adapter table had made of purchases.csv") == 1


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.unlink(), "purchases.csv"),
        (lambda f: f.write_text(""), "empty|no row|header"),
        (lambda f: f.write_text("customer,bought_at\n1,2001-01-01\n"), "sku|item_id"),
        (lambda f: f.write_text(f.read_text().replace("2000-11-", "soon ")), "unreadable|bought_at|event_timestamp"),
    ],
    ids=["missing", "empty", "a column is missing", "a column of the wrong type"],
)
def test_bad_data_is_refused_and_nothing_is_lost(shop, capsys, spoil, message) -> None:
    config = str(shop / "intent.toml")
    assert intent(shop, "ingest", "--config", config) == 0
    before = snapshot(shop / "run" / "events")
    spoil(shop / "purchases.csv")
    capsys.readouterr()
    assert intent(shop, "ingest", "--config", config) == 1
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert "Traceback" not in error
    assert snapshot(shop / "run" / "events") == before


def test_truncated_parquet_is_refused(shop, capsys) -> None:
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    whole = shop / "purchases.parquet"
    pq.write_table(csv.read_csv(shop / "purchases.csv"), whole)
    whole.write_bytes(whole.read_bytes()[:-40])
    assert intent(shop, "ingest", str(whole), "--config", str(shop / "intent.toml")) == 1
    assert "purchases.parquet" in capsys.readouterr().err
    assert not (shop / "run" / "events").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["apply"], "intent ingest"),
        (["dataset", "--config", "CONFIG"], "intent (ingest|apply)"),
        (["train", "--config", "CONFIG"], "intent dataset"),
        (["evaluate", "--config", "CONFIG"], "intent dataset"),
        (["publish", "--config", "CONFIG"], "intent train"),
        (["materialize", "--config", "CONFIG"], "intent apply|intent ingest"),
        (["serve", "--config", "CONFIG"], "intent publish"),
        (["parity", "--config", "CONFIG"], "intent evaluate"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_step_before_its_turn_says_which_comes_first(shop, capsys, command, message) -> None:
    arguments = [str(shop / "intent.toml") if word == "CONFIG" else word for word in command]
    assert intent(shop, *arguments) == 1
    error = capsys.readouterr().err
    assert re.search(message, error), error


def test_dates_outside_any_split_are_refused(shop, capsys) -> None:
    config = shop / "intent.toml"
    assert intent(shop, "ingest", "--config", str(config)) == 0
    assert intent(shop, "apply") == 0
    short = (("2000-12-04", "2000-11-20"), ("2001-01-15", "2000-11-13"), ("2001-02-05", "2000-11-20"))
    for old, new in (*short, ("2001-03-01", "2000-11-29")):
        config.write_text(config.read_text().replace(old, new))
    assert intent(shop, "dataset", "--config", str(config)) == 1
    error = capsys.readouterr().err
    assert "split 'train' has no anchor date" in error
    assert f"log_end in {config}." in error
    config.write_text(template("table").replace("2000-12-04", "1999-12-06").replace("2001-", "2000-"))
    assert intent(shop, "dataset", "--config", str(config)) == 1
    assert "expected both classes" in capsys.readouterr().err
    config.write_text(template("table"))
    assert intent(shop, "dataset", "--config", str(config)) == 1
    assert "the log's last purchase is of 2000-11-28" in capsys.readouterr().err


def test_features_of_another_log_are_refused(shop, capsys) -> None:
    config = str(shop / "intent.toml")
    assert intent(shop, "ingest", "--config", config) == 0
    assert intent(shop, "apply") == 0
    with (shop / "purchases.csv").open("a") as lines:
        lines.write("008,2000-12-09T10:00:00,item1,1,9.50\n")
    assert intent(shop, "ingest", "--config", config) == 0
    before = snapshot(shop / "run")
    for command in ("dataset", "materialize"):
        capsys.readouterr()
        assert intent(shop, command, "--config", config) == 1
        assert "of another log" in capsys.readouterr().err
    assert snapshot(shop / "run") == before


def test_init_refuses_to_replace_and_knows_its_adapters(tmp_path, capsys) -> None:
    path = tmp_path / "intent.toml"
    assert run(["init", "--adapter", "ta_feng", "--config", str(path)]) == 0
    assert f"intent ingest --config {path} --out artifacts/intent" in capsys.readouterr().out
    before = path.read_bytes()
    assert run(["init", "--config", str(path)]) == 1
    assert run(["init", "--adapter", "no_such", "--config", str(tmp_path / "b.toml")]) == 1
    assert "table" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_no_traceback_without_debug(monkeypatch, capsys) -> None:
    monkeypatch.setattr("training.settings.Settings.load", lambda path: 1 / 0)
    assert run(["train"]) == 1
    error = capsys.readouterr().err
    assert "--debug" in error
    assert "Traceback" not in error
    with pytest.raises(ZeroDivisionError):
        run(["train", "--debug"])


def test_errors_are_json_when_reports_are(tmp_path, capsys) -> None:
    assert run(["train", "--json", "--config", str(tmp_path / "none.toml")]) == 1
    assert "intent init" in json.loads(capsys.readouterr().out)["error"]


def test_exit_codes_say_whose_turn_it_is(monkeypatch) -> None:
    from feature_repo.errors import DependencyDown, DifferenceFound

    for error, code in ((DependencyDown("x"), 3), (DifferenceFound("x"), 2), (typer.Abort(), 130)):

        def fail(path, error=error):
            raise error

        monkeypatch.setattr("training.settings.Settings.load", fail)
        assert run(["train"]) == code


@pytest.mark.parametrize(("given", "told"), [(None, "passive"), ("active", "active")])
def test_waiting_threads_sleep_unless_told_otherwise(given, told, monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", given)
    assert run(["--help"]) == 0
    assert os.environ["OMP_WAIT_POLICY"] == told
