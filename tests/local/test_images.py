"""The image files of the demo and the tests: complete, of the requested size, and the same every time."""

import hashlib
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from local.images.pictures import Format, Sample, make_album, make_image, video

VARIANTS: dict[Format, list[dict[str, Any]]] = {
    Format.JPEG: [{}, {"progressive": True}, {"orientation": 6}, {"trailer": 5000}],
    Format.MPO: [{}, {"trailer": 5000}],
    Format.PNG: [{}, {"orientation": 3}, {"frames": 3}],
    Format.GIF: [{}, {"frames": 3}],
    Format.BMP: [{}],
    Format.TIFF: [{}, {"directory_first": True}],
    Format.WEBP: [{}, {"lossless": True}, {"orientation": 8}, {"frames": 3}],
    Format.AVIF: [{}, {"orientation": 6}, {"frames": 2}],
}
every_variant = pytest.mark.parametrize(
    ("kind", "options"), [(kind, options) for kind, variants in VARIANTS.items() for options in variants]
)


def opened(content: bytes) -> Image.Image:
    """Decode every pixel of every frame; Pillow raises an error if something is missing."""
    image = Image.open(BytesIO(content))
    for frame in range(getattr(image, "n_frames", 1)):
        image.seek(frame)
        image.load()
    image.seek(0)
    return image


class TestEveryVariant:
    @every_variant
    @pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 200), (200, 3), (257, 129)])
    def test_it_decodes_completely_and_has_its_size(
        self, kind: Format, options: dict[str, Any], width: int, height: int
    ) -> None:
        if kind is Format.AVIF and options.get("frames"):
            width, height = max(width, 16), max(height, 16)
        content = make_image(kind, width, height, **options)
        image = Image.open(BytesIO(content))
        assert image.format == kind
        assert image.size == (width, height)
        opened(content)

    @every_variant
    @pytest.mark.parametrize("size", [3_000, 70_001, 300_000])
    def test_it_is_as_long_as_requested_and_not_much_longer(
        self, kind: Format, options: dict[str, Any], size: int
    ) -> None:
        content = make_image(kind, 300, 200, bytes_at_least=size, **options)
        assert len(content) >= size
        # Noise is added in whole rows, and even a picture without noise has some size.
        assert len(content) <= max(len(make_image(kind, 300, 200, **options)), 1.25 * size) + 8000
        image = opened(content)
        assert (image.format, image.size) == (kind, (300, 200))

    @every_variant
    def test_a_single_pixel_can_be_a_long_file(self, kind: Format, options: dict[str, Any]) -> None:
        side = 16 if kind is Format.AVIF else 1
        content = make_image(kind, side, side, bytes_at_least=200_000, **options)
        assert 200_000 <= len(content) < 210_000
        assert opened(content).size == (side, side)

    @every_variant
    def test_the_seed_determines_the_content(self, kind: Format, options: dict[str, Any]) -> None:
        first, again, other = (make_image(kind, 40, 30, bytes_at_least=5000, seed=s, **options) for s in (1, 1, 2))
        assert first == again
        assert first != other


