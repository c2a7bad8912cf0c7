"""Still images of every kind become the RGB that a viewer shows."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from lab.errors import UserError
from lab.media import read_image, write_image

PICTURE = np.zeros((40, 60, 3), np.uint8)
PICTURE[:20, :30] = (200, 30, 60)
PICTURE[20:, 30:] = (20, 180, 240)


@pytest.mark.parametrize(("suffix", "levels"), [(".png", 0), (".jpg", 1), (".webp", 2)])
def test_written_image_comes_back(suffix, levels, tmp_path) -> None:
    path = write_image(tmp_path / f"picture ü{suffix}", PICTURE)
    assert np.abs(read_image(path).astype(int) - PICTURE).mean() <= levels


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, suffix, tmp_path) -> None:
    turned = {
        1: PICTURE,
        2: PICTURE[:, ::-1],
        3: PICTURE[::-1, ::-1],
        4: PICTURE[::-1],
        5: PICTURE.transpose(1, 0, 2),
        6: np.rot90(PICTURE, -1),
        7: PICTURE[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(PICTURE),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PICTURE).save(tmp_path / f"p{suffix}", exif=exif, quality=95)
    read = read_image(tmp_path / f"p{suffix}")
    assert read.shape == turned.shape
    assert np.abs(read.astype(int) - turned).mean() < 4


def test_sixteen_bit_gray_is_scaled(tmp_path) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16)[None].repeat(4, 0)
    Image.fromarray(ramp).save(tmp_path / "gray.png")
    read = read_image(tmp_path / "gray.png")
    assert np.array_equal(read[0, :, 0], np.arange(256))
    assert np.array_equal(read[..., 0], read[..., 2])


def test_sixteen_bit_colour_is_scaled(tmp_path) -> None:
    import cv2

    deep = PICTURE.astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    assert np.abs(read_image(tmp_path / "deep.png").astype(int) - PICTURE).max() <= 1


def test_float_image_is_taken_as_zero_to_one(tmp_path) -> None:
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)).save(tmp_path / "f.tiff")
    assert read_image(tmp_path / "f.tiff")[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_are_white(mode, tmp_path) -> None:
    image = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    image.paste((80, 80, 80, 255), (10, 0, 20, 10))
    image.convert(mode).save(tmp_path / "cut out.png")
    read = read_image(tmp_path / "cut out.png")
    assert read[5, 5].tolist() == [255, 255, 255]
    assert read[5, 15] == pytest.approx([80, 80, 80], abs=3)


def test_half_transparent_is_half_white(tmp_path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 128)).save(tmp_path / "half.png")
    assert read_image(tmp_path / "half.png")[0, 0] == pytest.approx([127] * 3, abs=1)


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_gray_and_palette_become_rgb(mode, tmp_path) -> None:
    image = Image.fromarray(PICTURE).convert(mode)
    image.save(tmp_path / "p.png")
    assert np.array_equal(read_image(tmp_path / "p.png"), np.array(image.convert("RGB")))


def test_cmyk_jpeg_is_not_inverted(tmp_path) -> None:
    Image.fromarray(PICTURE).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "print.jpg").astype(int) - PICTURE).mean() < 6


def test_colour_profile_is_applied(tmp_path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    image = Image.new("LAB", (8, 8), (128, 128, 128))
    image.save(tmp_path / "lab.tiff", icc_profile=lab.tobytes())
    red, green, blue = read_image(tmp_path / "lab.tiff")[0, 0].astype(int)
    assert abs(red - green) < 4 and abs(green - blue) < 4, "neutral gray must stay neutral"


def test_first_frame_of_an_animation_is_taken(tmp_path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime")]
    for name in ("a.gif", "a.png", "a.webp"):
        frames[0].save(
            tmp_path / name, save_all=True, append_images=frames[1:], duration=40, lossless=True
        )
        assert read_image(tmp_path / name)[8, 8] == pytest.approx([255, 0, 0], abs=3), name


def test_cut_off_image_is_one_line(tmp_path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for name in ("p.png", "p.jpg", "p.webp"):
        data = write_image(tmp_path / name, noise).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(UserError) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_unknown_suffix_and_wrong_array_are_refused(tmp_path) -> None:
    with pytest.raises(UserError, match=r"\.png"):
        write_image(tmp_path / "p.tga", PICTURE)
    with pytest.raises(ValueError, match="uint8"):
        write_image(tmp_path / "p.png", PICTURE / 255)
    assert not list(tmp_path.iterdir())
