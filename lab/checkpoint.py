"""Checkpoints: one `.pt` file of tensors and plain types, whole or not at all.

A file holds a format number and three dictionaries: the state (tensors: weights, optimiser,
positions), the config (what is needed to build the same model again) and the provenance of the
weights (by which command, from which data, under which consent). It holds no code: loading uses
`weights_only=True`, so a stranger's checkpoint cannot run anything.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lab.errors import UserError
from lab.files import atomic_path

FORMAT = 1
WEIGHTS_DIR = Path(__file__).resolve().parent / "weights"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a checkpoint file holds.

    Args:
        state: tensors and plain types; models in training have "model", "ema", "optimizer", ...
        config: plain types; what builds the model, and how it was trained.
        provenance: plain types; command, data, seed, consent.
    """

    state: dict[str, Any]
    config: dict[str, Any]
    provenance: dict[str, Any]


def save(path: Path | str, state: Mapping[str, Any], config: Mapping, provenance: Mapping) -> Path:
    """Write a checkpoint atomically: a reader, or a power cut, sees the old file or the new one.

    Args:
        path: the file to write, usually `checkpoint.pt`; its folder is made if it is missing.
        state, config, provenance: see `Checkpoint`; tensors and plain types only.

    Raises:
        UserError: if the folder cannot be written or the disk is full.
        TypeError: if something in it is neither a tensor nor a plain type.
    """
    content = {
        "format": FORMAT,
        "state": dict(state),
        "config": dict(config),
        "provenance": dict(provenance),
    }
    _require_plain(content, "checkpoint")
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        torch.save(content, handle)
    return Path(path)


def load(path: Path | str, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: a file written by `save`.
        device: where the tensors shall live.

    Raises:
        UserError: if the file is missing, cut short, or not one of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}; train one first, or check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # foreign pickles make torch warn before it refuses
            content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch's reader fails in many ways on bytes that are not its own
        reason = "it holds code" if "weights_only" in str(error).lower() else "cut short or foreign"
        raise UserError(
            f"{path} is not a readable checkpoint ({reason}); expected a checkpoint.pt of this course"
        ) from error
    parts = ("state", "config", "provenance")
    if not isinstance(content, dict) or not all(isinstance(content.get(p), dict) for p in parts):
        raise UserError(f"{path} is a PyTorch file but not a checkpoint.pt of this course")
    if content.get("format") != FORMAT:
        raise UserError(
            f"{path} has checkpoint format {content.get('format')}, this version reads {FORMAT}; "
            "train again or update the course"
        )
    return Checkpoint(*(content[part] for part in parts))


def save_reference(
    name: str,
    weights: Mapping[str, Tensor],
    config: Mapping,
    card: Mapping,
    folder: Path = WEIGHTS_DIR,
) -> Path:
    """Write weights for shipping, in half precision, and their card beside them.

    Args:
        name: file name without suffix: "phase1-pair-a".
        weights: a model's state dict; floating-point tensors are stored as float16.
        config: what builds the model.
        card: recipe, seed, data, measured figures; written as `NAME.json` and into the file.
        folder: where to; the shipped weights by default.
    """
    halves = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
    path = save(folder / f"{name}.pt", {"model": halves}, config, card)
    with atomic_path(folder / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(dict(card), indent=2) + "\n", encoding="utf-8")
    return path


def load_reference(name: str, folder: Path = WEIGHTS_DIR) -> Checkpoint:
    """Read shipped weights back in float32; the provenance is their card.

    Raises:
        UserError: if there are no weights of that name.
    """
    path = folder / f"{name}.pt"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in folder.glob("*.pt"))) or "none yet"
        raise UserError(
            f"no reference weights '{name}' (there are: {names}); "
            f"train them with: python -m lab train-reference {name}"
        )
    stored = load(path)
    model = {k: v.float() if v.is_floating_point() else v for k, v in stored.state["model"].items()}
    return Checkpoint({**stored.state, "model": model}, stored.config, stored.provenance)


def _require_plain(value: Any, where: str) -> None:
    """Raise TypeError, naming the place, if `value` could not be loaded with weights_only."""
    if value is None or isinstance(value, (Tensor, str, bytes, bool, int, float)):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, (str, int)):
                raise TypeError(f"{where}: expected a str or int key, got {type(key).__name__}")
            _require_plain(item, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _require_plain(item, f"{where}[{i}]")
    else:
        raise TypeError(f"{where}: expected tensors and plain types, got {type(value).__name__}")
