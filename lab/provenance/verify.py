"""Thin for now."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Verification:
    path: Path


def verify(path) -> Verification:
    return Verification(Path(path))
