"""Swap the faces of a video or picture with a trained model.

Sound, frame times and every frame without a face are kept. The result is labelled, watermarked and
signed; there is no other way out.
"""

import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import closing
from math import inf
from pathlib import Path

import numpy as np
import torch

from lab import media, provenance
from lab.arguments import Parser, run_command
from lab.errors import UserError
from lab.media import VideoFrame
from lab.progress import Progress
from lab.provenance import Record
from lab.swapping import DETECTORS, Swap, build_swap, prefetch

EXAMPLE = (
    "python phase1_face_swap/swap_video.py --model pair-a --input video.mp4 --output swapped.mp4"
)
IMAGES_IN = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
IMAGES_OUT = (".png", ".jpg", ".jpeg")


def parser() -> Parser:
    """The command line."""
    out = Parser(prog="python phase1_face_swap/swap_video.py", example=EXAMPLE, description=__doc__)
    out.add_argument(
        "--model", required=True, help="checkpoint.pt, or shipped weights: pair-a, pair-b"
    )
    out.add_argument("--input", required=True, type=Path, help="video or picture")
    out.add_argument("--output", required=True, type=Path, help=".mp4; .png or .jpg for a picture")
    out.add_argument(
        "--blend", default="feather", choices=("feather", "poisson", "laplacian"), help="the seam"
    )
    out.add_argument(
        "--color",
        default="none",
        choices=("none", "reinhard", "histogram", "mkl"),
        help="give the new face the colours of the old one; none keeps the source's own skin",
    )
    out.add_argument("--face", default="largest", help="largest, all or like:IMAGE")
    out.add_argument(
        "--like-limit",
        type=float,
        default=0.45,
        metavar="DISTANCE",
        help="largest embedding distance to IMAGE that counts as the same person",
    )
    out.add_argument("--detector", default="auto", choices=DETECTORS, help="what finds the faces")
    out.add_argument(
        "--smooth",
        type=float,
        default=5.0,
        metavar="HZ",
        help="cutoff of the landmark filter for a still face; lower is steadier, 0 is off",
    )
    out.add_argument("--batch", type=int, default=8, help="frames that share a pass of the network")
    out.add_argument(
        "--consent", help="for footage of a person: who agreed to this use, and when; is recorded"
    )
    out.add_argument(
        "--impl", default="auto", choices=("auto", "mine", "solution"), help="whose code runs"
    )
    return out


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 with one line on standard error."""
    return run_command(lambda: run(parser().parse_args(argv)))


def run(args: Namespace) -> int:
    """Check what can be checked before the work starts, then swap."""
    is_image = check_paths(args.input, args.output)
    # A core is left for reading and writing.
    torch.set_num_threads(min(torch.get_num_threads(), max(1, (os.cpu_count() or 2) - 1)))
    if not (0 <= args.smooth < inf and 1 <= args.batch <= 64 and 0 < args.like_limit < inf):
        raise UserError("--smooth is at least 0, --batch 1 to 64, --like-limit above 0")
    shown = media.read_image(args.input) if is_image else media.VideoReader(args.input)
    swap = build_swap(
        args.model,
        impl=args.impl,
        detector=args.detector,
        face=args.face,
        blend=args.blend,
        color=args.color,
        smooth_hz=args.smooth,
        like_limit=args.like_limit,
    )
    inputs = (args.input, *swap.inputs)
    consents = (provenance.require_consent(inputs, args.consent), swap.card.get("consent"))
    record = Record(
        what="face swap",
        command=command_line(args),
        source_type="compositeWithTrainedAlgorithmicMedia",
        weights=(swap.weights,),
        inputs=inputs,
        consent="; ".join(dict.fromkeys(filter(None, consents))) or None,
    )
    if isinstance(shown, media.VideoReader):
        swap_video(swap, shown, args.output, record, args.batch)
    else:
        swap_image(swap, shown, args.output, record)
    return 0


def command_line(args: Namespace) -> str:
    """The command for the record: of a path only the name, since folders tell about the user."""
    rule, colon, picture = args.face.partition(":")
    shown = vars(args) | {"face": f"{rule}{colon}{Path(picture).name}"}
    shown |= {name: Path(shown[name]).name for name in ("model", "input", "output")}
    del shown["consent"]  # has its own place
    flags = (f"--{name.replace('_', '-')} {value}" for name, value in shown.items())
    return " ".join(["python phase1_face_swap/swap_video.py", *flags])


def check_paths(source: Path, target: Path) -> bool:
    """True if a picture is to be swapped, False for a video.

    Raises:
        UserError: if the input is missing, or the output has the wrong suffix or is the input.
    """
    if not source.is_file():
        raise UserError(f"--input {source}: there is no such file; check the path")
    is_image = source.suffix.lower() in IMAGES_IN
    allowed = IMAGES_OUT if is_image else (".mp4",)
    if target.suffix.lower() not in allowed:
        kind = "picture" if is_image else "video"
        raise UserError(
            f"--output {target}: a {kind} is written as {' or '.join(allowed)}; change the suffix"
        )
    if target.exists() and target.samefile(source):
        raise UserError(f"--output {target} is the input; choose another name")
    return is_image


def swap_image(swap: Swap, frame_HW3: np.ndarray, target: Path, record: Record) -> None:
    """Swap the faces of one picture."""
    (swapped,) = swap.swapper.swap_frames([(frame_HW3, 0.0)])
    if not swapped.faces:
        raise UserError("the picture shows no face to swap; nothing was written")
    provenance.sign_and_write(target, swapped.image_HW3, record)
    print(f"{swapped.faces} face(s) swapped -> {target}")


def swap_video(
    swap: Swap, video: media.VideoReader, target: Path, record: Record, batch: int = 8
) -> None:
    """Swap the faces of a video, frame by frame in constant memory.

    Reading, swapping and writing run in a thread each. Frames of a constant rate are counted, and
    those of a variable rate keep their times.
    """
    started_s = time.perf_counter()
    progress = Progress(video.info.frames, "swapping")
    counts = {"frames": 0, "swapped": 0}
    with (
        video,
        closing(prefetch((frame.image_HW3, frame.time_s) for frame in video)) as frames,
        closing(prefetch(swap.swapper.swap_frames(frames, batch))) as swapped,
    ):
        done = counted(swapped, counts, progress, video.info.variable_rate)
        audio = video.path if video.info.audio_hz else None
        provenance.sign_and_write(target, done, record, rate_fps=video.info.rate_fps, audio=audio)
    progress.finish()
    took_s = time.perf_counter() - started_s
    without = counts["frames"] - counts["swapped"]
    print(f"{counts['swapped']} frames swapped, {without} without face passed through -> {target}")
    print(f"{took_s:.2f} s from file to signed file, {counts['frames'] / took_s:.1f} frames/s")


def counted(
    swapped: Iterable, counts: dict[str, int], progress: Progress, timed: bool
) -> Iterator[np.ndarray | VideoFrame]:
    """Hand frames on to the writer, with their times if `timed`, and count them.

    Raises:
        UserError: after the last frame, if no frame had a face: the writer then leaves no file.
    """
    for frame in swapped:
        counts["frames"] += 1
        counts["swapped"] += frame.faces > 0
        yield VideoFrame(frame.image_HW3, frame.time_s) if timed else frame.image_HW3
        progress.step()
    if not counts["swapped"]:
        raise UserError(
            f"no face to swap in any of the video's {counts['frames']} frames; nothing was written"
        )


if __name__ == "__main__":
    sys.exit(main())
