"""`python -m lab verify`: what is left of a file's label, watermark and manifest."""

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from lab.arguments import Parser
from lab.errors import UserError

EXAMPLE = "python -m lab verify out/swapped.mp4"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="pictures or videos")
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of text")
    parser.epilog = (
        "exit code: 0 if every file carries at least one layer, 1 if one carries none (which does\n"
        "not prove that it is real), 2 if one cannot be read"
    )


def run(args: Namespace) -> int:
    """Returns 0 if each file carries a layer, 1 if one carries none, 2 if one cannot be read."""
    from lab.provenance import Verification, verify

    code = 0
    reports: list[dict[str, Any]] = []
    for path in args.files:
        try:
            found: Verification = verify(path)
        except UserError as error:
            code = 2
            reports.append({"file": str(path), "error": str(error)})
            print(f"error: {error}", file=sys.stderr)
            continue
        code = max(code, 0 if found.says_synthetic else 1)
        layers = {
            name: {"state": layer.state, "sentence": layer.sentence, **layer.details}
            for name, layer in found.layers.items()
        }
        reports.append({"file": str(path), "conclusion": found.conclusion, **layers})
        if not args.json:
            print(path)
            for name, layer in found.layers.items():
                print(f"  {name:<10} {layer.sentence}")
            print(f"  {'so':<10} {found.conclusion}", flush=True)
    if args.json:
        print(json.dumps(reports, ensure_ascii=False, indent=1))
    return code
