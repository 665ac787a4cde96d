"""A mail server that keeps what it is sent: SMTP with STARTTLS and a login, on an event loop in a thread."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import email
import email.policy
import ssl
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage
from types import TracebackType


@dataclass(slots=True)
class Session:
    """What one client has said."""

    encrypted: bool = False
    user: str = ""
    sender: str = ""
    to: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message, to whom it was addressed, and by whom it was handed in over which connection."""

    message: EmailMessage
    to: tuple[str, ...]
    user: str
    encrypted: bool

    def part(self, kind: str) -> str:
        """The text of the first part of that content type."""
        for part in self.message.walk():
            if part.get_content_type() == kind:
                return str(part.get_content())
        raise LookupError(f"no {kind} in {self.message.get_content_type()}")


class Mail:
    """Listens on 127.0.0.1 as long as the context lasts; mail is taken after STARTTLS and the login only."""

    def __init__(self, certificate: ssl.SSLContext, port: int, user: str, password: str) -> None:
        self.port = port
        self.letters: list[Letter] = []
        self._context = certificate
        self._credential = f"\0{user}\0{password}".encode()
        self._user = user
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mail", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Mail:
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        self._server = starting.result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        mine = asyncio.current_task()
        for task in asyncio.all_tasks():
            if task is not mine:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session()
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await _say(writer, "220 mail.test ESMTP")
            while line := await reader.readline():
                if not await self._answer(line.decode().strip(), session, reader, writer):
                    break
        writer.close()

    async def _answer(
        self, line: str, session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        verb, _, rest = line.partition(" ")
        verb = verb.upper()
        if verb == "EHLO":
            await _say(writer, "250-mail.test", "250 AUTH PLAIN" if session.encrypted else "250 STARTTLS")
        elif verb == "STARTTLS":
            await _say(writer, "220 go on")
            await writer.start_tls(self._context)
            session.encrypted = True
        elif verb == "AUTH" and session.encrypted:
            right = base64.b64decode(rest.removeprefix("PLAIN ")) == self._credential
            session.user = self._user if right else ""
            await _say(writer, "235 welcome" if right else "535 wrong user or password")
        elif verb == "QUIT":
            await _say(writer, "221 bye")
            return False
        elif not session.user:
            await _say(writer, "530 STARTTLS and log in first")
        elif verb == "MAIL":
            session.sender, session.to = rest, []
            await _say(writer, "250 ok")
        elif verb == "RCPT":
            session.to.append(rest.partition(":")[2].strip("<> "))
            await _say(writer, "250 ok")
        elif verb == "DATA":
            await _say(writer, "354 go on, end with a dot")
            content = (await reader.readuntil(b"\r\n.\r\n")).removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
            message = email.message_from_bytes(content, EmailMessage, policy=email.policy.default)
            self.letters.append(Letter(message, tuple(session.to), session.user, session.encrypted))
            await _say(writer, "250 kept")
        else:
            await _say(writer, "502 not here")
        return True


async def _say(writer: asyncio.StreamWriter, *lines: str) -> None:
    writer.write("".join(f"{line}\r\n" for line in lines).encode())
    await writer.drain()
