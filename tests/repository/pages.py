"""Reading the project's Markdown pages: fenced blocks, links, headings, tables.

Deliberately small: it knows the Markdown that this project writes, not all that exists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w+-]*) *$")
_MARKER = re.compile(r"^<!-- (?P<kind>no-run|output)(?:: (?P<reason>.+))? -->$")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *#*$")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: ``line`` is that of its first line of content, counted from 1."""

    page: Path
    line: int
    language: str
    text: str
    marker: str | None  # "no-run", "output" or None: the comment right above the fence
    reason: str | None


def pages() -> list[Path]:
    """Return the pages that readers see, README first."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [page for page in top if page.exists()] + sorted((ROOT / "docs").rglob("*.md"))


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found: list[Block] = []
    marker: re.Match[str] | None = None
    fence: re.Match[str] | None = None
    content: list[str] = []
    first = 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if fence is not None:
            if line.strip() == fence["ticks"]:
                text = "\n".join(content) + "\n"
                kind, reason = (marker["kind"], marker["reason"]) if marker else (None, None)
                found.append(Block(page, first, fence["language"], text, kind, reason))
                fence = marker = None
            else:
                content.append(line.removeprefix(fence["indent"]))
        elif opened := _FENCE.match(line):
            fence, content, first = opened, [], number + 1
        elif line.strip():
            marker = _MARKER.match(line.strip())
    if fence is not None:
        raise ValueError(f"{page}: the block that starts at line {first} is never closed")
    return found


def prose(page: Path) -> str:
    """Return the page without its fenced blocks and inline code."""
    kept: list[str] = []
    inside = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside:
            kept.append(re.sub(r"`[^`]*`", "``", line))
    return "\n".join(kept)


def links(page: Path) -> list[str]:
    """Return the targets of the page's links."""
    return [match["target"] for match in _LINK.finditer(prose(page))]


def anchors(page: Path) -> set[str]:
    """Return the anchors of the page's headings, made the way that code hosts make them."""
    found: set[str] = set()
    inside = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside and (heading := _HEADING.match(line)):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading["text"]).lower()
            found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


def table_rows(page: Path) -> list[list[str]]:
    """Return the cells of every table row of the page (a ``\\|`` inside a cell is a plain ``|``)."""
    rows: list[list[str]] = []
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and line.rstrip().endswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip()[1:-1])
            rows.append([cell.strip().replace("\\|", "|") for cell in cells])
    return rows
