"""The size of an AVIF or HEIC is that of its primary item, after its croppings and turns."""

from dataclasses import replace

import pytest

from tests.measuring.corpus import box
from tests.measuring.iso_files import Iso, Item, clap, full, irot, ispe
from tests.measuring.iso_reading import is_cut, outcome, read, sized

IMIR = box(b"imir", b"\1")
PIXI = full(b"pixi", b"\3\x08\x08\x08")
COLR = box(b"colr", b"prof" + bytes(300))


@pytest.mark.parametrize(
    ("properties", "size"),
    [
        ([ispe(616, 462)], "616 x 462"),
        ([ispe(616, 462), clap(615, 461)], "615 x 461"),
        ([clap(615, 461), ispe(616, 462)], "615 x 461"),
        # Rounded down.
        ([ispe(616, 462), clap(1_231, 1_383, 2, 3)], "615 x 461"),
        # Never larger, for each side.
        ([ispe(616, 462), clap(700, 300)], "616 x 300"),
        ([ispe(616, 462), clap(300, 700)], "300 x 462"),
        ([ispe(616, 462), clap(600, 400), clap(500, 450)], "500 x 400"),
        # An aperture without pixels, or that is not a number, is ignored.
        ([ispe(616, 462), clap(0, 461)], "616 x 462"), ([ispe(616, 462), clap(615, 0)], "616 x 462"),
        ([ispe(616, 462), clap(615, 461, 0)], "616 x 462"), ([ispe(616, 462), clap(615, 461, 1, 0)], "616 x 462"),
        ([ispe(616, 462), clap(1, 461, 2)], "616 x 462"), ([ispe(616, 462), clap(615, 1, 1, 2)], "616 x 462"),
        ([ispe(616, 462), clap(1, 1)], "1 x 1"), ([ispe(616, 462), clap(7, 7, 7, 7)], "1 x 1"),
        ([ispe(616, 462), irot(0)], "616 x 462"), ([ispe(616, 462), irot(1)], "462 x 616"),
        ([ispe(616, 462), irot(2)], "616 x 462"), ([ispe(616, 462), irot(3)], "462 x 616"),
        # The upper bits are reserved.
        ([ispe(616, 462), irot(0xFE)], "616 x 462"), ([ispe(616, 462), irot(0xFD)], "462 x 616"),
        ([ispe(616, 462), irot(1), irot(1)], "616 x 462"),
        ([irot(1), ispe(616, 462)], "462 x 616"),
        ([ispe(616, 462), IMIR], "616 x 462"),
        # In their order.
        ([ispe(616, 462), irot(1), clap(461, 615)], "461 x 615"),
        ([ispe(616, 462), clap(615, 461), irot(3), IMIR], "461 x 615"),
        ([ispe(616, 462), irot(1), clap(615, 461)], "462 x 461"),
        # The first size counts, whatever else there is.
        ([PIXI, COLR, ispe(616, 462), ispe(100, 100)], "616 x 462"),
        ([box(b"xxxx", b""), ispe(616, 462), clap(615, 461), box(b"hvcC", bytes(90))], "615 x 461"),
    ],
)  # fmt: skip
def test_the_size_is_that_after_each_cropping_and_turn_in_their_order(properties: list[bytes], size: str) -> None:
    assert read(sized(*properties).content()) == f"HEIC {size}"


def test_an_item_without_a_size_is_not_an_image() -> None:
    assert read(sized(clap(615, 461)).content()) == "not_an_image: the primary item has no size"


def test_properties_of_other_items_do_not_count() -> None:
    items = [Item(1, properties=[1]), Item(2, properties=[1, 2, 3]), Item(513, properties=[2])]
    content = Iso(items, [ispe(616, 462), clap(615, 461), irot(1)]).content()
    assert read(content) == "HEIC 616 x 462"


def test_the_order_of_association_counts_and_not_that_of_the_properties() -> None:
    properties = [clap(461, 615), irot(1), ispe(616, 462)]
    assert read(Iso([Item(1, properties=[-3, -2, -1])], properties).content()) == "HEIC 461 x 615"
    assert read(Iso([Item(1, properties=[-3, -1, -2])], properties).content()) == "HEIC 462 x 461"


