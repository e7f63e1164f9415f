"""Who may ask the studio for what: hosts, a token, the addresses that are answered, and how large a request may be.

Gradio answers many more addresses than its pages use, some of which fetch what they are told to or change the page's
own code. :class:`Guard` stands before it and answers all but the few that are needed with one line.
"""

import hmac
import ipaddress
import json
import re
import secrets
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from vidgan.data.images import IMAGES
from vidgan.data.video import VIDEOS
from vidgan.errors import UserError
from vidgan.names import tell

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI application."""

LOOPBACK: Final = "127.0.0.1"
COOKIE: Final = "vidgan-studio"
SHORTEST: Final = 12
"""letters of a token; it is not to be guessed by trying"""
LARGEST_UPLOAD: Final = 64 * 2**20
"""bytes of a request with a file, and of the file"""
LARGEST_REQUEST: Final = 2**20
"""bytes of every other request"""
UPLOADS_KEPT: Final = 4 * LARGEST_UPLOAD
"""bytes of all files that were uploaded and are not yet removed"""

UPLOADS: Final = tuple(sorted({*VIDEOS, *IMAGES}))
"""suffixes of files that are taken"""
FILE_NAME: Final = re.compile(rb"""filename\*?=(?:utf-8'')?"?([^"\r\n;]{0,1000})""", re.IGNORECASE)
LONGEST_NAME: Final = 1100
"""bytes in which a file's name stands, where it is cut by the parts of a request"""

API: Final = "/gradio_api"
UPLOAD: Final = f"{API}/upload"
GET: Final = re.compile(
    rf"/(?:config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)?"
    rf"|/(?:assets|static|svelte)/[\w./@~-]+"
    rf"|{API}/(?:queue/data|queue/status|upload_progress|startup-events|theme\.css|app_id|info/?)"
    rf"|{API}/heartbeat/\w+"
)
"""addresses that pages read"""
POST: Final = re.compile(rf"{API}/(?:queue/join|cancel|reset/?|upload)")
"""addresses that pages send to"""
POLICY: Final = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "connect-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
"""what a browser may load for a page: nothing from elsewhere (Gradio's own pages need inline script and eval)"""
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Access(NamedTuple):
    """Where the studio listens, and who may use it."""

    host: str = LOOPBACK
    port: int = 7860
    token: str | None = None
    """what a user has to know; None where only this machine is listened to"""

    def check(self) -> None:
        """Raise :class:`UserError` unless others need a token that is long enough."""
        if not 0 <= self.port < 2**16:
            raise UserError(f"--port must be 0 to 65535, got {self.port}")
        if self.token is None and not self.is_local:
            raise UserError(
                f"--host {self.host} lets other machines in: give a --token, too, that users have to know"
            )
        if self.token is not None and (len(self.token) < SHORTEST or not self.token.isprintable()):
            raise UserError(f"--token must be at least {SHORTEST} letters that can be typed")

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine is listened to."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def admits(self, host: str) -> bool:
        """Whether a request may name ``host`` (``Host:``, without the port).

        Without a token only names of this machine: a page elsewhere may have a name of its own point here, and would
        then be read by the browser as if it were this one (DNS rebinding).
        """
        return self.token is not None or host in ("localhost", LOOPBACK, "[::1]", self.host)

    def knows(self, token: str) -> bool:
        """Whether this is the token, in a time that does not tell how much of it is right."""
        return self.token is not None and hmac.compare_digest(token.encode(), self.token.encode())


