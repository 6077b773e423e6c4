"""Every Python snippet of the pages runs, and prints what the page says it prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository.pages import ROOT, blocks, pages
from tests.repository.run_page import run

# Raise it only with a reason that a reader of the page accepts.
MOST_SNIPPETS_NOT_RUN = 3

WITH_SNIPPETS = [page for page in pages() if any(block.language == "python" for block in blocks(page))]


@pytest.mark.parametrize("page", WITH_SNIPPETS, ids=lambda page: str(page.relative_to(ROOT)))
def test_snippets_of_the_page_run(page: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "tests/repository/run_page.py"), str(page)],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_readme_shows_python() -> None:
    assert ROOT / "README.md" in WITH_SNIPPETS


def test_snippets_that_are_not_run_are_few_and_say_why() -> None:
    skipped = [block for page in pages() for block in blocks(page) if block.marker == "no-run"]
    for block in skipped:
        assert block.reason, f"{block.page}:{block.line}: write <!-- no-run: reason -->"
    assert len(skipped) <= MOST_SNIPPETS_NOT_RUN, [f"{block.page}:{block.line}" for block in skipped]


def _page(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


def test_runner_shares_the_namespace_and_awaits_at_top_level(tmp_path: Path) -> None:
    page = _page(
        tmp_path,
        "```python\nimport asyncio\nx = 1\n```\nmore\n\n```python\nawait asyncio.sleep(0)\nprint(x)\n```\n\n"
        "<!-- output -->\n```text\n1\n```\n",
    )
    run(page)


def test_runner_refuses_output_that_differs_from_the_page(tmp_path: Path) -> None:
    page = _page(tmp_path, "```python\nprint(1)\n```\n<!-- output -->\n```text\n2\n```\n")
    with pytest.raises(AssertionError, match="page says"):
        run(page)


def test_runner_reports_the_line_of_the_page(tmp_path: Path) -> None:
    page = _page(tmp_path, "# Title\n\n```python\nx = 1\n1 / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as caught:
        run(page)
    assert caught.traceback[-1].lineno + 1 == 5


def test_runner_only_compiles_what_is_marked(tmp_path: Path) -> None:
    run(_page(tmp_path, "<!-- no-run: needs a server -->\n```python\n1 / 0\n```\n"))
    with pytest.raises(SyntaxError):
        run(_page(tmp_path, "<!-- no-run: needs a server -->\n```python\n1 /\n```\n"))


def test_unclosed_block_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="never closed"):
        blocks(_page(tmp_path, "```python\nx = 1\n"))
