"""AVIF and HEIC: ISO base media files (ISO/IEC 14496-12) that hold pictures (ISO/IEC 23008-12).

The reader walks into the few boxes that lead to the size, and keeps those that describe pictures. It skips all others,
such as color profiles of some megabytes. `iso_items` and `iso_tracks` read what it has kept.
"""

import struct
from contextlib import suppress

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.iso_items import Picture, read_picture
from retail_pulse.measuring.formats.iso_tracks import Track, read_track
from retail_pulse.measuring.formats.walker import Block, Walker
from retail_pulse.measuring.steps import StepBudget

# Brands say which pictures are in a file. The general ones leave open how these are coded.
_AVIF_BRANDS = frozenset({b"avif", b"avis", b"avio", b"MA1A", b"MA1B"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_CODING_BRANDS = _AVIF_BRANDS | _HEIC_BRANDS
_BRANDS = _CODING_BRANDS | {b"mif1", b"mif2", b"msf1", b"miaf"}
# Real files have some ten brands, of 4 bytes each.
_MAX_FTYP_BYTES = 4_096

# A phone's picture in 48 tiles takes 3 KB, one in 2,000 tiles 100 KB.
_MAX_KEPT_BYTES = 256 * 1024
# Memory of a kept box besides its bytes.
_BOX_BYTES = 100
# Boxes of interest, by the box around them and their own type: how many bytes of their content are kept at most; or, if
# they hold others, -1, less the bytes before these.
_PLACES = {
    b"meta": -5, b"meta/iprp": -1, b"iprp/ipco": -1,
    b"meta/pitm": 8, b"meta/iloc": _MAX_KEPT_BYTES, b"meta/iref": _MAX_KEPT_BYTES, b"meta/idat": 0,
    b"iprp/ipma": _MAX_KEPT_BYTES, b"ipco/ispe": 12, b"ipco/clap": 16, b"ipco/irot": 1,
    b"moov": -1, b"moov/trak": -1, b"trak/mdia": -1, b"mdia/minf": -1, b"minf/stbl": -1,
    b"trak/tkhd": 96, b"mdia/hdlr": 12, b"stbl/stsd": 44, b"stbl/stsc": _MAX_KEPT_BYTES,
    b"stbl/stsz": _MAX_KEPT_BYTES, b"stbl/stco": _MAX_KEPT_BYTES, b"stbl/co64": _MAX_KEPT_BYTES,
}  # fmt: skip
# The types of items are of interest only if the brands leave the coding open.
_PLACES_WITH_TYPES = {**_PLACES, b"meta/iinf": _MAX_KEPT_BYTES}

_BOX = struct.Struct(">I4s")
_HEADER_BYTES, _LARGE_HEADER_BYTES = 8, 16
# Beyond any 64-bit length: the end of a box that extends to the end of the file.
_ENDLESS = 2**65
# Boxes are counted in portions. Reading what was kept of them takes some steps, and one more for some bytes.
_PORTION = 64
_READ_STEPS, _BYTES_PER_STEP = 8, 8


class IsoReader(Walker):
    """Reads an AVIF or HEIC, which is complete if the bytes of its first picture, or of its animation, are there.

    See ISO/IEC 14496-12, sections 4.2 and 8.11. What follows the last box belongs to no picture, and neither does what
    is missing of a box that holds other things.
    """

    def __init__(self, head: bytes, budget: StepBudget) -> None:
        super().__init__(0, budget)
        self.reach = _HEADER_BYTES
        # The box that the position is in, how many it has had, and the boxes around it: their types and ends.
        self._parent, self._parent_end, self._siblings = b"", _ENDLESS, 0
        self._around: list[tuple[bytes, int]] = []
        self._boxes = 0
        # Start and end of the last box that is in no other.
        self._last = 0, 0
        self._kept: dict[bytes, list[bytes]] = {}
        self._room = _MAX_KEPT_BYTES
        self._properties: dict[int, tuple[bytes, bytes]] = {}
        self._idat_bytes = 0
        self._picture: Picture | None = None
        self._track: Track | None = None
        # Where the boxes end that describe pictures.
        self._described_end = 0
        length = int.from_bytes(head[:4])
        self._set_brands(head[_HEADER_BYTES:length], is_all=_HEADER_BYTES <= length <= len(head))

    @property
    def format(self) -> str:
        """The format: AVIF before HEIC, by the brands, and by how the picture is coded if they leave it open."""
        if not self._brands.isdisjoint(_AVIF_BRANDS):
            return "AVIF"
        found = self._picture or self._track
        return "AVIF" if found and found.is_av1 and self._brands.isdisjoint(_HEIC_BRANDS) else "HEIC"

    def _set_brands(self, ftyp: bytes, *, is_all: bool) -> None:
        # The main brand, its version, and all brands that the file is compatible with.
        self._brands = {ftyp[:4], *(ftyp[at : at + 4] for at in range(8, len(ftyp), 4))}
        self._places = _PLACES_WITH_TYPES if self._brands.isdisjoint(_CODING_BRANDS) else _PLACES
        if not is_all:
            self._places = {**self._places, b"ftyp": _MAX_FTYP_BYTES}
        elif self._brands.isdisjoint(_BRANDS):
            raise _unrecognized()

    def _step(self, data: Block, at: int) -> None:
        # All boxes that have arrived: a step for each of them would take three times as long.
        before, last, boxes = self._next - at, len(data) - _HEADER_BYTES, self._boxes
        parent, parent_end, siblings = self._parent, self._parent_end - before, self._siblings
        self.reach = _HEADER_BYTES
        while at <= last:
            boxes += 1
            if boxes % _PORTION == 0:
                self._budget.spend(_PORTION)
            length, kind = _BOX.unpack_from(data, at)
            header, end = _HEADER_BYTES, at + length
            if length < _HEADER_BYTES or end > parent_end:
                header, end = self._rare_header(data, at, parent, parent_end)
                if not header:
                    break
            if not parent:
                self._last = at + before, end + before
            kept = self._places.get(parent + kind)
            if kept is not None and kept < 0:
                self._around.append((parent, parent_end + before))
                parent, parent_end, siblings = kind + b"/", end, 0
                at += header - 1 - kept
            else:
                if kept is not None:
                    stop = min(end, at + header + kept)
                    if stop > len(data):
                        if stop - at > self._room:
                            raise _too_large()
                        self.reach = stop - at
                        break
                    self._keep(parent, kind, bytes(data[at + header : stop]), end - at - header, siblings)
                siblings += 1
                at = end
            # Fewer bytes than a header are padding.
            while parent and at + _HEADER_BYTES > parent_end:
                at = parent_end
                self._read_kept(parent, at + before)
                parent, parent_end = self._around.pop()
                parent_end -= before
        self._next, self._parent, self._parent_end, self._siblings = at + before, parent, parent_end + before, siblings
        self._boxes = boxes

    def _rare_header(self, data: Block, at: int, parent: bytes, parent_end: int) -> tuple[int, int]:
        """Return the length of a header and the end of its box; zeros when no complete header has arrived."""
        header, length = _HEADER_BYTES, int.from_bytes(data[at : at + 4])
        if length == 1:
            header = _LARGE_HEADER_BYTES
            if at + header > len(data):
                self.reach = header
                return 0, 0
            length = int.from_bytes(data[at + 8 : at + 16])
        # Length 0: to the end of the box around it.
        end = at + length if length else parent_end
        if at + header <= end <= parent_end:
            return header, end
        if parent:
            raise _invalid()
        self._ended = True  # trailing bytes that are not a box
        return 0, 0

    def _keep(self, parent: bytes, kind: bytes, content: bytes, length: int, siblings: int) -> None:
        self._room -= len(content) + _BOX_BYTES
        if self._room < 0:
            raise _too_large()
        if parent == b"ipco/":
            self._properties[siblings + 1] = kind, content
        elif kind == b"idat":
            self._idat_bytes = length
        elif kind == b"ftyp":
            self._set_brands(content, is_all=True)
        else:
            self._kept.setdefault(kind, []).append(content)

    def _read_kept(self, left: bytes, end: int) -> None:
        """Read what was kept of a box that ends here, if it describes pictures."""
        if left != b"meta/" and left != b"trak/":
            return
        self._budget.spend(_READ_STEPS + (_MAX_KEPT_BYTES - self._room) // _BYTES_PER_STEP)
        kept, self._kept, self._room = self._kept, {}, _MAX_KEPT_BYTES
        if end < _ENDLESS:
            self._described_end = end
        if left == b"trak/":
            if self._track is None:
                # A track that cannot be read is ignored: there may be others, or a picture.
                with suppress(LookupError, struct.error):
                    self._track = read_track(kept)
        elif b"pitm" in kept and self._picture is None:
            try:
                self._picture = read_picture(kept, self._properties, self._idat_bytes, self._budget)
            except (LookupError, ValueError, struct.error) as error:
                raise _invalid() from error
            self.size = self._picture.size

    def is_complete(self, length: int) -> bool:
        """Return whether the bytes of the first picture, or of all pictures of an animation, are there.

        Raises
        ------
        MeasuringError
            The file has no brand of pictures.
        """
        if self._brands.isdisjoint(_BRANDS):
            raise _unrecognized()
        if self._next == length:
            # The file's end is the end of these boxes too. If they cannot be read, it is cut between two of them.
            with suppress(MeasuringError):
                while self._parent and self._parent_end == _ENDLESS:
                    self._read_kept(self._parent, _ENDLESS)
                    self._parent, self._parent_end = self._around.pop()
        picture, track = self._picture, self._track
        if picture is None and track is None:
            # Without a description of pictures, the file is cut.
            return self._ended or (self._described_end > 0 and self._next <= length)
        end = self._described_end
        if track is not None:
            self.size = self.size or track.size
            end = max(end, track.end)
        if picture is not None:
            end = max(end, picture.end, picture.open_start + 1)
            last_start, last_end = self._last
            if last_start <= picture.open_start and length < last_end < _ENDLESS:
                return False
        return length >= end


def _unrecognized() -> MeasuringError:
    return MeasuringError(FailureCode.NOT_AN_IMAGE, "not a recognized image format")


def _invalid() -> MeasuringError:
    return MeasuringError(FailureCode.NOT_AN_IMAGE, "the boxes that hold the size are invalid")


def _too_large() -> MeasuringError:
    message = f"the boxes that describe the pictures are larger than {_MAX_KEPT_BYTES:,} bytes"
    return MeasuringError(FailureCode.NOT_AN_IMAGE, message)
