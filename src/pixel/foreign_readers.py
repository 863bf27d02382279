"""Reads an 8-bit RGB PNG with Pillow and with libpng and prints the SHA-256 of its samples, a line for each.

A warning of either is an error. Usage: foreign_readers.py FILE
"""
import ctypes
import hashlib
import sys
import warnings

from PIL import Image

warnings.simplefilter("error")


class PngImage(ctypes.Structure):
    """png_image of libpng's simplified interface (png.h, version 1.6)."""
    _fields_ = [("opaque", ctypes.c_void_p), ("version", ctypes.c_uint32), ("width", ctypes.c_uint32),
                ("height", ctypes.c_uint32), ("format", ctypes.c_uint32), ("flags", ctypes.c_uint32),
                ("colormap_entries", ctypes.c_uint32), ("warning_or_error", ctypes.c_uint32),
                ("message", ctypes.c_char * 64)]


def with_pillow(path):
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(path) as picture:
        if picture.mode != "RGB":
            raise SystemExit(f"Pillow: mode {picture.mode}")
        return picture.tobytes()


def with_libpng(path):
    png = ctypes.CDLL("libpng16.so.16")
    image = PngImage(version=1)

    def check(ok):
        if not ok or image.warning_or_error:
            raise SystemExit(f"libpng: {image.message.decode()}")

    check(png.png_image_begin_read_from_file(ctypes.byref(image), path.encode()))
    if image.format != 2:  # PNG_FORMAT_RGB: nothing has to be converted
        raise SystemExit(f"libpng: format {image.format}")
    pixels = ctypes.create_string_buffer(image.width * image.height * 3)
    check(png.png_image_finish_read(ctypes.byref(image), None, pixels, 0, None))
    return pixels.raw


for read in (with_pillow, with_libpng):
    print(hashlib.sha256(read(sys.argv[1])).hexdigest())
