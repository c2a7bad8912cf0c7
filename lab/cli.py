"""`python -m lab COMMAND`: one module in `lab.commands` each, imported only when asked for."""

import importlib
import sys

from lab.arguments import Parser, run_command
from lab.errors import UserError

COMMANDS = {
    "demo": "swap two actors with the reference weights and write a page that shows the result",
    "render": "render actors: video with sound and ground truth, or a contact sheet",
    "verify": "say which provenance layers a file carries: label, watermark, manifest",
    "prepare": "turn your own footage into a clip folder (asks for consent)",
    "evaluate": "measure a part and print each figure beside its bar",
    "train-reference": "train one of the reference weights again, from its recipe",
}


def overview() -> str:
    """The list of commands that `python -m lab` prints."""
    width = max(map(len, COMMANDS))
    rows = [f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(["usage: python -m lab COMMAND [--help]", "", *rows])


def main(argv: list[str] | None = None) -> int:
    """Dispatch to a command. Returns its exit code; see `lab.arguments.run_command`."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        return 0 if argv else 2
    return run_command(lambda: _dispatch(argv[0], argv[1:]))


def _dispatch(name: str, rest: list[str]) -> int:
    if name not in COMMANDS:
        raise UserError(f"no command '{name}'; choose from {', '.join(COMMANDS)}")
    command = importlib.import_module(f"lab.commands.{name.replace('-', '_')}")
    parser = Parser(
        prog=f"python -m lab {name}", example=command.EXAMPLE, description=COMMANDS[name]
    )
    command.add_arguments(parser)
    return command.run(parser.parse_args(rest))
