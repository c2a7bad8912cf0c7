"""lab.files: a file is whole under its final name, or it is not there."""

from pathlib import Path

import pytest

from lab.errors import UserError
from lab.files import atomic_path, sha256


def test_atomic_path_leaves_the_finished_file_and_nothing_else(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "größe 1.txt") as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("done", encoding="utf-8")
        assert not (tmp_path / "größe 1.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["größe 1.txt"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_atomic_path_keeps_the_old_file_when_the_block_fails(tmp_path: Path, failure) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(failure), atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise failure
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_atomic_path_names_the_path_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with (
        pytest.raises(UserError, match="cannot write .*x.txt"),
        atomic_path(tmp_path / "file" / "x.txt"),
    ):
        pass


def test_sha256_is_the_published_digest_of_abc(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "abc") == digest
