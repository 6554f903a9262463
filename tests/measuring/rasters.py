"""Small, complete icons, and files of the formats whose headers Pillow reads: by Pillow, or else by hand."""

import functools
import struct
import zlib
from dataclasses import dataclass

from tests.measuring.corpus import HEIGHT, WIDTH, png_chunk, saved

_PIXELS = WIDTH * HEIGHT
_SIDES = struct.pack(">II", WIDTH, HEIGHT)


@dataclass(frozen=True, slots=True)
class Raster:
    """A complete file, and how many of its bytes have to be there. That the others are missing is not noticed."""

    name: str
    format: str
    content: bytes
    needed: int
    size: tuple[int, int] = (WIDTH, HEIGHT)


@functools.cache
def rasters() -> tuple[Raster, ...]:
    """Return the files."""
    return (
        *(Raster(name, _format(name), content, len(content)) for name, content in _whole().items()),
        *(Raster(name, _format(name), content, needed) for name, (content, needed) in _headers().items()),
        *(Raster(name, _format(name), content, len(content), size) for name, (content, size) in _icons().items()),
    )


def icon(*pictures: tuple[int, int, bytes], kind: int = 1) -> bytes:
    """Return an icon, or a cursor with kind 2, of pictures with the sides that its directory tells."""
    start = 6 + 16 * len(pictures)
    entries = b""
    for width, height, content in pictures:
        entries += struct.pack("<BBBBHHII", width, height, 0, 0, 1, 32, len(content), start)
        start += len(content)
    return struct.pack("<HHH", 0, kind, len(pictures)) + entries + b"".join(content for *_, content in pictures)


