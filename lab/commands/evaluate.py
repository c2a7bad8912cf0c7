"""`python -m lab evaluate`: print a part's figures beside their bars."""

import importlib
import json
import time
from argparse import Namespace
from dataclasses import asdict

from lab.arguments import Parser
from lab.evaluate import NAMES, Figure

EXAMPLE = "python -m lab evaluate phase1 --seed 7"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("name", choices=NAMES, help="the part to measure")
    parser.add_argument("--seed", type=int, default=0, help="chooses the held-out actors and draws")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of a table"
    )


def run(args: Namespace) -> int:
    """Returns 0 if every figure reaches its bar, else 1."""
    module = importlib.import_module(f"lab.evaluate.{args.name}")
    started = time.perf_counter()
    measured: list[Figure] = []
    for figure in module.figures(args.seed):
        measured.append(figure)
        if not args.json:
            print(format_figure(figure), flush=True)
    failed = [figure for figure in measured if not figure.passed]
    took_s = time.perf_counter() - started
    if args.json:
        rows = [{**asdict(figure), "passed": figure.passed} for figure in measured]
        print(
            json.dumps(
                {"name": args.name, "seed": args.seed, "seconds": round(took_s, 1), "figures": rows}
            )
        )
    else:
        print(
            f"{args.name}, seed {args.seed}: {len(failed)} of {len(measured)} short, {took_s:.0f} s"
        )
    return 1 if failed else 0


def format_figure(figure: Figure) -> str:
    """One table row: verdict, name, value, bar, remark."""
    verdict = "    " if figure.relation == "info" else "ok  " if figure.passed else "FAIL"
    bar = "" if figure.relation == "info" else f"{figure.relation} {figure.bar:g}"
    return f"{verdict} {figure.name:<62} {figure.value:>10.4g}  {bar:<10} {figure.detail}".rstrip()
