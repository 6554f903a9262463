"""Reading URLs: what was written is what is asked for, and hosts are read before any rule is applied to them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.urls import MAX_LOCATION_BYTES, MAX_URL_BYTES
from retail_pulse.measuring.download.urls import Target, host_key

VISIBLE = re.compile(r"/[!-~]*")


def path(text: str) -> str:
    """Return the request target of a path and query."""
    return Target.parse(f"https://h.test{text}").path


def refusal(url: str, *, redirected: bool = False) -> str:
    """Return the message of a refused URL."""
    with pytest.raises(MeasuringError) as caught:
        Target.parse(url, redirected=redirected)
    assert caught.value.code is FailureCode.INVALID_URL
    return caught.value.message


class TestThePath:
    @pytest.mark.parametrize(
        "text",
        [
            "/", "/a/b.jpg", "/a%2fb", "/a%2Fb", "/%7Euser", "/%7euser", "/~user", "/100%", "/%", "/%zz", "/%2",
            "/%%20", "/%E3%81", "/%ff", "/%00", "/%252f", "/a[1].jpg", "/[", "/a]b", "/a|b", "/a//b///c", "//a",
            "/a;v=1", "/a:b", "/@me", "/!$&'()*+,;=:@-._~", "/A/B", "/.well-known/a", "/a/.b", "/...", "/a/..b",
            "/a/b..", "/%2e%2e/a", "/a/%2E", "/a?", "/?", "/a?b?c", "/a?b/../c", "/a?x=/./", "/a?'", "/a?[]={}|^`",
            "/a?x=%2f&y=%7E", "/a?X-Amz-Signature=0aF%2B%3D", "/a?name=o'neil", "/a?q=a+b", "/a?100%",
        ],
    )  # fmt: skip
    def test_is_what_was_written(self, text: str) -> None:
        assert path(text) == text

    @pytest.mark.parametrize(
        ("text", "sent"),
        [
            ("/a b  c", "/a%20b%20%20c"),
            ("/a b%20c", "/a%20b%20c"),
            ("/?a b", "/?a%20b"),
            ("/ümlaut", "/%C3%BCmlaut"),
            ("/ümlaut?ü", "/%C3%BCmlaut?%C3%BC"),
            ("/u\u0308", "/u%CC%88"),
            ("/日本", "/%E6%97%A5%E6%9C%AC"),
            ("/\u200c\u200d", "/%E2%80%8C%E2%80%8D"),
            ("/a\u202fb", "/a%E2%80%AFb"),
            ("/a\u00a0b\u3000c", "/a%C2%A0b%E3%80%80c"),
            ("/\u2028\u2029\ufeff", "/%E2%80%A8%E2%80%A9%EF%BB%BF"),
            ("/\u00ad\u061c\u202e", "/%C2%AD%D8%9C%E2%80%AE"),
            ("/👩‍👧", "/%F0%9F%91%A9%E2%80%8D%F0%9F%91%A7"),
            ("/\U0001fae8\U0001fabf", "/%F0%9F%AB%A8%F0%9F%AA%BF"),
            ("/?\ue000\U000f0000\U0010fffd", "/?%EE%80%80%F3%B0%80%80%F4%8F%BF%BD"),
            ("/\ufdd0\uffff", "/%EF%B7%90%EF%BF%BF"),
            ('/"<>^`{}', "/%22%3C%3E%5E%60%7B%7D"),
            ('/?"<>', "/?%22%3C%3E"),
            ("", "/"),
            ("?q", "/?q"),
        ],
    )
    def test_escapes_only_what_cannot_stand_in_a_request_line(self, text: str, sent: str) -> None:
        assert path(text) == sent

    @pytest.mark.parametrize(
        ("text", "sent"),
        [
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/../../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/..", "/"),
            ("/.", "/"),
            ("/a//../b", "/a/b"),
            ("/a/%2e/../b", "/a/b"),
            ("/a/../?x=/../y", "/?x=/../y"),
        ],
    )
    def test_has_no_dot_segments_as_in_browsers_and_curl(self, text: str, sent: str) -> None:
        assert path(text) == sent

    @pytest.mark.parametrize("text", ["/a#b", "/a#", "/a#b?c", "/a##", "/a#ü b"])
    def test_has_no_fragment(self, text: str) -> None:
        assert path(text) == "/a"

    @pytest.mark.parametrize("blank", [" ", "   ", "\t", "\r\n", "\n", " \t "])
    def test_has_no_blanks_around_it(self, blank: str) -> None:
        assert Target.parse(f"{blank}http://h.test/a b{blank}").path == "/a%20b"

    @pytest.mark.parametrize("character", [*map(chr, range(0x20)), "\x7f", *map(chr, range(0x80, 0xA0)), "\\"])
    @pytest.mark.parametrize("place", ["http://h{}.test/", "http://h.test/a{}b", "http://h.test/?a{}b"])
    def test_has_no_control_characters_and_no_backslashes(self, character: str, place: str) -> None:
        assert refusal(place.format(character)) == "the URL contains backslashes or control characters"

    def test_has_no_half_of_a_surrogate_pair(self) -> None:
        assert refusal("http://h.test/\ud800") == "invalid URL"

    def test_has_as_many_bytes_as_the_limit_before_it_is_escaped(self) -> None:
        start = "http://h.test/"
        longest = start + "ü" * ((MAX_URL_BYTES - len(start)) // 2)
        assert len(Target.parse(f" {longest} ").path) > MAX_URL_BYTES
        assert refusal(longest + "a") == "the URL is longer than 2,048 bytes"


class TestTheHost:
    @pytest.mark.parametrize(
        ("text", "host"),
        [
            ("OK.Test", "ok.test"),
            ("a_b.ok.test", "a_b.ok.test"),
            ("_dmarc.ok.test", "_dmarc.ok.test"),
            ("-a-.ok.test", "-a-.ok.test"),
            ("r3---sn-4g5e.ok.test", "r3---sn-4g5e.ok.test"),
            ("ok.test.", "ok.test."),
            ("localhost", "localhost"),
            ("a" * 63 + ".test", "a" * 63 + ".test"),
            ("bücher.test", "xn--bcher-kva.test"),
            ("BÜCHER.test", "xn--bcher-kva.test"),
            ("u\u0308.test", "xn--tda.test"),
            ("XN--BCHER-KVA.test", "xn--bcher-kva.test"),
            ("b%C3%BCcher.test", "xn--bcher-kva.test"),
            ("faß.test", "xn--fa-hia.test"),
            ("💩.test", "xn--ls8h.test"),
            ("a_ü.test", "xn--a_-yka.test"),
            ("日本。test", "xn--wgv71a.test"),
            ("ｏｋ．ｔｅｓｔ", "ok.test"),
            ("o\u00adk\u2060.t\ufe0fest", "ok.test"),
            ("ℓocalhoﬆ", "localhost"),
            ("%6Fk.test", "ok.test"),
            ("xn--", "xn--"),
            ("127.0.0.1.test", "127.0.0.1.test"),
            ("1.2.3.4x", "1.2.3.4x"),
            ("0x7g", "0x7g"),
        ],
    )
    def test_is_a_name_as_in_dns(self, text: str, host: str) -> None:
        assert Target.parse(f"http://{text}/").host == host

    @pytest.mark.parametrize(
        "text",
        [
            "127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0X7F.0.0.0x1", "0177.0.0.01", "017700000001", "2130706433",
            "0x7f000001", "127.0.0.1.", "127.000.000.001", "１２７.０.０.１", "127。0。0。1", "①②⑦.⓪.⓪.①",
            "𝟏𝟐𝟕.1", "0ｘ7f.1", "127.0.0.\u00ad1", "%31%32%37.1", "２１３０７０６４３３",
        ],
    )  # fmt: skip
    def test_is_an_ipv4_address_in_any_notation_of_the_resolver(self, text: str) -> None:
        target = Target.parse(f"http://{text}:8080/")
        assert (target.host, target.host_header) == ("127.0.0.1", "127.0.0.1:8080")

    @pytest.mark.parametrize(
        ("text", "host"),
        [("[::1]", "::1"), ("[0:0:0:0:0:0:0:1]", "::1"), ("[2606:4700::ABCD]", "2606:4700::abcd")],
    )
    def test_is_an_ipv6_address_without_brackets(self, text: str, host: str) -> None:
        target = Target.parse(f"https://{text}:8443/")
        assert (target.host, target.host_header, target.key) == (host, f"[{host}]:8443", f"[{host}]:8443")

    @pytest.mark.parametrize(
        "text",
        [
            "a..test", ".test", ".", "..", "a" * 64 + ".test", "a.b." * 64, "ü" * 64 + ".test", "ü" * 1000,
            "a b.test", "a%b.test", "%", "%2f", "a%2eb%00", "a%40b.test", "a%3A80", "%ff.test", "a^b.test",
            "a|b.test", 'a"b.test', "a<b.test", "{a}.test", "ok.test／x", "ok.test：80", "\u2100.test",
            "\u202elocalhost", "\u0661.0.0.1", "256.0.0.1", "1.2.3.4.5", "127.0.0.1.1", "18446744071562067969",
            "4294967296", "a.1", "08", "1.2.3.0x", "💩" * 60,
        ],
    )  # fmt: skip
    def test_is_not_what_no_resolver_finds(self, text: str) -> None:
        assert refusal(f"http://{text}/").startswith("invalid host name: ")

    @pytest.mark.parametrize("text", ["", ":80", "@", "@:80", "\u00ad", "\u200b\u2060"])
    def test_is_not_empty(self, text: str) -> None:
        assert refusal(f"http://{text}/") == "the URL has no host"

    @pytest.mark.parametrize(
        "text",
        [
            "[::1", "::1]", "[]", "[zz]", "[1.2.3.4]", "[::1%25lo]", "[::1%lo]", "[::１]", "[::1]x", "x[::1]",
            "[[::1]]", "ok.test:80:80", "ok.test:x", "ok.test:-1", "ok.test:65536", "ok.test:8 0", "ok.test:８０",
            "ok.test:0x50", "ok.test:" + "9" * 1000,
        ],
    )  # fmt: skip
    def test_has_valid_brackets_and_a_valid_port(self, text: str) -> None:
        assert refusal(f"http://{text}/") == "invalid URL"

    @pytest.mark.parametrize(
        "user", ["a", "a:b", ":", "127.0.0.1", "ok.test", "ok.test%2f", "a@b", "@", "%61", "a b", "ok.test／", "ü"]
    )
    def test_has_no_user(self, user: str) -> None:
        assert refusal(f"http://{user}@ok.test/") == "the URL contains a user name or password"

    def test_has_no_user_when_there_is_only_the_sign(self) -> None:
        assert Target.parse("http://@ok.test/").host == "ok.test"

    @pytest.mark.parametrize(
        "url", ["http://ok.test/@evil.test/", "http://ok.test?@evil.test/", "http://ok.test#@evil.test/"]
    )
    def test_ends_before_path_query_and_fragment(self, url: str) -> None:
        assert Target.parse(url).host == "ok.test"


@pytest.mark.parametrize(
    ("url", "port", "host_header", "key"),
    [
        ("http://h.test/", 80, "h.test", "h.test"),
        ("https://h.test/", 443, "h.test", "h.test"),
        ("http://h.test:/", 80, "h.test", "h.test"),
        ("http://h.test:80/", 80, "h.test", "h.test"),
        ("http://h.test:00080/", 80, "h.test", "h.test"),
        ("http://h.test:443/", 443, "h.test:443", "h.test"),
        ("https://h.test:80/", 80, "h.test:80", "h.test"),
        ("http://h.test:8080/", 8080, "h.test:8080", "h.test:8080"),
        ("http://h.test:0/", 0, "h.test:0", "h.test:0"),
        ("http://h.test:65535/", 65535, "h.test:65535", "h.test:65535"),
        ("http://H.test.:81/", 81, "h.test.:81", "h.test:81"),
    ],
)
def test_the_port_is_named_where_it_is_not_the_usual_one(url: str, port: int, host_header: str, key: str) -> None:
    target = Target.parse(url)
    assert (target.port, target.host_header, target.key, host_key(url)) == (port, host_header, key, key)


@pytest.mark.parametrize(
    "url", ["", " ", "h.test/", "/a", "ftp://h.test/", "httpſ://h.test/", "http:/h.test/", "http:h.test"]
)
def test_only_http_and_https_are_accepted(url: str) -> None:
    assert refusal(url) == "the URL does not start with http:// or https://"
    assert host_key(url) == ""


def test_the_scheme_may_be_in_capitals() -> None:
    assert Target.parse("HTTPS://h.test/").scheme == "https"


def test_the_key_of_a_long_redirect_is_found() -> None:
    assert host_key("http://h.test/" + "a" * MAX_LOCATION_BYTES) == "h.test"


ESCAPES = st.sampled_from(["%2f", "%2F", "%7e", "%7E", "%", "%%", "%zz", "%25"])
SEGMENT_CHARACTERS = "ABCxyz019-_~!$&'()*+,;=:@[]|%"
SEGMENTS = st.lists(st.one_of(ESCAPES, st.text(SEGMENT_CHARACTERS)), max_size=5).map("".join)
QUERIES = st.lists(st.one_of(ESCAPES, st.text(SEGMENT_CHARACTERS + "/?.{}^`")), max_size=5).map("".join)
# Mostly what has a meaning in URLs.
ANY_TEXT = st.lists(st.one_of(st.sampled_from("/?#:@.%[] ,\\"), st.characters()), max_size=40).map("".join)


def read(url: str, *, redirected: bool = False) -> Target | None:
    """Return what a URL asks for, None if it is refused."""
    try:
        return Target.parse(url, redirected=redirected)
    except MeasuringError as error:
        if error.code is not FailureCode.INVALID_URL:
            raise
        return None


def read_again(target: Target) -> Target:
    """Return what is read from the URL of what was read."""
    return Target.parse(f"{target.scheme}://{target.host_header}{target.path}", redirected=True)


class TestAnyURL:
    @given(st.lists(SEGMENTS, min_size=1, max_size=6), st.none() | QUERIES)
    def test_that_is_valid_keeps_path_and_query(self, segments: list[str], query: str | None) -> None:
        text = "".join(f"/{segment}" for segment in segments) + ("" if query is None else f"?{query}")
        assert path(text) == text
        assert path(path(text)) == text

    @given(st.sampled_from(["http://", "https://h.test/", "http://h.test/?", ""]), ANY_TEXT)
    def test_is_refused_or_read_the_same_again(self, start: str, text: str) -> None:
        if target := read(start + text):
            assert VISIBLE.fullmatch(target.path)
            assert target.host.isascii()
            assert target.host == target.host.lower()
            assert read_again(target) == target
