"""Pictures to mark: drawn by a few lines, with flat, shaded and busy regions."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from lab.provenance import Record

Portrait = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def portrait() -> Portrait:
    """(seed, width, height, shift) -> frame_HW3: a head before a shaded wall, moved by `shift` px."""

    def draw(seed: int = 0, width: int = 256, height: int = 256, shift: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        wall = cv2.resize(rng.uniform(60, 190, (3, 3, 3)).astype(np.float32), (256, 256))
        skin, hair = rng.uniform(90, 220, 3), rng.uniform(10, 90, 3)
        at = 128 + shift
        cv2.ellipse(wall, (at, 270), (90, 60), 0, 0, 360, rng.uniform(20, 200, 3).tolist(), -1)
        cv2.ellipse(wall, (at, 120), (66, 84), 0, 0, 360, hair.tolist(), -1)
        strands = rng.normal(0, 14, (256, 256, 1)).astype(np.float32)
        wall += strands * (np.abs(wall - hair).max(2, keepdims=True) < 1)
        cv2.ellipse(wall, (at, 135), (52, 68), 0, 0, 360, skin.tolist(), -1)
        for x in (-20, 20):
            cv2.circle(wall, (at + x, 120), 7, (250, 250, 250), -1)
            cv2.circle(wall, (at + x, 120), 4, (40, 30, 20), -1)
        cv2.ellipse(wall, (at, 165), (18, 5), 0, 0, 360, (150, 60, 60), -1)
        wall = cv2.GaussianBlur(wall, (0, 0), 0.7)
        return cv2.resize(np.clip(wall, 0, 255).astype(np.uint8), (width, height))

    return draw


@pytest.fixture
def record() -> Record:
    return Record("face swap", "python swap.py --blend poisson", "trainedAlgorithmicMedia")


@pytest.fixture
def attack() -> Callable[[str, np.ndarray], np.ndarray]:
    """What happens to a picture on its way, by name."""

    def apply(name: str, frame_HW3: np.ndarray) -> np.ndarray:
        height, width = frame_HW3.shape[:2]
        if name.startswith("jpeg"):
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(name.removeprefix("jpeg "))]
            return cv2.imdecode(cv2.imencode(".jpg", frame_HW3, quality)[1], cv2.IMREAD_COLOR)
        if name.endswith("x"):
            factor = float(name.removesuffix("x"))
            method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
            return cv2.resize(frame_HW3, None, fx=factor, fy=factor, interpolation=method)
        top, bottom, left, right = {
            "crop top left": (0.1, 1, 0.1, 1),
            "crop right": (0, 1, 0, 0.9),
            "crop all round": (0.05, 0.95, 0.05, 0.95),
            "crop and stretch": (0, 1, 0.1, 1),
            "mirror": (0, 1, 0, 1),
        }[name]
        rows = slice(round(top * height), round(bottom * height))
        kept = frame_HW3[rows, round(left * width) : round(right * width)]
        if name == "mirror":
            kept = kept[:, ::-1]
        kept = np.ascontiguousarray(kept)
        return cv2.resize(kept, (width, height)) if name == "crop and stretch" else kept

    return apply


@pytest.fixture
def fresh_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home for keys; gives the folder that they will be made in."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "deepfakes-from-scratch"
