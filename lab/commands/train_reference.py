"""`python -m lab train-reference`: train shipped weights again from their recipe."""

import json
from argparse import Namespace
from pathlib import Path

from lab.arguments import Parser
from lab.checkpoint import WEIGHTS_DIR
from lab.errors import UserError
from lab.recipes import RECIPES

EXAMPLE = "python -m lab train-reference phase1-pair-a --out out/weights"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("name", choices=sorted(RECIPES), help="which weights")
    parser.add_argument(
        "--out", type=Path, default=WEIGHTS_DIR, help="folder for NAME.pt and its card NAME.json"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="train for about so long instead of the recipe's time; shorter is worse",
    )


def run(args: Namespace) -> int:
    """Returns 0 once weights and card are written."""
    if args.minutes is not None and not args.minutes > 0:
        raise UserError(f"--minutes must be above 0, not {args.minutes:g}")
    path = RECIPES[args.name].train(args.out, args.minutes)
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB): {json.dumps(card['held_out'])}")
    return 0
