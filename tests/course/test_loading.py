"""lab.course.load: mine, solution or auto, by one word."""

from pathlib import Path

import pytest

from lab.course import load, loading
from lab.errors import UserError


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one exercise, in a folder with a space and an umlaut."""
    root = tmp_path / "mein Kürs"
    (root / "solutions" / "phase9_x").mkdir(parents=True)
    (root / "phase9_x").mkdir()
    (root / "solutions" / "phase9_x" / "thing.py").write_text(
        "WHO = 'reference'\n", encoding="utf-8"
    )
    monkeypatch.setattr(loading, "ROOT", root)
    for name in [n for n in loading.sys.modules if "phase9_x" in n]:
        monkeypatch.delitem(loading.sys.modules, name)
    yield root
    for name in [n for n in loading.sys.modules if "phase9_x" in n]:
        del loading.sys.modules[name]


def test_auto_takes_the_reference_while_a_todo_is_left(house: Path) -> None:
    template = house / "phase9_x" / "template_thing.py"
    template.write_text('def f():\n    raise NotImplementedError("TODO 9.1")\n', encoding="utf-8")
    assert load("phase9_x/thing").WHO == "reference"


def test_auto_takes_the_learners_file_once_it_holds_no_todo(house: Path) -> None:
    template = house / "phase9_x" / "template_thing.py"
    template.write_text("WHO = 'learner: ä'\n", encoding="utf-8")
    assert load("phase9_x/thing").WHO == "learner: ä"
    assert load("phase9_x/thing", "solution").WHO == "reference"


def test_a_module_is_loaded_once(house: Path) -> None:
    assert load("phase9_x/thing", "solution") is load("phase9_x/thing", "solution")


def test_a_module_that_fails_to_load_is_not_kept(house: Path) -> None:
    (house / "phase9_x" / "template_thing.py").write_text("1 / 0\n", encoding="utf-8")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            load("phase9_x/thing", "mine")


def test_wrong_word_and_missing_file_are_named(house: Path) -> None:
    with pytest.raises(UserError, match="theirs"):
        load("phase9_x/thing", "theirs")
    with pytest.raises(UserError, match="template_thing.py is not there"):
        load("phase9_x/thing", "mine")
