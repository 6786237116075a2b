import gzip
import io

import numpy as np
import pytest
from PIL import Image

from common import limits
from common.errors import DataError
from datamodules.images import read_image

COLORS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)


def test_gzip_holds_an_image_and_no_bomb(tmp_path, monkeypatch):
    file = io.BytesIO()
    Image.fromarray(COLORS).save(file, "PPM")
    path = tmp_path / "im0001.ppm.gz"
    path.write_bytes(gzip.compress(file.getvalue()))
    assert np.array_equal(read_image(path, "RGB").permute(1, 2, 0), COLORS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"ppm\.gz: not a readable gzip"):
        read_image(path, "RGB")
    monkeypatch.setattr(limits, "IMAGE_BYTES", 10**5)
    path.write_bytes(gzip.compress(bytes(10**6)))
    with pytest.raises(DataError, match=r"ppm\.gz: more than 100,000 bytes in gzip"):
        read_image(path, "RGB")


def write_dicom(path, values, jpeg=False, bits=8, photometric="RGB", frames=1):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.encaps import encapsulate

    file = pydicom.Dataset()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = (
        pydicom.uid.JPEGBaseline8Bit if jpeg else pydicom.uid.ExplicitVRLittleEndian
    )
    file.file_meta.MediaStorageSOPClassUID = file.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    file.Rows, file.Columns = values.shape[:2]
    file.SamplesPerPixel, file.PlanarConfiguration = (3, 0) if values.ndim == 3 else (1, 0)
    file.PhotometricInterpretation, file.PixelRepresentation = photometric, 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 8 * values.itemsize, bits, bits - 1
    file.NumberOfFrames = frames
    data = values.tobytes()
    if jpeg:
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "JPEG", quality=100, subsampling=0)
        data = encapsulate([buffer.getvalue()])
    file.PixelData = data
    file["PixelData"].VR = "OB" if jpeg or values.itemsize == 1 else "OW"
    file.save_as(path, enforce_file_format=True)
    return path


def test_dicom_in_color_gray_and_jpeg(tmp_path):
    color = read_image(write_dicom(tmp_path / "a.dcm", COLORS), "RGB")
    assert np.array_equal(color.permute(1, 2, 0), COLORS)
    jpeg = read_image(write_dicom(tmp_path / "b.dcm", COLORS, jpeg=True), "RGB")
    assert np.abs(jpeg.permute(1, 2, 0).int().numpy() - COLORS).mean() < 3
    gray = COLORS[..., 0].astype(np.uint16) * 16
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        path = write_dicom(tmp_path / "c.dcm", gray, bits=12, photometric=photometric)
        read = read_image(path, "L")[0].int().numpy()
        expected = (
            COLORS[..., 0] if photometric == "MONOCHROME2" else 255 - COLORS[..., 0].astype(int)
        )
        assert np.abs(read - expected).max() <= 1


def test_dicom_that_is_refused_is_named(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", COLORS, frames=2)
    with pytest.raises(DataError, match=r"a\.dcm: several pages or frames"):
        read_image(path, "RGB")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"a\.dcm: ") as error:
        read_image(path, "RGB")
    assert "\n" not in str(error.value)
