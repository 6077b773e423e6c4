"""Run the Python snippets of one page, in order, in one namespace: ``python run_page.py docs/page.md``.

Top-level ``await`` works. A snippet followed by ``<!-- output -->`` and a ``text`` block must print exactly
that. A snippet below ``<!-- no-run: reason -->`` is only compiled.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.repository.pages import Block, blocks

FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def execute(block: Block, namespace: dict[str, object], runner: asyncio.Runner) -> str:
    """Run one snippet and return what it printed."""
    # The padding makes line numbers in a traceback those of the page.
    source = "\n" * (block.line - 1) + block.text
    code = compile(source, str(block.page), "exec", flags=FLAGS, dont_inherit=True)
    printed = io.StringIO()
    if block.marker != "no-run":
        with contextlib.redirect_stdout(printed):
            pending = eval(code, namespace)
            if asyncio.iscoroutine(pending):
                runner.run(pending)
    return printed.getvalue()


def run(page: Path) -> None:
    """Run every snippet of ``page``; raise when one fails or prints something else than the page says."""
    # A real module, because pydantic and dataclasses look names up in the module of a class.
    module = types.ModuleType("page_" + page.stem.lower().replace("-", "_"))
    sys.modules[module.__name__] = module
    printed = ""
    with asyncio.Runner() as runner:
        for block in blocks(page):
            if block.language == "python":
                printed = execute(block, module.__dict__, runner)
                sys.stdout.write(printed)
            elif block.marker == "output" and printed.strip() != block.text.strip():
                raise AssertionError(
                    f"{page}:{block.line}: the snippet printed\n{printed}\nthe page says\n{block.text}"
                )


if __name__ == "__main__":
    run(Path(sys.argv[1]).resolve())
