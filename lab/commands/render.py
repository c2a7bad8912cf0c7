"""`python -m lab render`: actors as clip folders, or as a contact sheet."""

from argparse import Namespace
from pathlib import Path

from lab.arguments import Parser
from lab.errors import UserError
from lab.progress import Progress

EXAMPLE = "python -m lab render --actors 8 --seconds 4 --size 256 --out data/actors"
DEFAULT_OUT = Path("data/actors")
LARGEST_SHEET = 16  # actors


def add_arguments(parser: Parser) -> None:
    parser.add_argument("--actors", type=int, default=8, help="number of different people")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each clip")
    parser.add_argument("--size", type=int, default=256, help="width and height, px")
    parser.add_argument(
        "--out",
        type=Path,
        help=f"folder for the clips; {DEFAULT_OUT} unless only --sheet is asked for",
    )
    parser.add_argument("--seed", type=int, default=0, help="chooses people and performances")
    parser.add_argument("--rate", type=float, default=25.0, help="frames a second")
    parser.add_argument("--silent", action="store_true", help="actors that do not speak")
    parser.add_argument(
        "--sheet", type=Path, metavar="PNG", help="a sheet of the actors' expressions and poses"
    )


def run(args: Namespace) -> int:
    """Returns 0; clips that are finished already are kept."""
    check(args)
    if args.sheet:
        write_sheet(args.sheet, args.actors, args.seed)
    if args.out or not args.sheet:
        render(args, args.out or DEFAULT_OUT)
    return 0


def check(args: Namespace) -> None:
    """Refuse what cannot be rendered before anything is written."""
    for flag, value, low, high in (
        ("--actors", args.actors, 1, 10_000),
        ("--size", args.size, 64, 1024),
        ("--seconds", args.seconds, 1 / 25, 600),
        ("--rate", args.rate, 1, 120),
        ("--seed", args.seed, 0, 2**63 - 1),
    ):
        if not low <= value <= high:
            raise UserError(f"{flag} {value:g}; give {low:g} to {high:g}")
    if args.sheet and args.sheet.suffix.lower() != ".png":
        raise UserError(f"--sheet {args.sheet}; give a file name that ends in .png")
    if args.out and args.out.exists() and not args.out.is_dir():
        raise UserError(f"--out {args.out} is a file; give a folder")


def render(args: Namespace, out: Path) -> None:
    """Write the clips under a line of progress."""
    from lab.actors.dataset import render_dataset

    frames = max(1, round(args.seconds * args.rate))
    progress = Progress(args.actors * frames, "rendering")
    clips = render_dataset(
        out,
        args.actors,
        args.seconds,
        size_px=args.size,
        rate_fps=args.rate,
        seed=args.seed,
        speech=not args.silent,
        on_frame=lambda steps, rendered: progress.step(steps=steps, worked=rendered),
    )
    count = sum(1 for _ in clips)
    progress.finish()
    print(f"{count} clips of {frames} frames in {out}")


def write_sheet(path: Path, actors: int, seed: int) -> None:
    """Write the contact sheet, signed like all pictures of actors."""
    from lab.actors.dataset import training_seeds
    from lab.actors.sheet import contact_sheet
    from lab.provenance import Record, sign_and_write

    people = training_seeds(seed, min(actors, LARGEST_SHEET))
    record = Record("rendered actors", "python -m lab render --sheet", "digitalCreation")
    sign_and_write(path, contact_sheet(people), record)
    print(f"{len(people)} actors in {path}")
