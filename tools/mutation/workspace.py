"""A copy of the work tree in a temporary folder, in which sources may be changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

TOOLS = Path(__file__).parents[1]
PREFIX = "holdfast-mutation-"
LEFT_OUT = shutil.ignore_patterns(
    ".*", "*.egg-info", "build", "dist", "node_modules", "__pycache__", "holdfast-report.html"
)


class Workspace:
    """The copy; removed at the end of the ``with`` block.

    Args:
        root: The tree to be copied.
        revision: What git has under this name instead of what lies in the folder.
    """

    def __init__(self, root: Path, revision: str | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.root = self.folder / "tree"
        if revision is None:
            shutil.copytree(root, self.root, ignore=LEFT_OUT)
        else:
            packed = self.folder / "packed.tar"
            subprocess.run(["git", "archive", "-o", str(packed), revision], cwd=root, check=True)
            with tarfile.open(packed) as archive:
                archive.extractall(self.root, filter="data")
        # The worker runs in the copy; an older one would not understand this one.
        shutil.copytree(TOOLS, self.root / TOOLS.name, ignore=LEFT_OUT, dirs_exist_ok=True)

    def write(self, path: str, text: str) -> None:
        """Replace one file of the copy."""
        # The test process writes no byte code and finds none of changed files: sizes and times may be equal.
        (self.root / path).write_text(text, "utf-8")

    def environment(self) -> dict[str, str]:
        """Return the environment in which tests find the copy, not the installed (editable) package."""
        paths = [str(self.root / "src"), str(self.root)]
        kept = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
        return {**kept, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
