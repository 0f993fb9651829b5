"""
Pictures and label maps that no packer should take, and some that it may: made with PIL or byte by byte, from a seed. A Case that `must` be
refused is one that no decoder can make whole; of the others a decoder decides.
"""

import io
import random
import struct
import zlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH, CLASSES = 48, 64, 11


class Case:
    """data stands for a picture, or for a label map where `label`. origin: the sound file that it was made of, for comparison."""

    def __init__(self, name, data, origin=None, label=False, must=True):
        self.name, self.data, self.origin, self.label, self.must = name, data, origin, label, must


# ---- sound files ----


def saved(picture, form, **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def picture(draw):
    """Smooth shapes with some noise, so that every codec has something to do."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / 9.0
    noise = np.random.default_rng(draw.randrange(1 << 30)).normal(0, 12, (HEIGHT, WIDTH, 3))
    waves = np.stack([np.sin(x + k) * np.cos(y * (k + 1)) * 90 + 128 for k in range(3)], -1)
    return Image.fromarray(np.clip(waves + noise, 0, 255).astype(np.uint8))


def label_map(draw):
    blocks = np.random.default_rng(draw.randrange(1 << 30)).integers(0, CLASSES, (HEIGHT // 8, WIDTH // 8))
    return Image.fromarray(np.kron(blocks, np.ones((8, 8))).astype(np.uint8))


def chunk(kind, data, length=None, crc=None):
    crc = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data) if length is None else length) + kind + data + struct.pack(">I", crc)


MARK = b"\x89PNG\r\n\x1a\n"
END = chunk(b"IEND", b"")


def header(width=WIDTH, height=HEIGHT, depth=8, color=2, compression=0, filtering=0, interlace=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, compression, filtering, interlace))


def rows(array):
    """Unfiltered rows, each behind its filter's number."""
    flat = np.ascontiguousarray(array).view(np.uint8).reshape(array.shape[0], -1)
    return b"".join(b"\0" + row.tobytes() for row in flat)


def interlaced(array):
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    data = b"".join(rows(array[y::dy, x::dx]) for y, x, dy, dx in passes)
    return MARK + header(interlace=1) + chunk(b"IDAT", zlib.compress(data)) + END


def sound(draw):
    """(name, bytes, is a label map)."""
    image, label = picture(draw), label_map(draw)
    with_palette = label.copy()
    with_palette.putpalette([(7 * i) % 256 for i in range(768)])
    rgb = np.array(image)
    wide = MARK + header(depth=16) + chunk(b"IDAT", zlib.compress(rows((rgb.astype(">u2") * 257)))) + END
    return [
        ("jpeg", saved(image, "JPEG", quality=90), False), ("jpeg 4:4:4", saved(image, "JPEG", quality=95, subsampling=0), False),
        ("progressive jpeg", saved(image, "JPEG", progressive=True), False), ("grey jpeg", saved(image.convert("L"), "JPEG"), False),
        ("png", saved(image, "PNG"), False), ("png with alpha", saved(image.convert("RGBA"), "PNG"), False),
        ("grey png", saved(image.convert("L"), "PNG"), False), ("png with palette", saved(image.quantize(64), "PNG"), False),
        ("interlaced png", interlaced(rgb), False), ("png of 16 bits", wide, False),
        ("label", saved(label, "PNG"), True), ("label with palette", saved(with_palette, "PNG"), True),
    ]


# ---- spoilt ones ----


def truncated(origin, draw):
    name, data, label = origin
    lengths = {0, 2, 9, len(data) // 2, len(data) - 1, len(data) - 2, len(data) - 5} | {draw.randrange(1, len(data)) for _ in range(4)}
    for length in sorted(lengths):
        yield Case(f"{name} cut to {length} of {len(data)} bytes", data[:length], data, label)


def flipped(origin, draw, count):
    name, data, label = origin
    for _ in range(count):
        changed, places = bytearray(data), [draw.randrange(len(data)) for _ in range(draw.choice((1, 1, 2, 4)))]
        for at in places:
            changed[at] ^= 1 << draw.randrange(8)
        yield Case(f"{name} with bits flipped in bytes {places}", bytes(changed), data, label, must=False)


def overwritten(origin, draw, count):
    name, data, label = origin
    for _ in range(count):
        at, length = draw.randrange(len(data)), draw.randrange(4, 40)
        spoilt = (data[:at] + draw.choice((bytes(length), b"\xff" * length, draw.randbytes(length))) + data[at + length:])[:len(data)]
        yield Case(f"{name} with {length} bytes at {at} overwritten", spoilt, data, label, must=False)


def png_headers(image):
    """Whole files with right checksums whose header lies."""
    data = chunk(b"IDAT", zlib.compress(rows(np.array(image))))
    sizes = [(0, 48), (64, 0), (0, 0), (65535, 65535), (32768, 32768), (32769, 1), (1 << 31, 48), ((1 << 32) - 1, (1 << 32) - 1), (64, 49),
             (64, 32768), (65, 48), (63, 48), (64, 47), (20000, 20000)]
    for width, height in sizes:
        yield f"png of claimed {height}x{width}", MARK + header(width, height) + data + END
    for what, options in [("7 bits", {"depth": 7}), ("32 bits", {"depth": 32}), ("colour type 1", {"color": 1}), ("colour type 7", {"color": 7}),
                          ("a palette that is not there", {"color": 3}), ("compression 1", {"compression": 1}), ("filter method 1", {"filtering": 1}),
                          ("interlace method 2", {"interlace": 2}), ("interlacing it has not", {"interlace": 1}), ("grey", {"color": 0}),
                          ("alpha", {"color": 6}), ("16 bits", {"depth": 16})]:
        yield f"png that claims {what}", MARK + header(**options) + data + END


def png_chunks(image):
    """Chunks that are wrong in themselves or beside each other."""
    plain = rows(np.array(image))
    packed = zlib.compress(plain)
    bad_sum = packed[:-4] + bytes(b ^ 255 for b in packed[-4:])
    bad_filter = zlib.compress(b"\x09" + plain[1:])
    idat = chunk(b"IDAT", packed)
    yield "png without pixels", MARK + header() + END
    yield "png without a header", MARK + idat + END
    yield "png without an end", MARK + header() + idat
    yield "png with two headers", MARK + header() + header() + idat + END
    yield "png with the header last", MARK + idat + header() + END
    yield "png whose stream is cut, checksum right", MARK + header() + chunk(b"IDAT", packed[:len(packed) // 2]) + END
    yield "png whose stream is noise", MARK + header() + chunk(b"IDAT", bytes(range(256)) * 4) + END
    yield "png whose stream is empty", MARK + header() + chunk(b"IDAT", b"") + END
    yield "png with a wrong sum of its stream", MARK + header() + chunk(b"IDAT", bad_sum) + END
    yield "png with filter 9", MARK + header() + chunk(b"IDAT", bad_filter) + END
    yield "png with too few rows", MARK + header() + chunk(b"IDAT", zlib.compress(plain[:len(plain) // 2])) + END
    yield "png with too many rows", MARK + header() + chunk(b"IDAT", zlib.compress(plain + plain)) + END
    yield "png with a wrong checksum", MARK + header() + chunk(b"IDAT", packed, crc=1) + END
    yield "png with a chunk of 2^31 - 1 bytes", MARK + header() + chunk(b"IDAT", packed, length=(1 << 31) - 1) + END
    yield "png with a chunk of 2^32 - 1 bytes", MARK + header() + chunk(b"IDAT", packed, length=(1 << 32) - 1) + END
    yield "png with a short chunk", MARK + header() + chunk(b"IDAT", packed, length=10) + END
    yield "png with an unknown critical chunk", MARK + header() + chunk(b"QRST", b"?") + idat + END
    yield "png with a palette of 257 colours", MARK + header(color=3) + chunk(b"PLTE", bytes(771)) + chunk(b"IDAT", zlib.compress(plain[::3])) + END
    yield "png with a palette of 1000 bytes", MARK + header(color=3) + chunk(b"PLTE", bytes(1000)) + idat + END
    yield "png of 60000 x 60000 black pixels at most", MARK + header(60000, 60000, 1, 0) + chunk(b"IDAT", zlib.compress(bytes(1 << 16))) + END


def jpeg_markers(data):
    """Lies in the markers of a JPEG file."""
    frame = next(data.index(bytes([0xFF, kind])) for kind in (0xC0, 0xC2) if bytes([0xFF, kind]) in data)
    scan, tables, quant = data.index(b"\xff\xda"), data.index(b"\xff\xc4"), data.index(b"\xff\xdb")
    put = lambda at, new: data[:at] + new + data[at + len(new):]  # noqa: E731
    size = lambda h, w: put(frame + 5, struct.pack(">HH", h, w))  # noqa: E731
    for h, w in [(0, 64), (48, 0), (0, 0), (65535, 65535), (32768, 32768), (40000, 30000), (96, 64), (48, 4096), (20000, 20000)]:
        yield f"of claimed {h}x{w}", size(h, w)
    for what, at, new in [("12 bits", frame + 4, b"\x0c"), ("0 bits", frame + 4, b"\0"), ("0 components", frame + 9, b"\0"),
                          ("200 components", frame + 9, b"\xc8"), ("no sampling", frame + 11, b"\0"), ("sampling of 15", frame + 11, b"\xff"),
                          ("a quantiser that is not there", frame + 12, b"\3"), ("a lossless frame", frame + 1, b"\xc3"),
                          ("a hierarchical frame", frame + 1, b"\xc5"), ("another table", scan + 6, b"\x33"), ("no scan", scan + 1, b"\xfe"),
                          ("a frame of 2 bytes", frame + 2, b"\0\2"), ("a table of 65535 bytes", tables + 2, b"\xff\xff"),
                          ("a table of 0 bytes", tables + 2, b"\0\0"), ("too many codes", tables + 5, b"\xff" * 16),
                          ("a quantiser of 65535 bytes", quant + 2, b"\xff\xff")]:
        yield f"with {what}", put(at, new)
    yield "without its tables", data[:tables] + data[scan:]
    yield "without its frame", data[:frame] + data[tables:]
    yield "with the frame twice", data[:tables] + data[frame:tables] + data[tables:]
    yield "with an end in its middle", data[:len(data) * 2 // 3] + b"\xff\xd9"
    yield "with noise in its middle", data[:len(data) * 2 // 3] + b"\xff\x01\xff\xc8\xff\xfe" + data[len(data) * 2 // 3:]


def other_formats(image):
    yield "GIF", saved(image.quantize(32), "GIF")
    yield "BMP", saved(image, "BMP")
    yield "TIFF", saved(image, "TIFF")
    yield "PPM", saved(image, "PPM")
    yield "text", b"this is no picture\n"
    yield "a page", b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
    yield "nothing", b""
    yield "zeros", bytes(4096)
    yield "noise", random.Random(1).randbytes(4096)
    yield "PNG's mark alone", MARK
    yield "JPEG's mark alone", b"\xff\xd8\xff"
    yield "JPEG's mark and noise", b"\xff\xd8\xff" + random.Random(2).randbytes(4096)


def wrong_labels(draw, label, image):
    wide = np.array(label).astype(np.uint16)
    beyond = np.array(label)
    beyond[HEIGHT // 2, WIDTH // 3] = 200
    yield "of 16 bits", saved(Image.fromarray(wide), "PNG")
    yield "of three channels", saved(image, "PNG")
    yield "with alpha", saved(label.convert("LA"), "PNG")
    yield "as JPEG", saved(label, "JPEG")
    yield "with a value of 200", saved(Image.fromarray(beyond), "PNG")
    yield "turned by 90 degrees", saved(label.transpose(Image.Transpose.ROTATE_90), "PNG")
    yield "one row short", saved(label.crop((0, 0, WIDTH, HEIGHT - 1)), "PNG")
    yield "as text", b"0 1 2 3\n"


def cases(seed):
    draw = random.Random(seed)
    image, label = picture(draw), label_map(draw)
    found = []
    for origin in sound(draw):
        found += [*truncated(origin, draw), *flipped(origin, draw, 12), *overwritten(origin, draw, 4)]
    found += [Case(name, data) for name, data in [*png_headers(image), *png_chunks(image), *other_formats(image)]]
    for name, data, _ in [origin for origin in sound(draw) if "jpeg" in origin[0]][:3]:
        found += [Case(f"{name} {what}", spoilt, data, must=False) for what, spoilt in jpeg_markers(data)]
    found += [Case(f"label {name}", data, label=True) for name, data in wrong_labels(draw, label, image)]
    return found


def harmless(case):
    """Whether PIL reads a case without complaint. A PNG's checksums cover its pixels: what it gives must then be what went in."""
    try:
        got = Image.open(io.BytesIO(case.data))
        got.load()
    except Exception:  # noqa: BLE001: PIL raises many kinds
        return False
    want = Image.open(io.BytesIO(case.origin))
    if got.size != want.size:
        return False
    return not case.origin.startswith(MARK) or got.tobytes() == want.tobytes()
