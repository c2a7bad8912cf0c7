"""Files: whole or not at all, and the two folders that live outside the repository."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab.errors import UserError


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` if the block succeeds.

    The temporary name keeps the suffix, so writers that choose a format by it still work. If the
    block raises, or is interrupted, the temporary file is removed and `path` is left as it was.

    Raises:
        UserError: if the folder cannot be made or written (no permission, disk full).
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another folder"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def sha256(path: Path | str) -> str:
    """Hex digest of a file's bytes, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while piece := handle.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def cache_dir() -> Path:
    """Where renders that can be made again are kept: `$XDG_CACHE_HOME` or `~/.cache`, our folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "deepfakes-from-scratch"


def keys_dir() -> Path:
    """Where this machine's signing key lives: `$XDG_CONFIG_HOME` or `~/.config`, our folder."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "deepfakes-from-scratch"
