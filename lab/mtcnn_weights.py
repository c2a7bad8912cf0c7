"""The published weights of MTCNN's three networks, out of the installed `mtcnn` package (MIT).

The package itself needs TensorFlow and is never imported: its files are located and read.
"""

import importlib.metadata
import io
from hashlib import sha256
from pathlib import Path

import numpy as np

from lab.errors import UserError

# The files are pickles, which can run code when they are read: only these exact bytes are.
SHA256 = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}


def read(name: str) -> list[np.ndarray]:
    """Read one network's arrays, in the order and layout in which Keras keeps them.

    Args:
        name: "pnet", "rnet" or "onet".

    Returns:
        float32 arrays in definition order: convolutions (rows, columns, in, out), dense layers
        (in, out), PReLU slopes (1, 1, channels) or (channels,), biases (out,).

    Raises:
        UserError: if the package is missing or its file is not the one we know.
    """
    data = _weight_file(name).read_bytes()
    if sha256(data).hexdigest() != SHA256[name]:
        raise UserError(
            f"{name}.lz4 of the installed mtcnn package is not the known file; "
            "run: pip install --force-reinstall mtcnn==1.0.0"
        )
    import joblib

    return joblib.load(io.BytesIO(data))


def _weight_file(name: str) -> Path:
    try:
        files = importlib.metadata.files("mtcnn") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == f"{name}.lz4" and (path := Path(str(file.locate()))).is_file():
            return path
    raise UserError("MTCNN's weights are missing; run: pip install mtcnn==1.0.0")