class TestVariants:
    def test_a_format_can_be_given_by_its_name(self) -> None:
        assert make_image("PNG", 40, 30) == make_image(Format.PNG, 40, 30)
        with pytest.raises(ValueError, match="XCF"):
            make_image("XCF", 40, 30)

    def test_a_progressive_jpeg(self) -> None:
        assert b"\xff\xc2" in make_image(Format.JPEG, 40, 30, progressive=True)
        assert "progressive" in opened(make_image(Format.JPEG, 40, 30, progressive=True)).info
        assert "progressive" not in opened(make_image(Format.JPEG, 40, 30)).info

    @pytest.mark.parametrize("kind", [Format.JPEG, Format.PNG, Format.WEBP])
    @pytest.mark.parametrize("orientation", [1, 3, 6, 8])
    def test_an_orientation(self, kind: Format, orientation: int) -> None:
        assert opened(make_image(kind, 40, 30, orientation=orientation)).getexif()[0x0112] == orientation

    def test_a_video_after_a_jpeg(self) -> None:
        content = make_image(Format.JPEG, 40, 30, trailer=5000)
        assert content[-5000:] == video(5000)
        assert content[:-5000].endswith(b"\xff\xd9")
        assert content[-4996:-4992] == b"ftyp"

    def test_the_boxes_of_a_video_fill_it(self) -> None:
        content = video(1000)
        first = struct.unpack(">I", content[:4])[0]
        assert first + struct.unpack(">I", content[first : first + 4])[0] == len(content) == 1000
        assert len(video(1)) == 32

    @pytest.mark.parametrize(
        ("kind", "frames"), [(Format.GIF, 4), (Format.PNG, 3), (Format.WEBP, 3), (Format.MPO, 2), (Format.MPO, 3)]
    )
    def test_frames(self, kind: Format, frames: int) -> None:
        assert getattr(opened(make_image(kind, 40, 30, frames=frames)), "n_frames", 1) == frames

    @pytest.mark.parametrize(
        ("options", "chunk"),
        [({}, b"VP8 "), ({"lossless": True}, b"VP8L"), ({"orientation": 6}, b"VP8X"), ({"frames": 2}, b"VP8X")],
    )
    def test_the_kinds_of_webp(self, options: dict[str, Any], chunk: bytes) -> None:
        content = make_image(Format.WEBP, 100, 80, **options)
        assert content[12:16] == chunk
        assert struct.unpack("<I", content[4:8])[0] + 8 == len(content)

    @pytest.mark.parametrize("size", [0, 20_000, 20_001])
    def test_the_directory_of_a_tiff_is_at_its_beginning_or_its_end(self, size: int) -> None:
        first = make_image(Format.TIFF, 41, 31, bytes_at_least=size, directory_first=True)
        last = make_image(Format.TIFF, 41, 31, bytes_at_least=size)
        assert struct.unpack("<I", first[4:8])[0] == 8
        place = struct.unpack("<I", last[4:8])[0]
        assert place % 2 == 0
        assert place > len(last) - 200

    def test_a_bmp_contains_its_length(self) -> None:
        content = make_image(Format.BMP, 41, 31, bytes_at_least=20_000)
        assert struct.unpack("<I", content[2:6])[0] == len(content) >= 20_000

    def test_a_long_jpeg_has_its_size_near_its_beginning(self) -> None:
        content = make_image(Format.JPEG, 8, 9, bytes_at_least=10**6)
        frame = content.index(b"\xff\xc0")
        assert frame < 1000
        assert struct.unpack(">HH", content[frame + 5 : frame + 9]) == (9, 8)

    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            (Format.PNG, {"progressive": True}),
            (Format.BMP, {"orientation": 6}),
            (Format.PNG, {"trailer": 100}),
            (Format.JPEG, {"frames": 2}),
            (Format.JPEG, {"lossless": True}),
            (Format.BMP, {"directory_first": True}),
        ],
    )
    def test_a_variant_that_a_format_does_not_have_is_refused(self, kind: Format, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=f"a {kind} has no variant '{next(iter(options))}'"):
            make_image(kind, 8, 8, **options)


class TestTheAlbum:
    def test_its_files_are_as_described(self, tmp_path: Path) -> None:
        samples = make_album(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == [sample.name for sample in samples]
        for sample in samples:
            content = (tmp_path / sample.name).read_bytes()
            assert len(content) == sample.bytes
            image = opened(content)
            assert (image.format, image.size) == (sample.format, (sample.width, sample.height))

    def test_it_has_every_format_of_the_contract_from_10_kb_to_4_mb(self, tmp_path: Path) -> None:
        samples = make_album(tmp_path)
        formats = {sample.format for sample in samples}
        assert formats == {Format.JPEG, Format.PNG, Format.WEBP, Format.GIF, Format.BMP, Format.TIFF}
        assert 10_000 <= min(sample.bytes for sample in samples) < 13_000
        assert max(sample.bytes for sample in samples) > 4_000_000
        assert len({sample.perimeter for sample in samples}) == len(samples)

    def test_it_is_the_same_every_time(self, tmp_path: Path) -> None:
        def digest(name: str, seed: int) -> str:
            folder = tmp_path / name
            folder.mkdir()
            make_album(folder, seed=seed)
            return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.iterdir()))).hexdigest()

        assert digest("one", 0) == digest("two", 0) != digest("three", 1)

    def test_the_perimeter_is_computed_as_in_the_contract(self) -> None:
        assert Sample("a.jpg", 1280, 720, Format.JPEG, 1).perimeter == 4000
