"""Links between the pages lead somewhere, and every page can be reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repository.pages import ROOT, anchors, links, pages


def broken(page: Path) -> list[str]:
    """Return the links of ``page`` whose file or heading does not exist."""
    bad: list[str] = []
    for target in links(page):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            bad.append(target)
    return bad


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    assert broken(page) == []


def test_every_page_of_the_docs_is_linked_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target.partition("#")[0]).resolve() for target in links(index)}
    missing = [str(page) for page in pages() if page.parent == index.parent and page not in linked | {index}]
    assert missing == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A title\n[a](#a-title) [b](#nothing) [c](missing.md) `[d](code.md)`\n", encoding="utf-8"
    )
    assert broken(page) == ["#nothing", "missing.md"]
