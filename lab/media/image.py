"""Still images, in and out: whatever is in the file, RGB uint8 as a viewer shows it."""

import io
import warnings
from pathlib import Path

import numpy as np

from lab.errors import UserError
from lab.files import atomic_path
from lab.media.colour import ALPHA_BACKGROUND
from lab.media.source import readable_file, reason

_JPEG_QUALITY = 95


def read_image(path: Path | str) -> np.ndarray:
    """Read an image: EXIF rotation applied, colours as sRGB, transparent parts on white.

    16-bit levels are scaled to 8 bits; grayscale, palette and CMYK become RGB; of an animation
    the first frame is taken.

    Returns:
        frame_HW3: uint8 RGB.

    Raises:
        UserError: if the file is missing, no image, or cut off.
    """
    from PIL import Image

    path = readable_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is no reason to trouble the user
            with Image.open(path) as image:
                return _as_rgb(image)
    except Image.UnidentifiedImageError as error:
        raise UserError(
            f"cannot read {path}: not an image known here; convert it to PNG or JPEG"
        ) from error
    except Image.DecompressionBombError as error:
        raise UserError(f"cannot read {path}: {error}; make it smaller") from error
    except Exception as error:  # Pillow's decoders raise anything on damaged data
        raise UserError(
            f"cannot read {path}: the image is cut off or damaged ({reason(error)}); copy it again"
        ) from error


def write_image(path: Path | str, frame_HW3: np.ndarray) -> Path:
    """Write an image, whole or not at all; the suffix chooses the format.

    Args:
        path: .png (lossless), .jpg, .jpeg or .webp (quality 95).
        frame_HW3: uint8 RGB.

    Raises:
        UserError: for another suffix, or if the file cannot be written.
        ValueError: if the frame is not uint8 RGB.
    """
    from PIL import Image

    path = Path(path)
    options = {
        ".png": {"format": "PNG", "compress_level": 3},
        ".jpg": {"format": "JPEG", "quality": _JPEG_QUALITY, "subsampling": 0},
        ".jpeg": {"format": "JPEG", "quality": _JPEG_QUALITY, "subsampling": 0},
        ".webp": {"format": "WEBP", "quality": _JPEG_QUALITY},
    }.get(path.suffix.lower())
    if options is None:
        raise UserError(f"cannot write {path}: images are written as .png, .jpg or .webp")
    check_frame(frame_HW3)
    with atomic_path(path) as temporary:
        Image.fromarray(np.ascontiguousarray(frame_HW3)).save(temporary, **options)
    return path


def check_frame(frame_HW3: np.ndarray) -> None:
    """Raise ValueError unless it is uint8 RGB with at least one pixel."""
    ok = getattr(frame_HW3, "dtype", None) == np.uint8 and frame_HW3.ndim == 3
    if not ok or frame_HW3.shape[-1] != 3 or 0 in frame_HW3.shape:
        got = f"{getattr(frame_HW3, 'dtype', type(frame_HW3))} {getattr(frame_HW3, 'shape', '')}"
        raise ValueError(f"expected a uint8 (H, W, 3) RGB frame, got {got}")


def _as_rgb(image) -> np.ndarray:
    """Returns frame_HW3 of an opened Pillow image."""
    from PIL import Image, ImageOps

    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        return np.repeat(_levels(np.asarray(image))[..., None], 3, axis=2)
    if image.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (ALPHA_BACKGROUND,) * 4)
        image = Image.alpha_composite(ground, image)
    elif image.mode not in ("RGB", "CMYK"):
        image = image.convert("RGB")
    return np.array(_to_srgb(image, profile).convert("RGB"))


def _levels(gray_HW: np.ndarray) -> np.ndarray:
    """Gray of more than 8 bits as uint8: 16-bit counts to 65535, float to 1, if no pixel exceeds
    these; then float counts to 255 or 65535.
    """
    brightest = gray_HW.max(initial=0)
    tops = (65535,) if gray_HW.dtype.kind in "iu" else (1, 255, 65535)
    top = next((top for top in tops if brightest <= top), brightest)
    return np.round(np.clip(gray_HW / top, 0, 1) * 255).astype(np.uint8)


def _to_srgb(image, profile: bytes | None):
    """Apply an embedded colour profile (a phone's Display P3, a printer's CMYK), if it fits."""
    from PIL import ImageCms

    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileName(source):
            return image
        flat = image.convert("RGB") if image.mode == "RGBA" else image
        return ImageCms.profileToProfile(
            flat, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
