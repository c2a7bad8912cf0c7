"""Who may import whom (the guide's first page), and that the README's tree is the disk's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PHASES = ("phase1_face_swap",)
HEAVY = ("torchvision", "librosa", "matplotlib", "skimage")


def imports_of(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """Yield the full dotted names that a module imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def named(paths: list[Path]) -> list:
    return [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in paths]


@pytest.mark.parametrize("path", named(modules("lab")))
def test_lab_imports_no_phase_and_no_solution(path: Path) -> None:
    for name in imports_of(path):
        root = name.split(".")[0]
        assert root != "solutions" and not root.startswith("phase"), (
            f"{path.name} imports {name}; lab reaches exercises only through lab.course.load"
        )


@pytest.mark.parametrize("path", named(modules("lab")))
def test_lab_module_does_not_import_slow_packages_at_top_level(path: Path) -> None:
    for name in imports_of(path, top_level_only=True):
        assert name.split(".")[0] not in HEAVY, f"{path.name} imports {name} at import time"


@pytest.mark.parametrize("path", named([p for d in ("solutions", *PHASES) for p in modules(d)]))
def test_exercise_module_imports_no_other_exercise(path: Path) -> None:
    for name in imports_of(path):
        root = name.split(".")[0]
        assert not name.startswith("."), f"{path.name} uses a relative import"
        assert root not in ("solutions", *PHASES), (
            f"{path.name} imports {name}; pass it as an argument"
        )


@pytest.mark.parametrize("path", named(modules("tests")))
def test_tests_never_import_solutions(path: Path) -> None:
    assert not any(name.split(".")[0] == "solutions" for name in imports_of(path))


@pytest.mark.parametrize(
    "path", named([p for p in modules("lab") if "grid" not in p.name] + modules("solutions"))
)
def test_only_lab_grid_calls_grid_sample(path: Path) -> None:
    calls = (
        n
        for n in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(n, ast.Attribute)
    )
    assert not any(node.attr == "grid_sample" for node in calls), "call lab.grid.sample instead"


def test_codecs_are_touched_only_by_lab_media() -> None:
    users = {
        p.relative_to(ROOT).as_posix()
        for p in modules("lab") + modules("solutions")
        if "av" in set(imports_of(p))
    }
    assert users and all(user.startswith("lab/media") for user in users), users


def test_readme_tree_names_what_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = re.search(r"```text\n(.*?)```", readme, re.DOTALL)
    assert tree, "the README shows the tree in a ```text block"
    listed = {
        line.split()[0].rstrip("/")
        for line in tree[1].splitlines()
        if line.strip() and not line.startswith("  ")
    }
    skip = {
        ".git",
        ".ruff_cache",
        ".pytest_cache",
        ".mypy_cache",
        ".gitignore",
        "out",
        "runs",
        "data",
        "README.md",
    }
    on_disk = {p.name for p in ROOT.iterdir()} - skip
    on_disk = {name for name in on_disk if not name.endswith(".egg-info")}
    assert listed - {"README.md"} == on_disk, (
        f"only in the README: {listed - on_disk}; only on disk: {on_disk - listed}"
    )
