"""python -m lab: one line for what a user can mend, exit code 2, help with the example first."""

import importlib

import pytest

from lab.cli import COMMANDS, main
from lab.commands.evaluate import format_figure
from lab.evaluate import Figure


def test_no_command_prints_the_overview(capsys: pytest.CaptureFixture) -> None:
    assert main([]) == 2
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


def test_unknown_command_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture) -> None:
    assert main(["swop"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "swop" in error and "demo" in error


def test_bad_flag_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture) -> None:
    assert main(["evaluate", "actors", "--seed", "many"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "--seed" in error


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_its_example_first(name: str, capsys: pytest.CaptureFixture) -> None:
    module = importlib.import_module(f"lab.commands.{name.replace('-', '_')}")
    with pytest.raises(SystemExit) as leaving:
        main([name, "--help"])
    assert leaving.value.code == 0
    out = capsys.readouterr().out
    assert out.index("Example:") < out.index("options:")
    assert module.EXAMPLE.startswith(f"python -m lab {name}")


def test_figure_passes_on_its_own_side_of_the_bar() -> None:
    assert Figure("error", 0.05, 0.05, "<=").passed
    assert not Figure("error", 0.051, 0.05, "<=").passed
    assert not Figure("rate", float("nan"), 0.5, ">=").passed, (
        "a figure nobody measured must not pass"
    )
    assert "FAIL" in format_figure(Figure("rate", 0.1, 0.5, ">="))
