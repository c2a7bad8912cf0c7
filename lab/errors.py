"""The one error that a user is meant to see."""


class UserError(Exception):
    """Something the user gave cannot be used.

    The message is one line that says what is wrong, where, and what to do. Commands print it
    after `error:` and leave with exit code 2; everything else is a bug and keeps its traceback.
    """
