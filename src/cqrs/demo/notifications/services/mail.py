"""Mail: what is sent, and how."""

from __future__ import annotations

import asyncio
import smtplib
from email.message import EmailMessage

from cqrs.demo.notifications.services.settings import Settings

TIMEOUT = 5.0
"""Seconds that the mail server has for each step."""


class MailError(Exception):
    """The mail server did not take the mail."""


class Mailer:
    """Sends mail through an SMTP server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def send(self, identity: str, recipient: str, text: str) -> None:
        """Send a mail. Its ``Message-ID`` is made of ``identity``, so that one sent twice can be told.

        Raises:
            MailError: it was not taken, as far as is known.
        """
        message = EmailMessage()
        message["From"] = self._settings.sender
        message["To"] = recipient
        message["Subject"] = "Notification"
        message["Message-ID"] = f"<{identity}@notif>"
        message.set_content(text)
        try:
            await asyncio.to_thread(self._send, message)
        except (OSError, smtplib.SMTPException) as error:
            raise MailError(f"the mail server did not take the mail: {type(error).__name__}") from error

    def _send(self, message: EmailMessage) -> None:
        address = self._settings.smtp_host, self._settings.smtp_port
        # With a name of its own smtplib need not look one up, which can take seconds.
        with smtplib.SMTP(*address, local_hostname="notif", timeout=TIMEOUT) as server:
            server.send_message(message)
