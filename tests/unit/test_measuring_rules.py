"""Sizes and ends of intact and cut files, and the rule on addresses."""

import ipaddress

import pytest

from local.images.pictures import Format, make_image
from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.outcomes import Measured
from retail_pulse.measuring.download.addresses import is_allowed
from retail_pulse.measuring.formats.size import SizeReader

FORMATS = [Format.JPEG, Format.PNG, Format.GIF, Format.BMP, Format.TIFF, Format.WEBP]


def read(content: bytes, block: int) -> Measured:
    with SizeReader(max_side=10_000) as reader:
        for start in range(0, len(content), block):
            reader.feed(content[start : start + block])
        return reader.result()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("block", [7, 1_000, 10**9])
def test_an_intact_file_has_its_size_however_it_comes(kind: Format, block: int) -> None:
    content = make_image(kind, 60, 40, bytes_at_least=9_000)
    measured = read(content, block)
    assert (measured.width, measured.height, measured.perimeter, measured.bytes) == (60, 40, 200, len(content))


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind is not Format.TIFF])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_file_is_truncated(kind: Format, share: float) -> None:
    content = make_image(kind, 60, 40, bytes_at_least=9_000)
    with pytest.raises(MeasuringError) as caught:
        read(content[: int(len(content) * share)], 1_000)
    assert caught.value.code is FailureCode.TRUNCATED


def test_a_jpeg_with_a_video_behind_it_is_whole() -> None:
    content = make_image(Format.JPEG, 60, 40, trailer=5_000)
    assert read(content, 1_000).bytes == len(content)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", FailureCode.NOT_AN_IMAGE),
        (b"<!doctype html><html></html>" * 9, FailureCode.NOT_AN_IMAGE),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>" * 9, FailureCode.UNSUPPORTED_FORMAT),
        (b"8BPS" + bytes(60), FailureCode.UNSUPPORTED_FORMAT),
    ],
)
def test_what_is_no_measured_image_is_refused(content: bytes, code: FailureCode) -> None:
    with pytest.raises(MeasuringError) as caught:
        read(content, 100)
    assert caught.value.code is code


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.255.255", "192.0.0.8",
        "192.168.1.1", "198.19.0.1", "203.0.113.9", "224.0.0.1", "255.255.255.255", "::", "::1",
        "::ffff:169.254.169.254", "::169.254.169.254", "::ffff:0:169.254.169.254", "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe", "fe80::1%eth0", "fd00:ec2::254", "2001:0:4136:e378:8000:63bf:3f57:fefe",
        "2002:a9fe:a9fe::1", "2001:db8::1", "ff02::1", "168.63.129.16", "::ffff:168.63.129.16",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_allowed(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "172.32.0.0", "168.63.129.15", "168.63.129.17", "2606:4700::1111", "::ffff:8.8.8.8"]
)
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_allowed(address)


def test_a_network_that_is_allowed_holds_its_addresses_alone() -> None:
    loopback = [ipaddress.ip_network("127.0.0.0/8")]
    assert is_allowed("127.0.0.1", loopback)
    assert is_allowed("::ffff:127.0.0.1", loopback)
    assert not is_allowed("169.254.169.254", loopback)
