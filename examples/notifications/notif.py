"""The service ``notif``, for an ASGI server: it notifies users by mail. README.md has the settings.

uvicorn examples.notifications.notif:app --port 8000
hypercorn examples.notifications.notif:app --bind 127.0.0.1:8000
"""

from __future__ import annotations

import os

from cqrs.demo.notifications.services.notif import create_app
from cqrs.demo.notifications.services.settings import Settings

app = create_app(Settings.from_environment(os.environ))
