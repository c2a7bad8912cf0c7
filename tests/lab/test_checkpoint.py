"""Checkpoints: whole or not at all, plain, and readable errors for everything else."""

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lab import checkpoint
from lab.errors import UserError


def write(path: Path, value: float = 1.0) -> Path:
    return checkpoint.save(
        path, {"model": {"w": torch.full((3,), value)}}, {"size": 3}, {"seed": 7}
    )


def test_load_returns_what_save_wrote(tmp_path: Path) -> None:
    stored = checkpoint.load(write(tmp_path / "ein Ordner ü" / "checkpoint.pt", 2.5))
    assert torch.equal(stored.state["model"]["w"], torch.full((3,), 2.5))
    assert (stored.config, stored.provenance) == ({"size": 3}, {"seed": 7})


def test_load_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint at"):
        checkpoint.load(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_load_rejects_a_truncated_file_in_one_line(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "checkpoint.pt")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError) as caught:
        checkpoint.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x89PNG\r\n\x1a\n" + bytes(999)])
def test_load_rejects_a_foreign_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a readable checkpoint"):
        checkpoint.load(path)


class _Evil:
    """Would make a folder if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple:
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize("save", [torch.save, lambda x, p: Path(p).write_bytes(pickle.dumps(x))])
def test_load_runs_no_code_from_the_file(tmp_path: Path, save) -> None:
    path, trap = tmp_path / "checkpoint.pt", tmp_path / "owned"
    save({"state": _Evil(trap)}, path)
    with pytest.raises(UserError, match="not a readable checkpoint"):
        checkpoint.load(path)
    assert not trap.exists()


@pytest.mark.parametrize("content", [[1, 2], {"state": {}}, {"model": torch.zeros(2)}])
def test_load_rejects_a_torch_file_of_another_kind(tmp_path: Path, content) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"not a checkpoint\.pt of this course"):
        checkpoint.load(tmp_path / "other.pt")


def test_load_names_another_format(tmp_path: Path) -> None:
    parts = {"state": {}, "config": {}, "provenance": {}}
    torch.save({"format": 99, **parts}, tmp_path / "new.pt")
    with pytest.raises(UserError, match="format 99"):
        checkpoint.load(tmp_path / "new.pt")


def test_save_rejects_what_could_not_be_loaded_and_names_it(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"\['path'\].*PosixPath"):
        checkpoint.save(tmp_path / "c.pt", {"model": {}}, {"path": tmp_path}, {})
    assert list(tmp_path.iterdir()) == []


def test_save_keeps_the_old_file_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "checkpoint.pt", 1.0)

    def full(content, handle) -> None:
        handle.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match="No space left"):
        write(path, 2.0)
    monkeypatch.undo()
    assert checkpoint.load(path).state["model"]["w"][0] == 1.0
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


KILLED_WHILE_WRITING = """
import os, signal, sys, torch
from lab import checkpoint
def half(content, handle):
    handle.write(b"PK" * 5000); handle.flush(); os.kill(os.getpid(), signal.SIGKILL)
torch.save = half
checkpoint.save(sys.argv[1], {"model": {"w": torch.full((3,), 2.0)}}, {}, {})
"""


def test_save_killed_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = write(tmp_path / "checkpoint.pt", 1.0)
    run = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(path)], check=False)
    assert run.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2, "the half-written file should still lie there"
    assert checkpoint.load(path).state["model"]["w"][0] == 1.0


def test_reference_is_stored_in_half_precision_and_read_in_single(tmp_path: Path) -> None:
    weights = {"w": torch.randn(1000), "steps": torch.tensor(3)}
    path = checkpoint.save_reference("pair", weights, {"size": 1}, {"seed": 4}, folder=tmp_path)
    assert path.stat().st_size < 4000, "1000 weights are 2000 bytes in half precision"
    stored = checkpoint.load_reference("pair", folder=tmp_path)
    assert stored.state["model"]["w"].dtype == torch.float32
    assert stored.state["model"]["steps"].dtype == torch.int64
    torch.testing.assert_close(stored.state["model"]["w"], weights["w"], rtol=1e-3, atol=1e-6)
    assert json.loads((tmp_path / "pair.json").read_text(encoding="utf-8")) == {"seed": 4}
    assert stored.provenance == {"seed": 4}


def test_missing_reference_names_those_there_are(tmp_path: Path) -> None:
    checkpoint.save_reference("one", {"w": torch.zeros(1)}, {}, {}, folder=tmp_path)
    with pytest.raises(UserError, match=r"there are: one.*train-reference two"):
        checkpoint.load_reference("two", folder=tmp_path)
