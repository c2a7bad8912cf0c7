"""How long a frame takes, part by part, and how that scales with size and super-sampling.

    python benchmarks/render_speed.py --actors 3

Prints milliseconds of processor time on one thread, each also as a share of the whole frame.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np

from lab.actors import Actor, Background, Identity, Pose, Renderer, raster, shading, warm_up
from lab.arguments import Parser

SIZES = ((64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 2))
STAGES: tuple[tuple[object, str], ...] = (
    (Actor, "pose"),
    (raster, "vertex_stage"),
    (raster, "strand_stage"),
    (raster, "raster"),
    (shading, "shade"),
    (Renderer, "_landmarks"),
)


def timed(owner: object, name: str, spent_s: dict[str, float]) -> Callable[[], None]:
    """Count the time spent in `owner.name`; returns a function that stops counting."""
    original = getattr(owner, name)

    def counted(*args: object, **keywords: object) -> object:
        started = time.process_time()
        result = original(*args, **keywords)
        spent_s[name] += time.process_time() - started
        return result

    setattr(owner, name, counted)
    return lambda: setattr(owner, name, original)


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = Parser(example="python benchmarks/render_speed.py --actors 3")
    parser.add_argument("--actors", type=int, default=2, help="how many actors to average over")
    parser.add_argument("--frames", type=int, default=20, help="frames of each actor and size")
    args = parser.parse_args(argv)
    warm_up()
    actors = [Actor(Identity.sample(10_000 + k)) for k in range(args.actors)]
    for size_px, supersample in SIZES:
        renderer, spent_s, frames_s = Renderer(size_px, supersample), defaultdict(float), []
        background = Background("room", 3)
        for actor in actors:
            renderer.render(actor, background=background)  # prepares its textures
        restore = [timed(owner, name, spent_s) for owner, name in STAGES]
        for actor in actors:
            for k in range(args.frames):
                pose = Pose(2 * k - args.frames, 0.5 * k)
                started = time.process_time()
                renderer.render(actor, {"jaw_open": 0.4}, pose, background=background)
                frames_s.append(time.process_time() - started)
        for stop in restore:
            stop()
        mean_ms = 1e3 * float(np.mean(frames_s))
        print(
            f"{size_px} px, {supersample} x {supersample}: {1e3 * np.median(frames_s):.1f} ms median, "
            f"{1 / np.median(frames_s):.0f} frames/s"
        )
        for _, name in STAGES:
            part_ms = 1e3 * spent_s[name] / len(frames_s)
            print(f"    {name.strip('_'):14} {part_ms:6.2f} ms  {100 * part_ms / mean_ms:3.0f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
