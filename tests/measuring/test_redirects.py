"""Reading a Location as browsers do: resolved, escaped byte by byte as it came, once if it was sent several times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.urls import MAX_LOCATION_BYTES
from retail_pulse.measuring.download.urls import Target, redirect_url
from tests.measuring.test_urls import ANY_TEXT, VISIBLE, read, read_again

BASE = Target.parse("http://h.test:81/a//b/c?q=1")


def location(text: str) -> str:
    """Return where a Location leads to from `BASE`."""
    target = Target.parse(redirect_url(BASE, text), redirected=True)
    return f"{target.scheme}://{target.host_header}{target.path}"


class TestALocation:
    @pytest.mark.parametrize(
        ("text", "url"),
        [
            ("https://e.test/x", "https://e.test/x"),
            ("HTTPS://E.test", "https://e.test/"),
            ("//e.test/x", "http://e.test/x"),
            ("//e.test:81", "http://e.test:81/"),
            ("/x", "http://h.test:81/x"),
            ("//x/../y", "http://x/y"),
            ("x", "http://h.test:81/a//b/x"),
            ("x/y?z", "http://h.test:81/a//b/x/y?z"),
            ("./x", "http://h.test:81/a//b/x"),
            ("../x", "http://h.test:81/a//x"),
            ("../../../../x", "http://h.test:81/x"),
            (".", "http://h.test:81/a//b/"),
            ("?z", "http://h.test:81/a//b/c?z"),
            ("?", "http://h.test:81/a//b/c?"),
            ("?a:b", "http://h.test:81/a//b/c?a:b"),
            ("#f", "http://h.test:81/a//b/c?q=1"),
            ("/x#f", "http://h.test:81/x"),
            ("/x?a#b?c", "http://h.test:81/x?a"),
            ("/x:y", "http://h.test:81/x:y"),
            (";v", "http://h.test:81/a//b/;v"),
        ],
    )
    def test_is_relative_to_what_was_asked_for(self, text: str, url: str) -> None:
        assert location(text) == url

    @pytest.mark.parametrize(
        ("text", "url"),
        [
            ("http:x", "http://h.test:81/a//b/x"),
            ("http:/x", "http://h.test:81/x"),
            ("https:e.test/x", "https://e.test/x"),
            ("https:/e.test/x", "https://e.test/x"),
            ("http:///e.test/x", "http://e.test/x"),
            ("///e.test/x", "http://e.test/x"),
        ],
    )
    def test_with_a_wrong_number_of_slashes_is_read_as_by_browsers(self, text: str, url: str) -> None:
        assert location(text) == url

    @pytest.mark.parametrize(
        ("text", "sent"),
        [
            ("/a%2fb%7E%", "/a%2fb%7E%"),
            ("/a b", "/a%20b"),
            ("  /a b\t ", "/a%20b"),
            ("/ü".encode().decode("latin-1"), "/%C3%BC"),
            ("/\xfc", "/%FC"),
            ("/\xff\xfe", "/%FF%FE"),
            ("/\x80\x9f", "/%80%9F"),
            ("/日?本".encode("shift-jis").decode("latin-1"), "/%93%FA?%96{"),
            ("/[a]|b?{'}", "/[a]|b?{'}"),
            ('/"<{', "/%22%3C%7B"),
        ],
    )
    def test_is_escaped_byte_by_byte_as_it_came(self, text: str, sent: str) -> None:
        assert location(text) == f"http://h.test:81{sent}"

    def test_may_name_a_host_in_utf_8(self) -> None:
        assert location("http://bücher.test/ü".encode().decode("latin-1")) == "http://xn--bcher-kva.test/%C3%BC"
        with pytest.raises(MeasuringError, match="invalid host name"):
            location("http://b\xfccher.test/")

    @pytest.mark.parametrize("text", ["/x", "http://e.test/a b", "/a, b", "/a,b", "a, a, b", "/\xfc"])
    @pytest.mark.parametrize("times", [2, 3, 7])
    def test_that_was_sent_several_times_is_one(self, text: str, times: int) -> None:
        assert location(", ".join([text] * times)) == location(text)

    @pytest.mark.parametrize("text", ["/a, /b", "/a, /a/", "/a, /a, /b", "/a,/a", "/aa"])
    def test_that_was_sent_in_two_forms_is_not(self, text: str) -> None:
        assert location(text) == f"http://h.test:81{text.replace(' ', '%20')}"

    @pytest.mark.parametrize("text", ["/", "http://e.test/", "\xfc"])
    def test_has_at_most_8000_bytes_each(self, text: str) -> None:
        longest = text + "\xfc" * (MAX_LOCATION_BYTES - len(text))
        assert location(f" {longest} ") == location(f"{longest}, {longest}")
        assert location(longest).endswith("%FC" * (MAX_LOCATION_BYTES - len(text)))
        with pytest.raises(MeasuringError, match=r"h\.test redirects to a URL longer than 8,000 bytes"):
            location(longest + "a")

    def test_does_not_grow_without_end_by_relative_ones(self) -> None:
        target = BASE
        for _ in range(4):
            target = Target.parse(redirect_url(target, "a" * 7_000 + "/"), redirected=True)
        assert read(redirect_url(target, "a" * 7_000), redirected=True) is None

    @pytest.mark.parametrize(
        "text",
        [
            "ftp://e.test/", "file:///etc/passwd", "data:image/gif,a", "localhost:80/x", "http://", "http:///",
            "https:", "//", "///", "//:80/", "//u@e.test/", "https://u:p@e.test/", "/\\e.test/", "\\\\e.test",
            "http:\\\\e.test", "/a\tb", "/a\nb", "/a\x00b", "http://[::1", "//e.test:x/", "//a..b/",
        ],
    )  # fmt: skip
    def test_that_leads_nowhere_is_invalid(self, text: str) -> None:
        with pytest.raises(MeasuringError) as caught:
            location(text)
        assert caught.value.code is FailureCode.INVALID_URL

    @given(st.sampled_from(["", "//", "http://", "https://e.test/"]), ANY_TEXT)
    def test_that_a_location_leads_to_is_refused_or_read_the_same_again(self, start: str, text: str) -> None:
        came = (start + text).encode(errors="replace").decode("latin-1")
        if target := read(redirect_url(BASE, came), redirected=True):
            assert VISIBLE.fullmatch(target.path)
            assert read_again(target) == target
