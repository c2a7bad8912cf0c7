"""Command lines: the example first, errors on one line, exit code 2 for what a user can mend."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from lab.errors import UserError


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Show each flag's default where it has one, and keep the line breaks of the description."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose help opens with an example and whose errors are one line."""

    def __init__(self, example: str = "", description: str = "", **keywords) -> None:
        if example:
            description = f"Example:\n  {example}\n\n{description}"
        keywords.setdefault("formatter_class", _Help)
        super().__init__(description=description, allow_abbrev=False, **keywords)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see `{self.prog} --help`")


def run_command(main: Callable[[], int]) -> int:
    """Run a command; turn a UserError into one line and exit code 2, Ctrl-C into 130."""
    try:
        return main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
