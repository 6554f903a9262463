"""All brands of a file say whether it is an AVIF, a HEIC or neither."""

from dataclasses import replace

import pytest

from retail_pulse.domain.failures import MeasuringError
from retail_pulse.measuring.formats.size import SizeReader
from tests.measuring.iso_files import Iso, Item, ftyp, ispe
from tests.measuring.iso_reading import UNRECOGNIZED, is_cut, outcome, read

BRANDS = {
    **dict.fromkeys([b"avif", b"avis", b"avio", b"MA1A", b"MA1B"], "AVIF"),
    **dict.fromkeys([b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"], "HEIC"),
}


@pytest.mark.parametrize("brand", BRANDS)
@pytest.mark.parametrize("coding", [b"av01", b"hvc1"])
def test_the_format_comes_from_any_of_the_brands(brand: bytes, coding: bytes) -> None:
    file = Iso([Item(1, coding, [1])], [ispe(9, 5)])
    for brands in [(brand,), (brand, b"mif1"), (b"mif1", b"miaf", brand), (b"isom", b"iso8", brand)]:
        assert read(replace(file, brands=brands).content()) == f"{BRANDS[brand]} 9 x 5"


@pytest.mark.parametrize("brands", [(b"heic", b"avif"), (b"avif", b"heic"), (b"mif1", b"hevc", b"MA1B")])
@pytest.mark.parametrize("coding", [b"av01", b"hvc1"])
def test_avif_comes_before_heic(brands: tuple[bytes, ...], coding: bytes) -> None:
    assert read(Iso([Item(1, coding, [1])], [ispe(9, 5)], brands=brands).content()) == "AVIF 9 x 5"


@pytest.mark.parametrize("brand", [b"mif1", b"mif2", b"msf1", b"miaf"])
@pytest.mark.parametrize("infe_version", [2, 3])
@pytest.mark.parametrize("wide", [0, 1])
@pytest.mark.parametrize(
    ("coding", "name"), [(b"av01", "AVIF"), (b"hvc1", "HEIC"), (b"jpeg", "HEIC"), (b"unci", "HEIC")]
)
def test_a_general_brand_leaves_the_format_to_the_coding(
    brand: bytes, infe_version: int, wide: int, coding: bytes, name: str
) -> None:
    file = Iso([Item(257, b"av01"), Item(1, coding, [1])], [ispe(9, 5)], brands=(brand,), wide=wide)
    assert read(replace(file, infe_version=infe_version).content()) == f"{name} 9 x 5"
    derived = [Item(1, b"grid", [1]), Item(2, coding), Item(3, b"av01")]
    grid = replace(file, items=derived, references=[(b"dimg", 1, [2]), (b"thmb", 3, [1])], infe_version=infe_version)
    # The flags of an item say that it is hidden.
    grid.changes = {
        b"iinf": lambda iinf: iinf.replace(
            b"infe" + bytes([infe_version, 0, 0, 0]), b"infe" + bytes([infe_version, 0, 0, 1])
        )
    }
    assert read(grid.content()) == f"{name} 9 x 5"


def test_items_of_an_older_version_have_no_type() -> None:
    file = Iso([Item(1, b"av01", [1])], [ispe(9, 5)], brands=(b"mif1",), infe_version=1)
    assert read(file.content()) == "HEIC 9 x 5"


@pytest.mark.parametrize("brands", [(b"isom", b"mp41"), (b"qt  ",), (b"crx ", b"isom"), (b"mp42", b"av01", b"hvc1")])
def test_other_files_of_boxes_are_not_images(brands: tuple[bytes, ...]) -> None:
    content = Iso([Item(1, b"av01", [1])], [ispe(9, 5)], brands=brands).content()
    assert read(content) == UNRECOGNIZED
    # Nothing after the brands is read.
    with SizeReader(100_000) as reader, pytest.raises(MeasuringError, match=UNRECOGNIZED):
        reader.feed(content[:70])


def test_the_version_of_the_main_brand_is_not_a_brand() -> None:
    content = Iso([Item(1, b"av01", [1])], [ispe(9, 5)], brands=(b"isom", b"mp41")).content()
    assert read(content[:12] + b"avif" + content[16:]) == UNRECOGNIZED


@pytest.mark.parametrize("others", [4, 11, 12, 13, 100, 1_021])
def test_there_may_be_many_brands(others: int) -> None:
    brands = (b"isom", *[b"abcd"] * others)
    file = Iso([Item(1, properties=[1])], [ispe(9, 5)], brands=(*brands, b"heim"))
    content = file.content()
    assert read(content) == "HEIC 9 x 5"
    assert is_cut(content, file.end_of(1) - 1)
    assert read(replace(file, brands=brands).content()) == UNRECOGNIZED


def test_brands_beyond_4_kb_are_not_read() -> None:
    brands = (b"isom", *[b"abcd"] * 1_022, b"heim")
    assert read(Iso([Item(1, properties=[1])], [ispe(9, 5)], brands=brands).content()) == UNRECOGNIZED


@pytest.mark.parametrize("others", [0, 40])
@pytest.mark.parametrize("brand", [b"MA1B", b"heim"])
def test_a_file_that_is_cut_within_its_brands_is_truncated(others: int, brand: bytes) -> None:
    content = Iso([Item(1, properties=[1])], [ispe(9, 5)], brands=(brand, *[b"abcd"] * others)).content()
    for length in range(12, int.from_bytes(content[:4]) + 1):
        assert (
            outcome(content[:length]) == f"truncated: the {BRANDS[brand]} is incomplete: it ends after {length} bytes"
        )


def test_a_second_list_of_brands_does_not_count() -> None:
    content = Iso([Item(1, properties=[1])], [ispe(9, 5)], brands=(b"heic", *[b"abcd"] * 40)).content()
    end = int.from_bytes(content[:4])
    assert outcome(content[:end] + ftyp(b"isom") + content[end:] + bytes(12)) == "HEIC 9 x 5"