def test_the_first_primary_item_counts() -> None:
    file = Iso([Item(1, properties=[1]), Item(2, properties=[2])], [ispe(616, 462), ispe(9, 5)])
    file.changes = {b"pitm": lambda first: first + full(b"pitm", b"\0\2")}
    assert read(file.content()) == "HEIC 616 x 462"


def test_indices_without_a_property_are_ignored() -> None:
    assert read(Iso([Item(1, properties=[0, 9, 2, 127])], [PIXI, ispe(616, 462)]).content()) == "HEIC 616 x 462"


@pytest.mark.parametrize("wide", [0, 1])
@pytest.mark.parametrize("sign", [1, -1])
def test_wide_indices_and_numbers(wide: int, sign: int) -> None:
    properties = [PIXI] * 299 + [ispe(616, 462), clap(615, 461)]
    items = [Item(7, properties=[]), Item(300 + wide * 70_000, properties=[sign * 300, sign * 301])]
    file = Iso(items, properties, items[1].number, wide=wide, wide_indices=1, iloc_version=1 + wide)
    file.infe_version = 2 + wide
    assert read(file.content()) == "HEIC 615 x 461"


@pytest.mark.parametrize("tables", [[[1], [2]], [[2], [1]], [[2], [], [1]]])
def test_all_tables_of_associations_count(tables: list[list[int]]) -> None:
    file = sized(ispe(616, 462), clap(615, 461), tables=tables)
    assert read(file.content()) == "HEIC 615 x 461"


def test_associations_of_an_item_in_two_tables_add_up() -> None:
    file = Iso([Item(1, properties=[1])], [ispe(616, 462), clap(615, 461)])
    second = full(b"ipma", b"\0\0\0\1\0\1\1\2")
    file.changes = {b"ipma": lambda first: first + second}
    assert read(file.content()) == "HEIC 615 x 461"


@pytest.mark.parametrize("kind", [b"grid", b"iden", b"iovl"])
@pytest.mark.parametrize("method", [0, 1])
def test_a_derived_picture_has_a_size_of_its_own_and_needs_its_inputs(kind: bytes, method: int) -> None:
    tiles = [Item(number, properties=[1]) for number in (1, 2, 3)]
    items = [*tiles, Item(9, kind, [2], [8], method), Item(10, properties=[1]), Item(11, b"Exif")]
    references = [(b"dimg", 9, [1, 3]), (b"thmb", 10, [9]), (b"cdsc", 11, [9]), (b"dimg", 8, [11])]
    file = Iso(items, [ispe(512, 512), ispe(900, 500)], 9, references=references)
    content = file.content()
    assert read(content) == "HEIC 900 x 500"
    needed = file.end_of(9) if method == 0 else file.end_of(3)
    assert is_cut(content, needed - 1)


@pytest.mark.parametrize("wide", [0, 1])
def test_inputs_of_inputs_are_needed_too(wide: int) -> None:
    items = [Item(1, b"iden", [1]), Item(2, b"grid"), Item(3), Item(4), Item(5)]
    references = [(b"dimg", 2, [3, 4]), (b"dimg", 1, [2]), (b"dimg", 4, [1])]
    file = Iso(items, [ispe(900, 500)], references=references, wide=wide)
    assert is_cut(file.content(), file.end_of(4) - 1)


@pytest.mark.parametrize(("count", "expected"), [(8_191, "HEIC 9 x 5"), (8_192, "not_an_image: the picture consists")])
def test_a_picture_of_endless_inputs_is_refused(count: int, expected: str) -> None:
    items = [Item(1, b"grid", [1])]
    file = Iso(items, [ispe(9, 5)], references=[(b"dimg", 1, range(2, count + 2))])
    assert outcome(file.content()).startswith(expected)
    halves = [(b"dimg", 1, range(2, count // 2)), (b"dimg", 1, range(count // 2, count + 2))]
    assert outcome(replace(file, references=halves).content()).startswith(expected)


def test_a_chain_of_inputs_ends_with_the_budget() -> None:
    chain = [(b"dimg", number, [number + 1]) for number in range(1, 1_000)]
    file = Iso([Item(1, b"iden", [1])], [ispe(9, 5)], references=chain)
    assert outcome(file.content()).startswith("not_an_image: the file takes more than")
