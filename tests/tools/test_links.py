"""Links in Markdown: every relative one leads to a file of this repository, and to a heading in it."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.checkout import ROOT
from tests.support.checkout import tracked_files

_CODE_BLOCK = re.compile(r"^(```+).*?^\1$", re.MULTILINE | re.DOTALL)
_CODE_SPAN = re.compile(r"`[^`\n]*`")
# Not those to GitHub's page of a workflow, which are relative to the page of the file there.
_LINK = re.compile(r"\]\((?![a-z]+:|\.\./\.\./actions/workflows/)([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(text: str) -> Iterator[str]:
    """Yield the anchors of a page's headings, as GitHub makes them."""
    seen: Counter[str] = Counter()
    for heading in _HEADING.findall(_CODE_BLOCK.sub("", text)):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w -]", "", shown).strip().lower().replace(" ", "-")
        yield f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor
        seen[anchor] += 1


def broken_links(page: Path) -> Iterator[str]:
    """Yield the relative links of a page whose file or heading does not exist."""
    text = page.read_text(encoding="utf-8")
    for link in _LINK.findall(_CODE_SPAN.sub("", _CODE_BLOCK.sub("", text))):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            yield link


def test_relative_links_lead_somewhere() -> None:
    pages = tracked_files("*.md")
    assert pages
    assert [f"{page.relative_to(ROOT)}: {link}" for page in pages for link in broken_links(page)] == []


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](other.md) [b](other.md#two-words) [c](#here)\n# Here", []),
        ("[a](missing.md)", ["missing.md"]),
        ("[a](other.md#three)", ["other.md#three"]),
        ("[a](#there)\n# Here", ["#there"]),
        ("[a](#here-1)\n# Here\n# Here", []),
        ("[a](#a-b)\n## `A`: [B](other.md)", []),
        ("[a](https://example.com/missing.md), `[b](missing.md)`\n```sh\n[c](missing.md)\n# No heading\n```", []),
    ],
)
def test_a_broken_link_is_found(tmp_path: Path, text: str, broken: list[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    (tmp_path / "other.md").write_text("# Two words!\n", encoding="utf-8")

    assert list(broken_links(page)) == broken
