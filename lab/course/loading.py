"""Choose between the learner's code and the reference, by one word: mine, solution or auto."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from lab.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
IMPLEMENTATIONS = ("auto", "mine", "solution")


def path_of(name: str, implementation: str) -> Path:
    """Where an exercise module lives.

    Args:
        name: "phase1_face_swap/autoencoder".
        implementation: "mine" for the learner's template, "solution" for the reference.
    """
    phase, module = name.split("/")
    if implementation == "mine":
        return ROOT / phase / f"template_{module}.py"
    return ROOT / "solutions" / phase / f"{module}.py"


def is_finished(path: Path) -> bool:
    """True if the learner's file exists and holds no TODO any more."""
    return path.exists() and 'NotImplementedError("TODO' not in path.read_text(encoding="utf-8")


def load(name: str, implementation: str = "auto") -> ModuleType:
    """Import one exercise module by name.

    Args:
        name: "phase1_face_swap/autoencoder".
        implementation: "mine", "solution", or "auto": the learner's once it holds no TODO, else
            the reference.

    Raises:
        UserError: if the implementation is not one of the three, or the file is not there.
    """
    if implementation not in IMPLEMENTATIONS:
        raise UserError(f"--impl is one of {', '.join(IMPLEMENTATIONS)}, not '{implementation}'")
    if implementation == "auto":
        implementation = "mine" if is_finished(path_of(name, "mine")) else "solution"
    path = path_of(name, implementation)
    if not path.exists():
        raise UserError(f"{path} is not there; restore it or choose another --impl")
    qualified = f"exercises.{implementation}.{name.replace('/', '.')}"
    if qualified in sys.modules:
        return sys.modules[qualified]
    spec = importlib.util.spec_from_file_location(qualified, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[qualified] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[qualified]
        raise
    return module
