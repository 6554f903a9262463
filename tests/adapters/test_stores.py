"""The store master: accepted forms of a file, and errors with the number of the line."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retail_pulse.domain.errors import RetailPulseError
from retail_pulse.domain.stores import Store
from retail_pulse.storage.store_master import StoreMaster, StoreMasterError

HEADER = "AreaCode,StoreName,StoreID\n"


def parse(text: str) -> StoreMaster:
    return StoreMaster.parse(text, "stores.csv")


def refusal(text: str) -> str:
    with pytest.raises(StoreMasterError) as caught:
        parse(text)
    return str(caught.value)


class TestTheCommittedFile:
    def test_it_loads_and_holds_the_stores_of_the_contracts_example(self) -> None:
        stores = StoreMaster.load()
        assert len(list(stores)) == 5000
        assert "S00339218" in stores
        assert "S01408764" in stores
        assert stores.get("S00339218") == Store("S00339218", "Manpreet Kirana Store", "7100015")

    def test_it_has_the_oddities_of_real_names(self) -> None:
        names = [store.name for store in StoreMaster.load()]
        assert any("," in name for name in names)
        assert any('"' in name for name in names)
        assert any("  " in name for name in names)
        assert any(not name.isascii() for name in names)

    def test_the_copy_next_to_the_module_is_the_one_at_the_root(self) -> None:
        root = Path(__file__).parents[2]
        assert (root / "layers/common/retail_pulse/storage/store_master.csv").resolve() == root / "store_master.csv"

    def test_every_store_is_found_in_its_area(self) -> None:
        stores = StoreMaster.load()
        areas = {store.area_code for store in stores}
        assert len(areas) > 10
        assert sum(len(stores.stores_of_area(area)) for area in areas) == len(list(stores))


class TestLookups:
    STORES = parse(HEADER + "7,One,S1\n8,Two,S2\n7,Three,S3\n")

    def test_a_store_is_found_by_its_id(self) -> None:
        assert self.STORES.get("S2") == Store(store_id="S2", name="Two", area_code="8")
        assert "S2" in self.STORES

    def test_an_unknown_id_is_none(self) -> None:
        assert self.STORES.get("s2") is None
        assert "s2" not in self.STORES

    def test_the_stores_of_an_area_come_in_the_order_of_the_file(self) -> None:
        assert [store.store_id for store in self.STORES.stores_of_area("7")] == ["S1", "S3"]

    def test_an_area_that_does_not_exist_has_no_stores(self) -> None:
        assert self.STORES.stores_of_area("9") == ()


ACCEPTED = {
    "LF": HEADER + '7,One,S1\n8,"Two, Sons",S2\n',
    "CRLF": 'AreaCode,StoreName,StoreID\r\n7,One,S1\r\n8,"Two, Sons",S2\r\n',
    "byte order mark": "\ufeff" + HEADER + '7,One,S1\n8,"Two, Sons",S2\n',
    "quoted header after a mark": '\ufeff"AreaCode","StoreName","StoreID"\n7,One,S1\n8,"Two, Sons",S2\n',
    "no final newline": HEADER + '7,One,S1\n8,"Two, Sons",S2',
    "outer spaces": 'AreaCode , StoreName, StoreID\n 7 , One ,S1\t\n8, "Two, Sons" , S2 \n',
    "spaces inside quotes": HEADER + '7,One,S1\n8,"  Two, Sons ",S2\n',
    "columns in another order": 'StoreID,AreaCode,StoreName\nS1,7,One\nS2,8,"Two, Sons"\n',
    "extra columns": 'City,AreaCode,StoreName,,StoreID\nX,7,One,,S1\n,8,"Two, Sons",y,S2\n',
    "blank lines": "\n  \n" + HEADER + '\n7,One,S1\n   \n8,"Two, Sons",S2\n\n\n',
    "empty fields at the end": HEADER + '7,One,S1,,\n8,"Two, Sons",S2, \n',
}


class TestWhatIsAccepted:
    @pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
    def test_what_a_spreadsheet_does_to_a_file_changes_nothing(self, text: str) -> None:
        assert tuple(parse(text)) == (Store("S1", "One", "7"), Store("S2", "Two, Sons", "8"))

    def test_inner_spaces_quotes_and_line_ends_belong_to_the_name(self) -> None:
        stores = parse(HEADER + '7,"A  ""B""\r\nC",S1\n')
        assert stores.get("S1") == Store("S1", 'A  "B"\r\nC', "7")

    def test_name_and_area_may_be_empty(self) -> None:
        assert parse(HEADER + ",,S1\n").get("S1") == Store("S1", "", "")

    def test_only_a_header_is_a_store_master_without_stores(self) -> None:
        assert list(parse(HEADER)) == []


LONE_COMMA = "line 2: row has 4 fields; the header has 3; quote a field that contains a comma"
SPLIT = ["AreaCode,StoreName,StoreID", '7,"One', "of", 'three lines",S1', '7,"Two', 'lines",S1']
NO_ID, SAVE = "line 1: column StoreID is missing", ": save the file with commas"
REFUSED = {
    "a missing column": ("AreaCode,StoreName\n7,One\n", "line 1: column StoreID is missing"),
    "another spelling of a column": ("AreaCode,Storename,StoreID\n", "line 1: column StoreName is missing"),
    "semicolons": ("AreaCode;StoreName;StoreID\n", f"{NO_ID}; the columns are separated by semicolons{SAVE}"),
    "tabs": ("AreaCode\tStoreName\tStoreID\n", f"{NO_ID}; the columns are separated by tabs{SAVE}"),
    "an empty text": ("", "line 1: column StoreID is missing"),
    "blank lines only": ("\n\n", "line 1: column StoreID is missing"),
    "a byte order mark only": ("\ufeff", "line 1: column StoreID is missing"),
    "a column twice": ("\nStoreID,AreaCode,StoreName,StoreID\n", "line 2: column StoreID appears more than once"),
    "an ID twice": (HEADER + "7,One,S1\n\n8,Two, S1 \n", "line 4: StoreID S1 is already on line 2"),
    "an empty ID": (HEADER + "7,One,S1\n7,One,", "line 3: StoreID is empty"),
    "an ID of spaces": (HEADER + "7,One,S1\n7,One,  ", "line 3: StoreID is empty"),
    "an empty ID in quotes": (HEADER + '7,One,S1\n7,One,""', "line 3: StoreID is empty"),
    "a row of empty fields": (HEADER + "7,One,S1\n,,", "line 3: StoreID is empty"),
    "a row too short": (HEADER + "7,One\n", "line 2: row has 2 fields; the header has 3"),
    "a row too long, as a comma without quotes makes it": (HEADER + "7,One, Sons,S1\n", LONE_COMMA),
    "an open quote": (HEADER + '7,One,S1\n8,"Two,S2\n9,Three,S3', "line 3: a quote is not closed"),
    "an open quote, LF": (HEADER + '7,One,S1\n8,"Two,S2\n9,Three,S3\n', "line 3: a quote is not closed"),
    "an open quote, CRLF": (HEADER + '7,One,S1\n8,"Two,S2\n9,Three,S3\r\n', "line 3: a quote is not closed"),
    "a quote that opens at the very end": (HEADER + '"', "line 2: a quote is not closed"),
    "the line that a record starts on, LF": ("\n".join(SPLIT), "line 5: StoreID S1 is already on line 2"),
    "the line that a record starts on, CRLF": ("\r\n".join(SPLIT), "line 5: StoreID S1 is already on line 2"),
}


class TestWhatIsRefused:
    @pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED)
    def test_a_file_that_breaks_a_rule_is_refused_with_the_line(self, text: str, problem: str) -> None:
        assert refusal(text) == f"stores.csv, {problem}"

    def test_the_error_has_all_problems(self) -> None:
        with pytest.raises(StoreMasterError) as caught:
            parse(HEADER + '7,One\n7,One,\n7,One,S1\n8,Two,S1\n7,"Three,S3')
        assert caught.value.problems == (
            "stores.csv, line 2: row has 2 fields; the header has 3",
            "stores.csv, line 3: StoreID is empty",
            "stores.csv, line 5: StoreID S1 is already on line 4",
            "stores.csv, line 6: a quote is not closed",
        )

    def test_a_quote_that_swallows_more_than_a_field_may_hold(self) -> None:
        text = HEADER + '7,"One,S1\n' + "8,Two,S2\n" * 20_000
        assert refusal(text).startswith("stores.csv, line 2: field larger than field limit")

    def test_it_is_an_error_of_the_domain(self) -> None:
        assert issubclass(StoreMasterError, RetailPulseError)


class TestFiles:
    def test_a_file_is_read_as_utf_8(self, tmp_path: Path) -> None:
        path = tmp_path / "stores.csv"
        path.write_bytes(b"\xef\xbb\xbf" + (HEADER + "7,Café Élise,S1\n").encode())
        assert StoreMaster.read(path).get("S1") == Store("S1", "Café Élise", "7")

    def test_another_encoding_is_refused_with_its_line(self, tmp_path: Path) -> None:
        path = tmp_path / "stores.csv"
        path.write_bytes((HEADER + "7,One,S1\n8,Café,S2\n").encode("latin-1"))
        with pytest.raises(StoreMasterError, match=r"^stores\.csv, line 3: the text is not UTF-8$"):
            StoreMaster.read(path)

    def test_a_missing_file_is_refused_by_name(self, tmp_path: Path) -> None:
        with pytest.raises(StoreMasterError, match=r"^stores\.csv cannot be read: No such file or directory$"):
            StoreMaster.read(tmp_path / "stores.csv")


# Left out is what the format cannot represent: outer spaces, and carriage returns, which the writer of Python 3.11 does
# not quote.
field = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=12).map(str.strip)
rows = st.lists(
    st.builds(Store, store_id=field.filter(bool), name=field, area_code=field), unique_by=lambda store: store.store_id
)


@given(stores=rows, crlf=st.booleans(), mark=st.booleans(), final=st.booleans(), quoting=st.booleans(), data=st.data())
@example([Store('"', 'a\n"b', "\ufeff")], False, True, False, True, None)
def test_whatever_was_written_is_read_again(
    stores: list[Store], crlf: bool, mark: bool, final: bool, quoting: bool, data: st.DataObject | None
) -> None:
    """GIVEN any stores in any accepted dialect WHEN they are read THEN they are the same stores."""
    columns = {"StoreID": "store_id", "StoreName": "name", "AreaCode": "area_code"}
    order = data.draw(st.permutations([*columns, "Extra"])) if data else [*columns]
    buffer = io.StringIO()
    writer = csv.writer(
        buffer, lineterminator="\r\n" if crlf else "\n", quoting=csv.QUOTE_ALL if quoting else csv.QUOTE_MINIMAL
    )
    writer.writerow(order)
    writer.writerows(
        [getattr(store, columns[column]) if column in columns else "x" for column in order] for store in stores
    )
    text = ("\ufeff" if mark else "") + buffer.getvalue()
    assert list(parse(text if final else text.rstrip("\r\n"))) == stores
