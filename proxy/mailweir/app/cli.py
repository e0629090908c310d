"""The command line: run, check, plugins, demo.

Exit codes as sysexits.h has them: 0 all is well, 1 something failed, 64 wrong usage, 78 wrong configuration.
Mistakes and errors go to standard error, what was asked for to standard output. Only `run` and `demo` load
the reactor, with --probe `check`, and `run` does not load what prints tables.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from mailweir.version import VERSION

OK, FAILURE, USAGE, CONFIG = 0, 1, 64, 78


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="mailweir %(version)s")
def commands() -> None:
    """A programmable proxy for SMTP, LMTP, POP3 and IMAP."""


@commands.command()
@click.argument("file")
def run(file: str) -> int:
    """Run with the configuration FILE, in the foreground.

    SIGHUP reads FILE again, SIGTERM lets messages under way finish.
    """
    from mailweir.app import service

    return service.run(file)


@commands.command()
@click.argument("file")
@click.option("--probe", is_flag=True, help="Also reach every upstream, and say what it offers.")
def check(file: str, probe: bool) -> int:
    """Say all that is wrong with FILE, without running."""
    from mailweir.app import show

    reading = show.reading(file)
    if reading.configuration is None:
        return CONFIG
    show.summary(file, reading.configuration)
    if probe:
        from mailweir.app.probe import probe as reach
        from mailweir.app.reactor import asyncio_reactor

        findings = reach(reading.configuration, asyncio_reactor())
        show.findings(findings)
        return FAILURE if any(finding.failure for finding in findings) else OK
    return OK


@commands.command(short_help="Show the plugins; with FILE, who is asked what.")
@click.argument("file", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def plugins(file: str | None, as_json: bool) -> int:
    """Show which plugins are installed; with FILE, who is asked what, in which order."""
    from mailweir.app import show

    if file is None:
        show.installed(as_json)
        return OK
    reading = show.reading(file)
    if reading.configuration is None:
        return CONFIG
    show.order(reading.configuration, reading.plugs, as_json)
    return OK


@commands.command(short_help="Show a message's whole journey.")
@click.option("--once", is_flag=True, help="Don't stay up to play with.")
def demo(once: bool) -> int:
    """Send a message all the way through mailweir, with servers that come along."""
    from mailweir.app import demo

    return demo.main(once)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point."""
    try:
        code = commands.main(arguments, "mailweir", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        code = USAGE
    except (click.Abort, KeyboardInterrupt):
        code = FAILURE
    except BrokenPipeError:  # `mailweir plugins | head`: nothing more can be said, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILURE
    sys.exit(code or OK)
