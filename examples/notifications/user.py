"""The service ``user``, for an ASGI server: it knows users and their addresses, and can be made to fail.

uvicorn examples.notifications.user:app --port 8001
"""

from __future__ import annotations

from cqrs.demo.notifications.services.user import create_app

app = create_app()