def dib(width: int, height: int) -> bytes:
    """Return a black picture as a BMP in an icon, with its mask."""
    header = struct.pack("<IiiHHIIiiII", 40, width, 2 * height, 1, 32, 0, 0, 0, 0, 0, 0)
    return header + bytes(4 * width * height) + bytes((width + 31) // 32 * 4 * height)


def png(width: int, height: int) -> bytes:
    """Return a black picture as a PNG."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    rows = zlib.compress(bytes(1 + (width + 7) // 8) * height)
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def psd(
    mode: int = 3,
    bits: int = 8,
    channels: int = 3,
    *,
    packed: bool = False,
    resources: bytes = b"",
    layers: bytes = b"",
) -> bytes:
    """Return a PSD without layers of its own: raw channels, or packed ones of two bytes per row."""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, channels, HEIGHT, WIDTH, bits, mode)
    head += (
        struct.pack(">I", 0) + struct.pack(">I", len(resources)) + resources + struct.pack(">I", len(layers)) + layers
    )
    if packed:
        return head + b"\0\1" + b"\0\2" * channels * HEIGHT + b"\xc4\7" * channels * HEIGHT
    return head + b"\0\0" + bytes((WIDTH * bits + 7) // 8 * HEIGHT * channels)


def _format(name: str) -> str:
    return name.split()[0].strip(",")


def _whole() -> dict[str, bytes]:
    """Return files of which every byte is needed."""
    grey, jp2 = bytes(_PIXELS), saved("JPEG2000")
    stream = jp2.index(b"jp2c") - 4
    part = jp2.index(b"\xff\x90") + 6
    return {
        "DDS": saved("DDS"),
        "DDS, grey": saved("DDS", "L"),
        "DDS, DXT1": saved("DDS", "RGBA", pixel_format="DXT1"),
        "DDS, DXT5": saved("DDS", "RGBA", pixel_format="DXT5"),
        "DDS, grey with alpha": _dds(0x20001, 0, 16) + 2 * grey,
        "DDS, RGBA in an extended header": _dds(4, 0x30315844, 0) + struct.pack("<5I", 28, 3, 0, 1, 0) + 4 * grey,
        **{f"FITS, {bits} bits": _fits(bits) + abs(bits) // 8 * grey for bits in (8, 16, 32, -32, -64)},
        "FTEX, uncompressed": _ftex(1, 3 * _PIXELS),
        "FTEX, DXT1": _ftex(0, 16 * 11 * 8),
        "JPEG2000": jp2,
        "JPEG2000, codestream": saved("JPEG2000", no_jp2=True),
        "JPEG2000 in tiles": saved("JPEG2000", tile_size=(32, 32)),
        # A last box, and a last tile part, of length 0 extend to the end of the file.
        "JPEG2000 with an open box": jp2[:stream] + bytes(4) + jp2[stream + 4 :],
        "JPEG2000 with an open part": jp2[:part] + bytes(4) + jp2[part + 4 :],
        **{f"MCIDAS, {width} bytes": _mcidas(width) + width * grey for width in (1, 2, 4)},
        "MSP": saved("MSP", "1"),
        "PIXAR": _pixar() + bytes(3 * _PIXELS),
        "PPM": saved("PPM"),
        "PPM, grey": saved("PPM", "L"),
        "PPM, 16 bits": saved("PPM", "I;16"),
        "PPM, bitmap": saved("PPM", "1"),
        "PPM with comments": b"P6 # by hand\n61 43 # sides\n255\n" + bytes(3 * _PIXELS),
        "PPM up to 100": b"P6\n61 43\n100\n" + bytes(3 * _PIXELS),
        "PPM up to 1,000": b"P5\n61 43\n1000\n" + bytes(2 * _PIXELS),
        "PPM of floats": b"Pf\n61 43\n-1.0\n" + bytes(4 * _PIXELS),
        "PSD": psd(),
        "PSD, CMYK": psd(4, 8, 4),
        "PSD, bitmap": psd(0, 1, 1),
        "PSD, packed": psd(packed=True),
        "PSD with layers": psd(resources=b"8BIM\3\xed\0\0\0\0\0\2xx", layers=bytes(40)),
        "QOI": saved("QOI"),
        "SGI": saved("SGI"),
        "SUN, 1 bit": _sun(1, 1) + bytes(8 * HEIGHT),
        "SUN, 4 bits": _sun(4, 1) + bytes(32 * HEIGHT - 1),
        "SUN, 4 bits with a palette": _sun(4, 1, 48) + bytes(48 + 32 * HEIGHT - 1),
        "SUN, 8 bits": _sun(8, 1) + bytes(62 * HEIGHT - 1),
        **{f"SUN, 24 bits, type {kind}": _sun(24, kind) + bytes(184 * HEIGHT - 1) for kind in (1, 3)},
        **{f"SUN, 32 bits, type {kind}": _sun(32, kind) + 4 * grey for kind in (1, 3)},
        "TGA, 16 bits": struct.pack("<BBB5x4xHHBB", 0, 0, 2, WIDTH, HEIGHT, 16, 0) + 2 * grey,
    }


def _headers() -> dict[str, tuple[bytes, int]]:
    """Return files and how much of them is needed: mostly the header, and one byte of pixels."""
    pcx, tga, xbm = saved("PCX"), saved("TGA"), saved("XBM", "1")
    plain = "\n".join(["7 " * WIDTH] * HEIGHT).encode()
    xpm = b'/* XPM */\nstatic char *x[] = {\n"61 43 2 1",\n". c #FF0000",\n"x c None",\n'
    xpm += (b'"' + b".x" * 30 + b'.",\n') * HEIGHT
    rle = b"\1\xda\1\1" + struct.pack(">HHHHII", 2, WIDTH, HEIGHT, 1, 0, 255)
    return {
        "BLP": (saved("BLP", "P"), 21),
        "DCX": (struct.pack("<III", 0x3ADE68B1, 12, 0) + pcx, 12 + 129),
        "FLI": (_fli(), 144),
        "GBR": (struct.pack(">5I4sI", 30, 2, WIDTH, HEIGHT, 1, b"GIMP", 10) + b"x\0" + bytes(_PIXELS), 30),
        "PCX": (pcx, 129),
        "PCX, grey": (saved("PCX", "L"), 129),
        "PPM, plain": (b"P2\n61 43\n7\n" + plain, 12),
        "PPM, plain bitmap": (b"P1 61 43\n" + b"10" * _PIXELS, 10),
        "SGI, run lengths": (rle.ljust(512, b"\0") + bytes(99), 513),
        # After the pixels comes a footer that not every file has.
        "TGA": (tga, len(tga) - 26),
        "TGA with a palette": (palette := saved("TGA", "P"), len(palette) - 26),
        "TGA, grey": (grey := saved("TGA", "L"), len(grey) - 26),
        "TGA, grey with alpha": (faded := saved("TGA", "LA"), len(faded) - 26),
        "TGA, RGBA": (rgba := saved("TGA", "RGBA"), len(rgba) - 26),
        "TGA, run lengths": (saved("TGA", compression="tga_rle"), 19),
        "XBM": (xbm, xbm.index(b"}") + 1),
        "XBM of GIMP": (b"/* Created with GIMP */\n" + xbm, 24 + xbm.index(b"}") + 1),
        "XPM": (xpm + b"};\n", len(xpm) + 1),
    }


def _icons() -> dict[str, tuple[bytes, tuple[int, int]]]:
    small, large = dib(16, 16), saved("PNG")
    icp = b"icp5" + struct.pack(">I", 8 + len(png(32, 32))) + png(32, 32)
    return {
        "ICO of Pillow": (saved("ICO", sizes=[(16, 16), (32, 32)]), (32, 23)),
        "ICO of BMPs": (icon((16, 16, small), (48, 40, dib(48, 40))), (48, 40)),
        "ICO with a PNG": (icon((16, 16, small), (WIDTH, HEIGHT, large)), (WIDTH, HEIGHT)),
        # 0 stands for 256 pixels, and for more.
        "ICO of large PNGs": (
            icon((0, 0, png(256, 256)), (0, 0, png(512, 512)), (16, 16, small))[: -len(small)],
            (512, 512),
        ),
        "CUR": (icon((16, 16, small), (32, 32, dib(32, 32)), kind=2), (32, 32)),
        "CUR with a PNG": (icon((WIDTH, HEIGHT, large), kind=2), (WIDTH, HEIGHT)),
        "ICNS": (b"icns" + struct.pack(">I", 8 + len(icp)) + icp, (32, 32)),
        "ICNS of Pillow": (saved("ICNS"), (1024, 1024)),
    }


def _dds(flags: int, four: int, bits: int) -> bytes:
    header = struct.pack("<7I44x8I", 124, 0x1007, HEIGHT, WIDTH, 0, 0, 0, 32, flags, four, bits, 255, 0, 0, 255 << 8)
    return b"DDS " + header + bytes(20)


def _sun(bits: int, kind: int, palette_bytes: int = 0) -> bytes:
    palette = (1, palette_bytes) if palette_bytes else (0, 0)
    return struct.pack(">8I", 0x59A66A95, WIDTH, HEIGHT, bits, 0, kind, *palette)


def _fits(bits: int) -> bytes:
    cards = (
        "SIMPLE  =                    T",
        f"BITPIX  = {bits}",
        "NAXIS   = 2",
        "NAXIS1  = 61",
        "NAXIS2  = 43",
        "END",
    )
    return "".join(card.ljust(80) for card in cards).encode().ljust(2880)


def _ftex(kind: int, length: int) -> bytes:
    return b"FTEX" + struct.pack("<7iI", 1, WIDTH, HEIGHT, 1, 1, kind, 32, length) + bytes(length)


def _mcidas(width: int) -> bytes:
    words = [0] * 64
    words[1], words[8], words[9], words[10], words[13], words[33] = 4, HEIGHT, WIDTH, width, 1, 256
    return struct.pack(">64i", *words)


def _pixar() -> bytes:
    header = bytearray(1024)
    header[:2] = b"\x80\xe8"
    struct.pack_into("<HH4xHH", header, 416, HEIGHT, WIDTH, 14, 2)
    return bytes(header)


def _fli() -> bytes:
    header = struct.pack("<IHHHHHHI", 144, 0xAF11, 1, WIDTH, HEIGHT, 8, 3, 5)
    return header.ljust(128, b"\0") + struct.pack("<IHH8x", 16, 0xF1FA, 0)
