"""What every test starts from: fixed seeds, few threads, no network, no learner's home folder."""

import random
import socket
from collections.abc import Iterator

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Make each test start from the same random state."""
    random.seed(0)
    np.random.seed(0)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail any test that reaches beyond this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address):
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise RuntimeError(f"a test tried to reach {address[0]}; tests run offline")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True, scope="session")
def private_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sign with keys of the test run, never with the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))
        yield
