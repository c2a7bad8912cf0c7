"""Thin for now."""

from collections.abc import Sequence
from pathlib import Path


def require_consent(inputs: Sequence[Path], consent: str | None) -> str | None:
    return consent
