"""Consent: footage of a real person needs a statement; actors, who are nobody, need none."""

import json
from collections.abc import Iterable
from pathlib import Path

from lab.errors import UserError
from lab.provenance import manifest

_FEWEST_WORDS, _FEWEST_LETTERS = 4, 16
_EXAMPLE = '--consent "I am the person shown and agree to this use, 2026-11-20"'


def require_consent(inputs: Iterable[Path | str], consent: str | None) -> str | None:
    """Make sure that whoever is shown in the inputs agreed, before anything is made from them.

    An input needs no new statement if it carries a manifest signed on this machine: then it shows
    an actor, or the statement given for it earlier is in there and is handed on. Nor does a clip
    folder that `python -m lab prepare` made from footage: its statement is in its `clip.json`.

    Args:
        inputs: pictures, videos or clip folders (whose `video.mp4` is looked at).
        consent: what the user gave as --consent, or None.

    Returns:
        The statement for the new file's record: the given one and those of the inputs, joined by
        "; ". None if only actors are shown and nothing was given.

    Raises:
        UserError: if a statement is needed and missing, if it is too short to say anything, or if
            an input cannot be read.
    """
    statements = [] if consent is None else [_checked(consent)]
    for path in map(Path, inputs):
        known, earlier = _of_input(path)
        if not known and consent is None:
            raise UserError(
                f"{path} is not signed on this machine as an actor or with a consent; if it shows a "
                f"person, get their consent and state it: {_EXAMPLE}"
            )
        if earlier:
            statements.append(earlier)
    return "; ".join(dict.fromkeys(statements)) or None


def _of_input(path: Path) -> tuple[bool, str | None]:
    """Whether an input is known to be allowed, and the consent that it carries."""
    if path.is_dir():
        clip = path / "video.mp4"
        if not clip.is_file():
            raise UserError(f"{path} holds no video.mp4; make a clip with `python -m lab prepare`")
        known, earlier = _of_input(clip)
        return (True, stated) if not known and (stated := _stated(path)) else (known, earlier)
    found = manifest.read(path)
    if found.state != "trusted" or found.statement is None:
        return False, None
    return True, found.statement.consent


def _stated(folder: Path) -> str | None:
    """The statement that was given when footage was prepared; None for anything else."""
    try:
        about = json.loads((folder / "clip.json").read_text(encoding="utf-8"))
        return _checked(about["consent"]) if about["kind"] == "footage" else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError):
        return None


def _checked(consent: str) -> str:
    """The statement without surrounding blanks, if it says who agreed to what.

    Raises:
        UserError: if it is empty or too short.
    """
    consent = " ".join(consent.split())
    letters = sum(character.isalpha() for character in consent)
    if letters < _FEWEST_LETTERS or len(consent.split()) < _FEWEST_WORDS:
        raise UserError(
            f"the --consent statement {json.dumps(consent, ensure_ascii=False)} is too short; say "
            f"who is shown and that they agree: {_EXAMPLE}"
        )
    return consent
