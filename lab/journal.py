"""What a training run leaves beside its checkpoint: settings, log, loss curve, preview."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from torch import nn

from lab.files import atomic_path
from lab.progress import Progress

_NO_LOSSES = ("step", "epoch", "lr", "seconds")


class Journal:
    """A run's visible side: progress line, log, curve and preview. Inactive, it does nothing.

    Args:
        folder: the run's folder.
        preview: see `lab.training.fit`.
        active: False in a dry run and in all processes but the first.
    """

    def __init__(
        self,
        folder: Path,
        preview: Callable[[nn.Module, Path], object] | None,
        active: bool,
    ) -> None:
        self.folder, self.preview, self.active = folder, preview, active
        self.records: list[dict] = []
        self.log: TextIO | None = None
        self.progress: Progress | None = None
        self.shown_s = time.monotonic()

    def open(self, settings: Mapping[str, Any], step: int, total: int) -> None:
        """Write the settings; cut the log back to the checkpoint that the run goes on from.

        Args:
            settings: for `config.json`.
            step: steps done before.
            total: steps of the whole run.
        """
        if not self.active:
            return
        for left_over in self.folder.glob(".*.part.*"):  # of a write that was killed
            left_over.unlink(missing_ok=True)
        with atomic_path(self.folder / "config.json") as temporary:
            temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        kept = _lines_until(self.folder / "log.jsonl", step)
        self.records = [json.loads(line) for line in kept]
        with atomic_path(self.folder / "log.jsonl") as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")
        self.log = (self.folder / "log.jsonl").open("a", encoding="utf-8")
        self.progress = Progress(total, "training", "steps")
        self.progress.step(steps=step, worked=False)

    def note(self, record: dict, seconds: float) -> None:
        """Add one step to the log and to the progress line."""
        if self.log is None or self.progress is None:
            return
        self.records.append(record)
        print(json.dumps({**record, "seconds": round(seconds, 4)}), file=self.log, flush=True)
        numbers = [f"{k} {v:.4f}" for k, v in record.items() if k not in _NO_LOSSES]
        self.progress.step(f"epoch {record['epoch']}  {'  '.join(numbers)}")

    def show(self, average: nn.Module, every_s: float, now: bool) -> None:
        """Refresh the curve and the preview, if it is time to."""
        if not self.active or not (now or time.monotonic() - self.shown_s > every_s):
            return
        names = [k for k in self.records[-1] if k not in _NO_LOSSES]
        write_curves(
            self.folder / "curve.png",
            [record["step"] for record in self.records],
            {name: [record[name] for record in self.records] for name in names},
        )
        if self.preview:
            with torch.no_grad():
                self.preview(average, self.folder / "preview.png")
        self.shown_s = time.monotonic()

    def close(self) -> None:
        """Leave the progress line and the log, if they are open."""
        if self.log is not None and self.progress is not None:
            self.progress.finish()
            self.log.close()
        self.log = self.progress = None


def write_curves(path: Path, steps: Sequence[int], curves: Mapping[str, Sequence[float]]) -> None:
    """Draw each curve over the steps: thin as measured, bold smoothed, one panel each.

    Args:
        path: a PNG; replaced atomically.
        steps: the x axis.
        curves: name -> one value a step.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * len(curves), 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(curves), squeeze=False)[0]
    for axis, (name, values) in zip(axes, curves.items(), strict=True):
        y = np.asarray(values, np.float64)
        window = max(1, len(y) // 40)
        sums = np.cumsum(np.concatenate([[0.0], y]))
        axis.plot(steps, y, linewidth=0.5, alpha=0.35)
        axis.plot(steps[window - 1 :], (sums[window:] - sums[:-window]) / window, linewidth=1.6)
        axis.set(title=name, xlabel="step")
        if (y > 0).all():
            axis.set_yscale("log")
        axis.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _lines_until(log: Path, step: int) -> list[str]:
    """The log's lines up to a step; later ones, and a last line cut short, are left out."""
    kept: list[str] = []
    if step and log.exists():
        for line in log.read_text(encoding="utf-8").splitlines(keepends=True):
            try:
                if json.loads(line)["step"] > step:
                    break
            except ValueError:
                break
            kept.append(line)
    return kept
