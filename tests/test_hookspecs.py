"""What is promised about hooks: each is documented with its signature, and each is asked or told.

Also runs `plugins/README.md`: its plugins are loaded from its configuration, and its tests are run.
"""

import inspect
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mailweir import (
    Command,
    Credentials,
    Envelope,
    Message,
    Recipient,
    Reject,
    Route,
    Session,
    Transaction,
    hookimpl,
    hookspecs,
)
from mailweir.chain.chain import Chain, Plug
from mailweir.chain.loader import load
from mailweir.hookspecs import HOOKS, Service
from mailweir.relay.rules import Rules
from mailweir.testing.weir import Weir

README = (Path(__file__).parents[1] / "plugins" / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
FILES = {code.split()[1]: code for language, code in BLOCKS if language == "python"}


@pytest.mark.parametrize("hook", HOOKS)
def test_the_readme_has_every_hook_with_its_signature_and_sentence(hook: str) -> None:
    spec = HOOKS[hook]
    sentence = " ".join((inspect.getdoc(getattr(hookspecs, hook)) or "").split())
    assert sentence
    assert f"| `{hook}({', '.join(spec.arguments)})` | {spec.kind} | {sentence} |" in README


def test_the_readme_has_no_other_hook_and_their_order() -> None:
    assert re.findall(r"^\| `(\w+)\([\w, ]*\)` \| (?:ask|tell) \|", README, re.MULTILINE) == list(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_an_ask_hook_may_answer_and_a_tell_hook_may_not(hook: str) -> None:
    returns = inspect.signature(getattr(hookspecs, hook)).return_annotation
    assert (returns is None) == (HOOKS[hook].kind == "tell")


@pytest.fixture
def readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every file that the README shows, and what its settings name."""
    assert FILES
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    (tmp_path / "exceptions.txt").write_text("ann\n")
    monkeypatch.setenv("QUOTA_TOKEN", "swordfish")
    return tmp_path


def test_plugins_of_the_readme_load_as_its_configuration_says(readme: Path) -> None:
    entries = {}
    for language, code in BLOCKS:
        if language == "yaml":
            entries.update(YAML(typ="safe").load(code)["plugins"])
    assert list(entries) == ["noroot", "quota"]
    shown = {
        name: {"use": f"./{name}"} for name in FILES if "quota" not in name and not name.startswith("test")
    }
    plugs = []
    for name, entry in (entries | shown).items():
        options = {key: value for key, value in entry.items() if key != "use"}
        plugs.append(Plug(name, load(name, entry["use"], options, readme)))
    named = ["noroot", "quota"]
    shown_too = ["mailweir_noroot.py", "mailweir_archive.py", "mailweir_choosy.py"]
    assert Chain("mx", plugs).order()["rcpt_to"] == named + shown_too


def test_tests_of_the_readme_pass(readme: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(readme),
        str(readme),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=readme)
    count = README.count("\ndef test_")
    assert done.returncode == 0, done.stdout
    assert f"{count} passed" in done.stdout


def test_the_package_of_the_readme_names_its_plugin() -> None:
    (text,) = (code for language, code in BLOCKS if language == "ini")
    parser = ConfigParser()
    parser.read_string(text)
    assert parser["options.entry_points"][hookspecs.GROUP].split() == ["noroot", "=", "mailweir_noroot"]


class Everything:
    """Implements every hook with all its arguments, and notes which were heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @hookimpl
    def started(self, service: Service) -> None:
        self.heard.append("started")

    @hookimpl
    def connected(self, session: Session) -> None:
        self.heard.append("connected")

    @hookimpl
    def route(self, session: Session) -> None:
        self.heard.append("route")

    @hookimpl
    def session_opened(self, session: Session) -> None:
        self.heard.append("session_opened")

    @hookimpl
    def tls_started(self, session: Session, leg: str) -> None:
        self.heard.append("tls_started")

    @hookimpl
    def helo(self, session: Session, name: str) -> None:
        self.heard.append("helo")

    @hookimpl
    def login(self, session: Session, credentials: Credentials) -> None:
        self.heard.append("login")

    @hookimpl
    def logged_in(self, session: Session) -> None:
        self.heard.append("logged_in")

    @hookimpl
    def mail_from(self, session: Session, envelope: Envelope) -> None:
        self.heard.append("mail_from")

    @hookimpl
    def rcpt_to(self, session: Session, envelope: Envelope, recipient: Recipient) -> None:
        self.heard.append("rcpt_to")

    @hookimpl
    def command(self, session: Session, command: Command) -> None:
        self.heard.append("command")

    @hookimpl
    def message_head(self, session: Session, message: Message) -> None:
        self.heard.append("message_head")

    @hookimpl
    def message(self, session: Session, message: Message) -> None:
        self.heard.append("message")

    @hookimpl
    def sign(self, session: Session, message: Message) -> None:
        self.heard.append("sign")

    @hookimpl
    def message_done(self, session: Session, transaction: Transaction) -> None:
        self.heard.append("message_done")

    @hookimpl
    def session_closed(self, session: Session) -> None:
        self.heard.append("session_closed")

    @hookimpl
    def stopping(self) -> None:
        self.heard.append("stopping")


SMTP = """
    U> 220 mail.example.org
    C< 220 mail.example.org
    C> EHLO me
    U< EHLO me
    U> 250-mail.example.org|250-STARTTLS|250 AUTH PLAIN
    C< 250-mail.example.org|250-STARTTLS|250-PIPELINING|250 CHUNKING
    C> STARTTLS
    C< 220 ready to start TLS
    C. tls
    C> EHLO me
    U< EHLO me
    U> 250-mail.example.org|250 AUTH PLAIN
    C< 250-mail.example.org|250-AUTH PLAIN|250-PIPELINING|250 CHUNKING
    C> AUTH PLAIN AGFubgBzZWNyZXQ=
    U< AUTH PLAIN AGFubgBzZWNyZXQ=
    U> 235 ok
    C< 235 ok
    C> MAIL FROM:<bob@example.net>
    U< MAIL FROM:<bob@example.net>
    U> 250 ok
    C< 250 ok
    C> RCPT TO:<ann@example.org>
    U< RCPT TO:<ann@example.org>
    U> 250 ok
    C< 250 ok
    C> VRFY ann
    U< VRFY ann
    U> 252 maybe
    C< 252 maybe
    C> DATA
    C< 354 end data with <CR><LF>.<CR><LF>
    C> Subject: x||y|.
    U< DATA
    U> 354 go
    U< Subject: x||y|.
    U> 250 queued
    C< 250 queued
    C> QUIT
    U< QUIT
    U> 221 bye
    C< 221 bye
    C! gone
    U! gone
"""


def test_every_hook_is_implemented_here() -> None:
    assert list(Chain("mx", [Plug("all", Everything())]).order()) == list(HOOKS)


def test_one_smtp_session_meets_every_hook() -> None:
    weir = Weir(Path())
    plugin = Everything()
    weir.plug(plugin).play(SMTP, rules=Rules(upstream="server", starttls=True, hostname="weir.example"))
    heard = set(plugin.heard)
    assert heard == set(HOOKS) - {"started", "stopping", "route"}  # the first two are the program's
    # greetings are said again after STARTTLS; all others are met in the order of the manual
    firsts = [hook for hook in dict.fromkeys(plugin.heard) if hook != "helo"]
    assert firsts == [hook for hook in HOOKS if hook in heard and hook != "helo"]


def test_the_life_of_the_process_is_told() -> None:
    weir = Weir(Path())
    plugin = Everything()
    weir.plug(plugin)
    weir.tell("started")
    weir.tell("stopping")
    assert plugin.heard == ["started", "stopping"]


def test_route_is_asked_where_the_listener_says_so() -> None:
    class Router:
        @hookimpl
        def route(self, session: Any) -> Route:
            return Route("second")

    weir = Weir(Path())
    stage = weir.plug(Router()).play("U> 220 hi\nC< 220 hi", rules=Rules(upstream="route"))
    assert stage.dialled == ["second"]


@pytest.mark.parametrize(
    ("protocol", "script"),
    [
        ("pop3", "U> +OK hi\nC< +OK hi\nC> STAT\nC< -ERR no"),
        ("imap", "U> * OK hi\nC< * OK hi\nC> a NOOP\nC< a NO [CANNOT] no"),
    ],
)
def test_a_plugin_knows_no_protocol(protocol: Any, script: str) -> None:
    class No:
        @hookimpl
        def command(self) -> Reject:
            return Reject("no")

    weir = Weir(Path())
    weir.plug(No())
    weir.play(script, protocol)


def test_envelopes_are_changed_as_the_readme_says(readme: Path) -> None:
    weir = Weir(readme)
    for name in ("archive", "choosy"):
        weir.plug(load(name, f"./mailweir_{name}.py", {}, readme), name)
    weir.play("""
        U> 220 x
        C< 220 x
        C> EHLO me
        U< EHLO me
        U> 250-x|250-PIPELINING|250 DSN
        C< 250-x|250-PIPELINING|250-DSN|250 CHUNKING
        C> MAIL FROM:<list@example.net>|RCPT TO:<bob@old.example.org>|RCPT TO:<ann@example.org>|DATA
        U< MAIL FROM:<list@example.net>
        U> 250 ok
        C< 250 ok
        U< RCPT TO:<bob@example.org> ORCPT=rfc822;bob@old.example.org
        U> 250 bob
        U< RCPT TO:<archive@example.org> NOTIFY=NEVER
        U> 250 archive
        C< 250 bob
        U< RCPT TO:<ann@example.org>
        U> 250 ann
        C< 250 ann|354 end data with <CR><LF>.<CR><LF>
        C> List-Id: x||hi|.
        C< 550 no mailing lists (s1)
    """)
