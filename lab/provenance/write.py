"""The only way out for synthetic media: label, watermark, write, sign; whole or not at all."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lab.errors import UserError
from lab.files import atomic_path
from lab.provenance import label, watermark
from lab.provenance.manifest import Record, sign


def sign_and_write(path, content, record, *, rate_fps=None, audio=None) -> Path:
    path = Path(path)
    payload = 0
    with atomic_path(path) as final:
        unsigned = final.with_name(f"{final.stem}.unsigned{final.suffix}")
        try:
            _write_unsigned(unsigned, content, payload, rate_fps, audio)
            sign(unsigned, final, record, payload)
        finally:
            unsigned.unlink(missing_ok=True)
    return path


def _write_unsigned(path, content, payload, rate_fps, audio):
    from lab import media

    if isinstance(content, np.ndarray) and content.ndim == 3:
        media.write_image(path, watermark.embed(label.draw(content), payload))
        return
    with media.VideoWriter(path, rate_fps, audio=audio) as writer:
        for frame in content:
            image, time_s = (
                (frame, None) if isinstance(frame, np.ndarray) else (frame.image_HW3, frame.time_s)
            )
            writer.write(watermark.embed(label.draw(image), payload), time_s)
