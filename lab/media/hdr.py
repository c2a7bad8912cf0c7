"""High dynamic range (PQ, HLG) to the standard range that everything else here works in.

Signal to light by the file's curve, BT.2020 to BT.709 primaries, light to signal by the curve of
an ordinary display. Diffuse white (203 cd/m2, ITU-R BT.2408) becomes white; what is brighter, the
sun on a window pane, is clipped, so faces keep their brightness. No tone mapping beyond that.

Dimension key: H rows, W columns, a trailing 3 is RGB.
"""

from functools import cache

import numpy as np

PQ, HLG = 16, 18  # the curves as files number them (ITU-T H.273)
_WHITE_NITS = 203.0
_HLG_PEAK_NITS = 1000.0
_DISPLAY_GAMMA = 2.4  # ITU-R BT.1886
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)
_BT2020_TO_BT709 = np.array(  # ITU-R BT.2087
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)


def to_standard(signal_HW3: np.ndarray, curve: int) -> np.ndarray:
    """Turn a BT.2020 picture into a standard one.

    Args:
        signal_HW3: uint16 RGB, the whole range used.
        curve: `PQ` or `HLG`.

    Returns:
        frame_HW3: uint8 RGB.
    """
    light_HW3 = _light(curve)[signal_HW3]
    if curve == HLG:  # the display, not the curve, adds contrast: a power of luminance
        light_HW3 *= _HLG_PEAK_NITS * (light_HW3 @ _LUMA_2020)[..., None] ** 0.2
    light_HW3 = np.clip(light_HW3 @ (_BT2020_TO_BT709.T / _WHITE_NITS), 0, 1)
    return np.round(255 * light_HW3 ** (1 / _DISPLAY_GAMMA)).astype(np.uint8)


@cache
def _light(curve: int) -> np.ndarray:
    """Light of each of the 65536 signal levels: cd/m2 for PQ, scene light in [0, 1] for HLG."""
    signal = np.arange(65536) / 65535
    if curve == PQ:  # SMPTE ST 2084
        root = signal ** (1 / 78.84375)
        light = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
        return (10_000 * light ** (1 / 0.1593017578125)).astype(np.float32)
    low, high = signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(signal <= 0.5, low, high).astype(np.float32)  # ARIB STD-B67
