"""`python -m lab demo`: every phase on the embedded actors, with the reference weights, on one page."""

import time
from argparse import Namespace
from pathlib import Path

from lab import report
from lab.arguments import Parser

EXAMPLE = "python -m lab demo"
INTRODUCTION = (
    "Nobody on this page exists: the actors are drawn by code. Every clip carries a visible label, an "
    "invisible watermark and a signed manifest; open the line below a clip to see what "
    "`python -m lab verify` reads from it."
)


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), help="folder for page and clips"
    )
    parser.add_argument("--seed", type=int, default=0, help="chooses the performance")
    parser.add_argument(
        "--impl", default="auto", choices=("auto", "mine", "solution"), help="whose code runs"
    )


def run(args: Namespace) -> int:
    """Returns 0 once the page is written."""
    from lab.demo import phase1

    started_s = time.perf_counter()
    sections = []
    for number, phase in enumerate((phase1,), start=1):
        print(f"phase {number}: rendering, swapping, comparing, signing ...", flush=True)
        sections.append(phase.section(args.out, args.seed, args.impl))
    page = report.write_page(
        args.out / "index.html", "Deepfakes from Scratch", INTRODUCTION, sections
    )
    print(f"{page} written in {time.perf_counter() - started_s:.0f} s; open it in a browser")
    return 0