class RefusedError(Exception):
    """A request that is not answered; the message goes to who sent it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Guard:
    """Answers what is allowed by ``app`` and refuses the rest with one line.

    Args:
        pages: addresses of pages.
        uploads: folder of uploaded files.
    """

    def __init__(self, app: App, access: Access, pages: tuple[str, ...], uploads: Path) -> None:
        self.app, self.access, self.pages, self.uploads = app, access, pages, uploads.resolve()
        self._sessions: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # Gradio's pages use no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            headers = heads_of(scope)
            self.require_own(headers)
            if self.access.token is not None and not self.is_known(headers):
                await self.ask(scope, receive, send)
                return
            self.require_address(scope)
            limit = self.limit_of(scope, headers)
        except RefusedError as fault:
            await answer(send, fault.status, str(fault))
            return
        watched = Watched(receive, limit, scope["path"] == UPLOAD)
        answered = Answered(send, watched)
        try:
            await self.app(scope, watched.receive, answered.send)
        except Exception as fault:  # one request does not end the others
            if watched.fault is None:
                path = scope["path"][:99]
                tell(f"vidgan studio: {type(fault).__name__} while answering {path!r}", to=sys.stderr)
                watched.fault = RefusedError(500, "unexpected, and a fault of vidgan")
        if watched.fault is not None and not answered.begun:
            await answer(send, watched.fault.status, str(watched.fault))

    def require_own(self, headers: dict[str, str]) -> None:
        """Refuse what another page has sent, or sent to another name."""
        host = headers.get("host", "")
        try:
            name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
            if not self.access.admits(name):
                raise RefusedError(403, f"the studio is not called {name[:99]!r}")
            origin = headers.get("origin")
            if origin is not None and urlsplit(origin).netloc != host:
                raise RefusedError(403, "this request comes from another page")
        except ValueError:
            raise RefusedError(400, "no such host") from None

    def is_known(self, headers: dict[str, str]) -> bool:
        """Whether a request comes from who has given the token before, or gives it as ``Authorization: Bearer``."""
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.access.knows(given.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and cookie.value in self._sessions

    async def ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask for the token, and take it."""
        if scope["method"] != "POST" or scope["path"] != "/login":
            page = "text/html" in heads_of(scope).get("accept", "")
            return await (answer_html(send, 401, LOGIN) if page else answer(send, 401, "give the token"))
        body = await read(Watched(receive, 4096).receive)
        given = parse_qs(body.decode(errors="replace"), max_num_fields=4).get("token", [""])[0]
        if not self.access.knows(given):
            return await answer_html(send, 401, LOGIN.replace("<!--fault-->", "That is not the token."))
        # The cookie is a name of its own, so that the token is on its way once.
        name = secrets.token_urlsafe(32)
        self._sessions.add(name)
        cookie = f"{COOKIE}={name}; HttpOnly; SameSite=Strict; Path=/"
        return await answer(send, 303, "", [(b"location", b"/"), (b"set-cookie", cookie.encode())])

    def require_address(self, scope: Scope) -> None:
        """Refuse what no page of the studio asks for."""
        path, method = str(scope["path"]), scope["method"]
        if method in ("GET", "HEAD"):
            known = path.rstrip("/") in self.pages or GET.fullmatch(path) or self.is_upload(path)
            if known and ".." not in path.split("/"):
                return
        elif method == "POST" and POST.fullmatch(path):
            return
        raise RefusedError(404, "the studio has no such address")

    def is_upload(self, path: str) -> bool:
        """Whether an address is that of a file that was uploaded, symlinks resolved."""
        before, given, name = path.partition(f"{API}/file=")
        if before or not given or "\0" in name:
            return False
        file = Path(unquote(name)).resolve()
        return file.is_relative_to(self.uploads) and file.is_file()

    def limit_of(self, scope: Scope, headers: dict[str, str]) -> int:
        """Bytes that a request may have; refuses one that says to have more, and uploads where there are too many."""
        upload = scope["path"] == UPLOAD
        limit = LARGEST_UPLOAD if upload else LARGEST_REQUEST
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            raise RefusedError(400, "the length is no number")
        if len(length) > 15 or int(length) > limit:
            raise RefusedError(413, f"that is too large: at most {limit // 2**20} MiB")
        if upload and bytes_in(self.uploads) + int(length) > UPLOADS_KEPT:
            raise RefusedError(507, "too many uploaded files are kept: try again in some minutes")
        return limit


LOGIN: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,"><title>vidgan studio</title>
<style>body { font: 1rem system-ui, sans-serif; max-width: 22rem; margin: 18vh auto; padding: 0 1rem; }
input, button { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; margin-top: .5rem; }</style></head>
<body><main><h1>vidgan studio</h1><form method="post" action="/login">
<label>Token <input type="password" name="token" autocomplete="current-password" autofocus required></label>
<button>Open</button></form><p role="alert"><!--fault--></p></main></body></html>
"""


def heads_of(scope: Scope) -> dict[str, str]:
    """A request's headers, the last of each name."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def bytes_in(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


class Watched:
    """What a request sends, to its end or to where it is refused.

    Args:
        most: bytes, whatever length it told.
        upload: whether it sends files, whose names have to end as those of videos and images.
    """

    def __init__(self, receive: Receive, most: int, upload: bool = False) -> None:
        self._receive, self._most, self._upload = receive, most, upload
        self._seen, self._end = 0, b""
        self.fault: RefusedError | None = None
        """why it was refused"""

    async def receive(self) -> Message:
        """The next message; that the other side has left where it is refused."""
        message = await self._receive()
        body = message.get("body", b"")
        self._seen += len(body)
        if self._seen > self._most:
            self.fault = RefusedError(413, f"that is too large: at most {self._most // 2**20} MiB")
        if self._upload:
            window = self._end + body
            self._end = window[-LONGEST_NAME:]
            for found in FILE_NAME.finditer(window):
                suffix = Path(found[1].decode(errors="replace")).suffix.lower()
                if suffix not in UPLOADS:
                    kind = suffix[:20] or "a file without suffix"
                    self.fault = RefusedError(415, f"{kind!r} is no video or image that is read here")
        return message if self.fault is None else {"type": "http.disconnect"}


class Answered:
    """What the application answers, with headers that keep a browser from loading anything from elsewhere; nothing of
    it where the request was refused meanwhile."""

    def __init__(self, send: Send, watched: Watched) -> None:
        self._send, self._watched = send, watched
        self.begun = False

    async def send(self, message: Message) -> None:
        """Pass on a message."""
        if self._watched.fault is not None and not self.begun:
            return
        self.begun = True
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
        await self._send(message)


async def read(receive: Receive) -> bytes:
    """The body of a request."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message["type"] == "http.request" and message.get("more_body", False)
    return body


async def answer(
    send: Send, status: int, message: str, more: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Answer with a line, as the JSON that Gradio's pages show."""
    body = json.dumps({"detail": message}).encode()
    await _respond(send, status, b"application/json", body, more or [])


async def answer_html(send: Send, status: int, page: str) -> None:
    """Answer with a page."""
    await _respond(send, status, b"text/html; charset=utf-8", page.encode(), [])


async def _respond(
    send: Send, status: int, kind: bytes, body: bytes, more: list[tuple[bytes, bytes]]
) -> None:
    length = str(len(body)).encode()
    heads = [(b"content-type", kind), (b"content-length", length), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": [*heads, *more, *HEADERS]})
    await send({"type": "http.response.body", "body": body})
