"""What this machine has signed: so that a watermark can be traced when the manifest is gone.

One small file per payload beside the signing key, never sent anywhere.
"""

import json
from dataclasses import asdict
from pathlib import Path

from lab.files import atomic_path, keys_dir
from lab.provenance.manifest import Statement, statement_from


def remember(statement: Statement) -> None:
    """Keep a statement under its payload."""
    path = _path(statement.payload)
    if path.exists():
        return
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(asdict(statement), indent=1), encoding="utf-8")


def recall(payload: int) -> Statement | None:
    """The statement that was signed here with this payload, or None."""
    try:
        return statement_from(json.loads(_path(payload).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _path(payload: int) -> Path:
    return keys_dir() / "signed" / f"{payload:08x}.json"
