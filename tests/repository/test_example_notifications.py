"""What the page of the notifications example names is there."""

from __future__ import annotations

import dataclasses
import re

from cqrs.demo.notifications.services.settings import Settings
from tests.repository.pages import ROOT

FOLDER = ROOT / "examples/notifications"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert len(links) > 5
    assert [link for link in links if not (FOLDER / link).exists()] == []


def test_every_setting_is_named() -> None:
    for field in dataclasses.fields(Settings):
        assert f"`{field.name.upper()}`" in PAGE or f"`{field.name.upper()}=" in PAGE, field.name
