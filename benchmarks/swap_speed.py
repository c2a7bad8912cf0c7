"""Where the time of a swapped frame goes, as shares of the whole.

Example:
  python benchmarks/swap_speed.py --model pair-a

Each step runs alone; what is shown is processor time, so that other programs do not count. The
command overlaps reading, swapping and writing, so on two cores it takes less than their sum. Shares
compare between machines, milliseconds do not.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from lab import media
from lab.actors import Actor, Identity
from lab.actors.performance import perform, render_performance
from lab.provenance import Record, sign_and_write
from lab.swapping import build_swap

FRAMES = 100


def main(argv: list[str] | None = None) -> int:
    """Print one row a step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pair-a", help="checkpoint or shipped weights")
    parser.add_argument("--identity", type=int, default=8, help="seed of the actor who is swapped")
    parser.add_argument("--size", type=int, default=256, help="side of the frames, pixels")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    performance = perform(1_000_000, FRAMES / 25)
    actor = Actor(Identity.sample(args.identity))
    frames = [f.image_HW3 for f in render_performance(actor, performance, args.size)]
    with tempfile.TemporaryDirectory() as folder:
        rows = {
            "read": read_ms(frames, Path(folder) / "in.mp4"),
            **swap_ms(args.model, frames),
            **blend_ms(args.model, frames),
            "label, watermark, encode, sign": write_ms(frames, Path(folder) / "out.mp4"),
        }
    whole = rows["read"] + rows["swap (feather)"] + rows["label, watermark, encode, sign"]
    print(f"{'step':34} {'ms':>7} {'share':>7}")
    for name, each_ms in rows.items():
        print(f"{name:34} {each_ms:7.2f} {100 * each_ms / whole:6.0f} %")
    print(f"{'read, swap and write in a row':34} {whole:7.2f}")
    return 0


def each_ms(work: Callable[[], object], frames: int = FRAMES) -> float:
    """Processor milliseconds a frame of a piece of work, after it was done once to warm up."""
    work()
    started_s = time.process_time()
    work()
    return 1000 * (time.process_time() - started_s) / frames


def read_ms(frames: list[np.ndarray], path: Path) -> float:
    with media.VideoWriter(path, 25) as writer:
        for frame in frames:
            writer.write(frame)

    def read() -> None:
        with media.VideoReader(path) as reader:
            for _ in reader:
                pass

    return each_ms(read)


def swap_ms(model: str, frames: list[np.ndarray]) -> dict[str, float]:
    """Tracking with landmarks, the network, and the whole swap."""
    swap = build_swap(model, impl="solution").swapper
    size = swap.model.size_px
    crops = [cv2.resize(frame, (size, size)) for frame in frames[:8]]
    return {
        "  track and landmarks": each_ms(lambda: [swap.tracker.update(f) for f in frames]),
        "  network, 8 faces a pass": each_ms(lambda: swap.translate(crops), 8),
        "swap (feather)": each_ms(
            lambda: list(swap.swap_frames((f, i / 25) for i, f in enumerate(frames)))
        ),
    }


def blend_ms(model: str, frames: list[np.ndarray]) -> dict[str, float]:
    """The whole swap with each other choice of seam and colour."""
    rows = {}
    for choice in ({"blend": "poisson"}, {"blend": "laplacian"}, {"color": "mkl"}):
        swap = build_swap(model, impl="solution", **choice).swapper
        stream = [(frame, i / 25) for i, frame in enumerate(frames)]
        rows[f"  swap ({next(iter(choice.values()))})"] = each_ms(
            lambda swap=swap, stream=stream: list(swap.swap_frames(stream))
        )
    return rows


def write_ms(frames: list[np.ndarray], path: Path) -> float:
    record = Record(what="benchmark", command="swap_speed", source_type="digitalCreation")
    return each_ms(lambda: sign_and_write(path, iter(frames), record, rate_fps=25))


if __name__ == "__main__":
    sys.exit(main())
