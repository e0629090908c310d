"""The keeper's window: /metrics for Prometheus, /health and /ready for whoever starts and stops us.

`/health` is 200 as long as the event loop runs. `/ready` is 200 while all listeners are open and new clients
are welcome, else 503; its text is the reason.
"""

from io import BytesIO
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from twisted.internet.interfaces import IReactorTime
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from mailweir import metrics

TEXT = "text/plain; charset=utf-8"


class Status(Protocol):
    """What the window may see of the running program."""

    @property
    def unready(self) -> str:
        """Why no client should be sent here now; empty if one may."""


class Window(Resource):
    """All pages; each is a method that gives code, form and octets."""

    isLeaf = True

    def __init__(self, status: Status) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._status = status
        self._registry = CollectorRegistry()
        self._registry.register(metrics.Everything())
        ProcessCollector(registry=self._registry)
        self._pages = {b"/metrics": self._metrics, b"/health": self._health, b"/ready": self._ready}

    def render(self, request: Request) -> bytes:
        code, form, octets = 404, TEXT, b"not found; there are /metrics /health /ready\n"
        page = self._pages.get(request.path)
        if page is not None and request.method not in (b"GET", b"HEAD"):
            request.setHeader("Allow", "GET, HEAD")
            code, octets = 405, b"GET is all there is\n"
        elif page is not None:
            code, form, octets = page(request)
        request.setResponseCode(code)
        request.setHeader("Content-Type", form)
        request.setHeader("Server", "mailweir")
        return octets

    def _metrics(self, request: Request) -> tuple[int, str, bytes]:
        """Ours, those of plugins, and the process's, in the form that the scraper takes."""
        try:
            encode, form = choose_encoder(request.getHeader("accept") or "")
        except Exception:  # a field that prometheus_client can't read; what it raises is not documented
            encode, form = choose_encoder("")
        return 200, form, encode(self._registry)

    def _health(self, request: Request) -> tuple[int, str, bytes]:
        return 200, TEXT, b"ok\n"

    def _ready(self, request: Request) -> tuple[int, str, bytes]:
        unready = self._status.unready
        return (503, TEXT, f"{unready}\n".encode()) if unready else (200, TEXT, b"ready\n")


class _Bodiless(Request):
    """A request whose body is of no interest: Twisted would store it in a file, however long it is."""

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        pass


class _OneAnswer(HTTPChannel):
    """A connection for one request: thousands in one segment would be answered before mail has its turn."""

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        return False


class _Site(Site):
    protocol = _OneAnswer  # type: ignore[assignment]  # Twisted's own would look for HTTP/2 first


def site(status: Status, clock: IReactorTime) -> Site:
    """The factory of the window's connections."""
    served = _Site(Window(status), _Bodiless, reactor=clock)  # type: ignore[no-untyped-call]
    served.noisy = False
    return served
