"""YUV to RGB and back: the matrix, the range, and who says which.

A video states its matrix (BT.601, BT.709, BT.2020) and range (limited 16-235, full 0-255). Where
it is silent, players go by size: small is BT.601, high definition is BT.709, limited range. We
read by that rule and write by it too, stating it, so that a player that ignores the tags is
right as well.
"""

import av
import numpy as np
from av.video.format import VideoFormat
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from lab.media import hdr

# swscale's faster settings are off by 5 levels in the mean and 30 at edges, these by 0.5 and 3.
_EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
# What shows through transparent pixels, in video and in images: white, as on a page.
ALPHA_BACKGROUND = 255

_BT709, _UNSPECIFIED, _SMPTE170M = 1, 2, 6  # matrices as H.264 numbers them (ITU-T H.273)


def matrix_for_size(width_px: int, height_px: int) -> Colorspace:
    """The matrix that a silent file of this size is taken to use."""
    return Colorspace.ITU709 if width_px >= 1280 or height_px > 576 else Colorspace.ITU601


def tag_stream(context: "av.VideoCodecContext", *, rgb: bool) -> None:
    """State in the stream how its colours are meant."""
    context.color_primaries = _BT709
    context.color_trc = _BT709
    if rgb:
        context.colorspace = 0
        context.color_range = ColorRange.JPEG
    else:
        high = matrix_for_size(context.width, context.height) == Colorspace.ITU709
        context.colorspace = _BT709 if high else _SMPTE170M
        context.color_range = ColorRange.MPEG


class ToRGB:
    """Turn decoded frames into RGB arrays of one size."""

    def __init__(self, width_px: int, height_px: int) -> None:
        self.size = (width_px, height_px)
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """Returns frame_HW3, uint8: of the size given at the start, not yet rotated."""
        bright = frame.color_trc in (hdr.PQ, hdr.HLG)
        alpha = has_alpha(frame.format)
        rgb = self._reformatter.reformat(
            frame,
            *self.size,
            format="rgb48le" if bright else "rgba" if alpha else "rgb24",
            src_colorspace=matrix_for_size(*self.size)
            if frame.colorspace == _UNSPECIFIED
            else None,
            dst_color_range=ColorRange.JPEG,
            interpolation=_EXACT,
            threads=1,
        ).to_ndarray()
        if bright:
            return hdr.to_standard(rgb, frame.color_trc)
        return on_background(rgb) if alpha else rgb


class FromRGB:
    """Turn RGB arrays into frames of the encoder's pixel format."""

    def __init__(self, pixel_format: str) -> None:
        self._format = pixel_format
        self._reformatter = VideoReformatter()

    def __call__(self, frame_HW3: np.ndarray) -> av.VideoFrame:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HW3), format="rgb24")
        if self._format == "rgb24":
            return frame
        return self._reformatter.reformat(
            frame,
            format=self._format,
            dst_colorspace=matrix_for_size(frame.width, frame.height),
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=_EXACT,
            threads=1,
        )


def has_alpha(pixel_format: VideoFormat) -> bool:
    """True if pixels of this format can be transparent."""
    return pixel_format.name.startswith(
        ("rgba", "bgra", "argb", "abgr", "yuva", "ya", "gbrap", "pal8")
    )


def on_background(frame_HW4: np.ndarray) -> np.ndarray:
    """Lay an RGBA picture on `ALPHA_BACKGROUND`; (H, W, 3) uint8."""
    alpha_HW1 = frame_HW4[..., 3:].astype(np.uint16)
    colour_HW3 = frame_HW4[..., :3] * alpha_HW1 + np.uint16(ALPHA_BACKGROUND) * (255 - alpha_HW1)
    return ((colour_HW3 + 127) // 255).astype(np.uint8)
