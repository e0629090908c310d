"""The running program, from the first signal to the last.

SIGTERM and SIGINT stop it: no new clients, messages under way finish within `limits.drain`, then whoever is
left is cut off; a second signal cuts at once. SIGHUP reads the configuration again: if anything is wrong
with it nothing changes, and the log says what; else it holds for new sessions.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from typing import Any

from twisted.internet.asyncioreactor import AsyncioSelectorReactor

from mailweir import log, metrics
from mailweir.app.config import Configuration
from mailweir.app.doors import Doors, Unable
from mailweir.app.generation import Generation
from mailweir.app.lag import Lag
from mailweir.app.reactor import asyncio_reactor, raise_open_files, settle
from mailweir.app.reading import Reading, read
from mailweir.chain.mistakes import PluginError
from mailweir.net.certificates import LOOK
from mailweir.net.register import Register
from mailweir.net.tls import CertificateUnusable
from mailweir.spool import Spool
from mailweir.version import VERSION

OK, FAILURE, CONFIG = 0, 1, 78
TICK = 1.0
"""Seconds between two looks at the spool, and at the generations that have had their day."""
FAREWELL = 10.0
"""Seconds that plugins have for what they are told last."""
THREADS = 5.0
"""Seconds that their threads have to end, after all else has."""


def run(file: str) -> int:
    """Run with the configuration `file` until a signal ends it; gives the exit code."""
    reactor = asyncio_reactor()
    reading = read(file)
    for mistake in reading.mistakes:
        print(mistake, file=sys.stderr)
    if reading.configuration is None:
        return CONFIG
    service = Service(file, reactor)
    reactor.callLater(0, service.begin, reading.configuration, reading)
    reactor.run(installSignalHandlers=False)
    log.flush()
    return service.code


class Service:
    """What outlives sessions and generations. Plugins and the admin window see its attributes."""

    def __init__(self, file: str, reactor: AsyncioSelectorReactor) -> None:
        self.code = FAILURE
        self.unready = "starting"
        self._file = file
        self._reactor = reactor
        self._register = Register()
        self._doors = Doors(self._register, self, reactor)
        self._spool = Spool()
        self._generations: list[Generation] = []
        self._work: asyncio.Task[None]
        self._hurry: asyncio.Future[None] | None = None

    @property
    def listeners(self) -> list[str]:
        return list(self._doors.listeners)

    def begin(self, configuration: Configuration, reading: Reading) -> None:
        """Start; called by the reactor once it runs."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_unhandled)
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        log.setup(configuration.log.format, configuration.log.level, self._reactor.callLater)
        log.bridge()
        self._do(self._begin(configuration, reading))

    def stop(self) -> None:
        """The first call lets messages finish, the second does not."""
        if self._hurry is None:
            self._hurry = asyncio.get_running_loop().create_future()
            self._do(self._stop(self._work, self._hurry))
        elif not self._hurry.done():
            self._hurry.set_result(None)

    def reload(self) -> None:
        """Read the configuration again, after whatever is under way."""
        if self._hurry is None:
            self._do(self._reload(self._work))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = asyncio.get_running_loop().create_task(work)
        self._work.add_done_callback(self._done)

    def _done(self, work: "asyncio.Task[None]") -> None:
        """A mistake of ours while starting or stopping ends the program, while reading again it does not."""
        error = work.exception()
        if error is not None:
            log.logger().error("internal error", exc_info=error)
            metrics.RELOAD_OK.cell().set(0)
            if self.unready:
                self._reactor.stop()

    async def _begin(self, configuration: Configuration, reading: Reading) -> None:
        try:
            await self._take(configuration, reading)
        except Unable as error:
            for reason in error.reasons:
                print(f"{self._file}: {reason}", file=sys.stderr)
            self._reactor.stop()
            return
        metrics.BUILD.cell(VERSION).set(1)
        metrics.RELOAD_OK.cell().set(1)
        self.code = OK
        self.unready = ""
        self._tick()
        self._reactor.callLater(LOOK, self._look)
        Lag(self._reactor).begin()
        settle()
        log.logger().info("started", version=VERSION, listeners=", ".join(self.listeners))

    async def _reload(self, before: "asyncio.Task[None]") -> None:
        await asyncio.wait([before])
        reading = read(self._file)
        reasons = [str(mistake) for mistake in reading.mistakes if not mistake.warning]
        if reading.configuration is not None:
            try:
                await self._take(reading.configuration, reading)
            except Unable as error:
                reasons = [f"{self._file}: {reason}" for reason in error.reasons]
        metrics.RELOAD_OK.cell().set(0 if reasons else 1)
        for reason in reasons:
            log.logger().error("configuration refused, nothing has changed", reason=reason)
        if not reasons:
            log.logger().info("configuration read again", listeners=", ".join(self.listeners))

    async def _take(self, configuration: Configuration, reading: Reading) -> None:
        """Let new sessions have this configuration; `Unable`, with nothing changed, if that can't be."""
        try:
            generation = Generation(
                configuration, reading.plugs, self._reactor, self._doors.is_own, self._spool
            )
        except (CertificateUnusable, PluginError) as error:
            raise Unable(str(error)) from error
        await self._doors.change(generation)
        log.setup(configuration.log.format, configuration.log.level, self._reactor.callLater)
        limits, room = configuration.limits, configuration.spool
        self._register.sessions = limits.sessions
        self._register.sessions_per_client = limits.sessions_per_client
        self._spool.directory = None if room.directory is None else str(room.directory)
        self._spool.memory, self._spool.total = room.memory, room.total
        warning = raise_open_files(limits.sessions)
        if warning:
            log.logger().warning("too few open files", reason=warning)
        self._generations.append(generation)
        generation.certificates.publish()
        generation.everybody.tell("started", service=self)

    async def _stop(self, before: "asyncio.Task[None]", hurry: "asyncio.Future[None]") -> None:
        await asyncio.wait([before])
        if not self._generations:
            return
        self.unready = "stopping"
        self._doors.shut()
        limit = self._generations[-1].configuration.limits.drain
        log.logger().info("stopping", sessions=len(self._register), drain=limit)
        for entry in self._register:
            entry.retire()
        await _first(limit, self._register.emptied(), hurry)
        if len(self._register):
            log.logger().warning("sessions cut off", sessions=len(self._register))
            for entry in self._register:
                entry.abort()
            await _first(TICK, self._register.emptied())
        told = []
        for generation in self._generations:
            generation.everybody.tell("stopping")
            told.append(generation.everybody.told().asFuture(asyncio.get_running_loop()))
        await _first(FAREWELL, asyncio.gather(*told), hurry)
        self._doors.shut_window()
        log.logger().info("stopped")
        self._leave_for_certain()
        self._reactor.stop()

    def _leave_for_certain(self) -> None:
        """Python waits at its end for threads that work; one of a plugin must not keep the program."""
        last = threading.Timer(THREADS, _leave, [self.code])
        last.daemon = True
        last.start()

    def _tick(self) -> None:
        metrics.SPOOL_OCTETS.cell().set(self._spool.used)
        if len(self._generations) > 1:
            self._let_go()
        self._reactor.callLater(TICK, self._tick)

    def _look(self) -> None:
        """Certificates are renewed without anybody telling us."""
        self._generations[-1].certificates.look()
        self._reactor.callLater(LOOK, self._look)

    def _let_go(self) -> None:
        """Plugins of a generation that was replaced, and whose last session has ended, hear the end."""
        served = {id(entry.welcome) for entry in self._register}
        for generation in self._generations[:-1]:
            if served.isdisjoint(map(id, generation.welcomes.values())):
                self._generations.remove(generation)
                generation.everybody.tell("stopping")


async def _first(limit: float, *futures: "asyncio.Future[Any]") -> None:
    """Wait until one of them is done, for `limit` seconds at most."""
    await asyncio.wait(futures, timeout=limit, return_when=asyncio.FIRST_COMPLETED)


def _leave(code: int) -> None:
    log.logger().error("a plugin's thread does not end; leaving without it")
    log.flush()
    os._exit(code)


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A mistake of ours in a callback of the loop; the connection that it was about is closed by the loop."""
    log.logger().error("internal error", reason=context["message"], exc_info=context.get("exception"))
