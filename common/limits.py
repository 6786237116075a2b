"""What a stranger's file may cost; see docs/reliability.md for the case that each bounds.

The pixels of an image: ``MOST_PIXELS`` in common/image_reader.py, which exported models ship alone.
"""

IMAGE_BYTES = 2**29  # of an image file: what 64 megapixels fill uncompressed, four 16-bit channels
JPEG_SCANS = 32  # each is decoded over the whole image, and may be 63 bytes; encoders write 10
COMMENT_BYTES = 2**21  # in GIF comments or a JPEG's EXIF, which Pillow joins in quadratic time
TIFF_STRIPS = 2**18  # strips or tiles, for each of which Pillow makes an object before decoding
CHECKPOINT_PICKLE_BYTES = 2**24  # structure of a checkpoint: 10 million class names
CHECKPOINT_VALUES = 1_000_000  # settings, counted as often as they are referred to: 40 nested lists
CONFIG_VALUES = 10_000  # of a config, counted as often as aliases refer to them; ours have 100
