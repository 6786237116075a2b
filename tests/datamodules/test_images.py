import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from common.errors import DataError
from datamodules.images import list_images, read_image

GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.png"


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA"])
def test_modes_of_the_same_gray_picture(path, mode):
    Image.fromarray(GRAY).convert(mode).save(path)
    assert torch.equal(read_image(path, "L")[0], torch.from_numpy(GRAY))
    assert read_image(path, "RGB").shape == (3, 8, 8)


def test_transparency_and_16_bits_are_refused(path):
    clear = Image.fromarray(GRAY).convert("RGBA")
    clear.putalpha(128)
    clear.save(path)
    with pytest.raises(DataError, match=r"image\.png: transparent pixels"):
        read_image(path, "L")
    Image.fromarray(GRAY.astype(np.uint16)).save(path)
    with pytest.raises(DataError, match=r"image\.png: more than 8 bits"):
        read_image(path, "L")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "gif", "webp"])
@pytest.mark.parametrize("kept", [0, 20, 0.5, 0.9])
def test_truncated_files_of_every_kind_are_one_line(tmp_path, suffix, kept):
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: kept if kept >= 1 else int(kept * len(content))])
    with pytest.raises(DataError, match=rf"image\.{suffix}: not a readable image") as error:
        read_image(path, "RGB")
    assert "\n" not in str(error.value)


def test_damaged_files_are_read_or_refused_in_one_line(tmp_path):
    rng = np.random.default_rng(0)
    for suffix in ("png", "jpg", "tif", "gif", "webp", "bmp"):
        whole = tmp_path / f"whole.{suffix}"
        Image.fromarray(rng.integers(0, 255, (32, 32), np.uint8)).save(whole)
        for _ in range(40):
            content = bytearray(whole.read_bytes())
            for at in rng.integers(len(content), size=4):
                content[at] = rng.integers(256)
            damaged = tmp_path / f"damaged.{suffix}"
            damaged.write_bytes(content)
            lines = 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    read_image(damaged, "L")
                except DataError as error:
                    lines = len(str(error).splitlines())
            assert lines == 1


def test_a_text_a_folder_and_a_missing_file_are_named(path):
    path.write_text("no image")
    with pytest.raises(DataError, match=r"image\.png: not a readable image"):
        read_image(path, "L")
    with pytest.raises(DataError, match=r"gone\.png: no such file"):
        read_image(path.with_name("gone.png"), "L")
    with pytest.raises(DataError, match="not a readable image"):
        read_image(path.parent, "L")


def test_a_decompression_bomb_is_one_line(path, monkeypatch):
    Image.fromarray(GRAY).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16)
    with pytest.raises(DataError, match=r"image\.png: not a readable image \(Image size \(64 pix"):
        read_image(path, "L")


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp", "png"])
def test_several_pages_or_frames_are_refused(tmp_path, suffix):
    pages = [Image.fromarray(GRAY), Image.fromarray(255 - GRAY)]
    path = tmp_path / f"image.{suffix}"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=rf"image\.{suffix}: 2 pages or frames"):
        read_image(path, "L")


def test_what_lies_beside_images_is_passed_over(tmp_path):
    for name in ("b.PNG", "a.png", "sub/c.jpg", ".hidden/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(GRAY).save(tmp_path / name)
    for name in ("._a.png", ".DS_Store", "Thumbs.db", "notes.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "x.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.png", "b.PNG"]
    names = [path.name for path in list_images(tmp_path, recursive=True)]
    assert names == ["a.png", "b.PNG", "c.jpg"]
    assert list_images(tmp_path / "a.png") == [tmp_path / "a.png"]


def test_no_image_and_no_folder_are_named(tmp_path):
    (tmp_path / "._a.png").write_text("x")
    with pytest.raises(DataError, match=r"holds no image \(\.png"):
        list_images(tmp_path)
    with pytest.raises(DataError, match="gone: no such folder"):
        list_images(tmp_path / "gone")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"notes\.txt"):
        list_images(tmp_path / "notes.txt")


def test_a_folder_that_must_not_be_listed_is_one_line(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(DataError, match=r"cannot be listed \(Permission denied\)$"):
        list_images(tmp_path)


def test_the_content_decides_and_no_program_is_started(tmp_path, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", lambda *args, **kwargs: pytest.fail("started"))
    monkeypatch.setattr("subprocess.check_call", lambda *args, **kwargs: pytest.fail("started"))
    path = tmp_path / "x.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with pytest.raises(DataError, match=r"x\.png: not a readable image"):
        read_image(path, "L")
