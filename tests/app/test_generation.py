"""What a configuration becomes for those who come: rules, and where they are sent."""

from pathlib import Path

import pytest
from twisted.internet.task import Clock

from mailweir.app.generation import Generation
from mailweir.app.reading import read
from mailweir.net.addresses import Tcp
from mailweir.relay.conversation import Conversation
from mailweir.relay.rules import Rules
from mailweir.relay.side import Relay
from mailweir.session import Address, Session
from mailweir.spool import Spool
from mailweir.testing.sides import HeardSide

TEXT = """
listeners:
  plain: {protocol: smtp, listen: 127.0.0.1:2525, upstream: mta}
  strict: {protocol: smtp, listen: ['127.0.0.1:2526', '[::1]:2526'], upstream: mta, unknown: refuse}
  judged: {protocol: smtp, listen: 127.0.0.1:2527, upstream: mta, plugins: [judge]}
  shadowed: {protocol: smtp, listen: 127.0.0.1:2528, upstream: mta, plugins: [shadow]}
  secured: {protocol: imap, listen: 127.0.0.1:2529, upstream: mda, tls: starttls, require_tls: true}
  routed: {protocol: smtp, listen: 127.0.0.1:2530, upstream: route, plugins: [router]}
  delivery: {protocol: lmtp, listen: 127.0.0.1:2531, upstream: box}
  onward: {protocol: lmtp, listen: 127.0.0.1:2532, upstream: next}
upstreams:
  mta: {address: 127.0.0.1:25}
  mda: {address: 127.0.0.1:143, tls: starttls, verify: false}
  box: {address: 127.0.0.1:24, protocol: lmtp, tls: starttls, verify: false}
  next: {address: 127.0.0.1:26, protocol: smtp}
plugins:
  judge: {use: ./plugins.py:Judge}
  shadow: {use: ./plugins.py:Judge, mode: shadow}
  router: {use: ./plugins.py:Router}
certificates:
  - {certificate: one.pem, key: one.key}
limits: {message_size: 1MB, before_login: 5, client_idle: 7, upstream_reply: 8}
"""
PLUGINS = """
from mailweir import Route, hookimpl

class Judge:
    @hookimpl
    def mail_from(self):
        return None

class Router:
    @hookimpl
    def route(self):
        return Route("box")
"""


@pytest.fixture
def generation(folder: Path) -> Generation:
    (folder / "plugins.py").write_text(PLUGINS)
    (folder / "mailweir.yaml").write_text(TEXT)
    reading = read(folder / "mailweir.yaml")
    assert reading.configuration is not None, reading.mistakes
    return Generation(reading.configuration, reading.plugs, Clock(), lambda address: False, Spool())


def arrive(generation: Generation, listener: str) -> tuple[Conversation, list[str]]:
    """The relay of a client that has just come, and the upstreams it dialled."""
    dialled: list[str] = []

    def dial(relay: Relay, upstream: str) -> None:
        dialled.append(upstream)

    client = Address("192.0.2.1", 40000)
    welcome = generation.welcomes[listener]
    session = Session("s", listener, welcome.protocol, client, Address("192.0.2.2", 25), 0.0)
    relay = welcome.make(session, HeardSide(), dial)
    assert isinstance(relay, Conversation)
    relay.arrived()
    return relay, dialled


def rules(generation: Generation, listener: str) -> Rules:
    return arrive(generation, listener)[0].rules


def test_rules_say_what_the_configuration_says(generation: Generation) -> None:
    plain, secured = rules(generation, "plain"), rules(generation, "secured")
    assert (plain.upstream, plain.upstream_tls, plain.starttls, plain.require_tls) == (
        "mta",
        "none",
        False,
        False,
    )
    assert (secured.upstream_tls, secured.starttls, secured.require_tls) == ("starttls", True, True)
    assert (plain.message_size, plain.before_login, plain.client_idle, plain.upstream_reply) == (
        10**6,
        5,
        7,
        8,
    )


def test_unknown_is_refused_where_somebody_enforces(generation: Generation) -> None:
    refuse = {name for name in generation.welcomes if rules(generation, name).refuse_unknown}
    assert refuse == {"strict", "judged", "routed"}


def test_an_upstream_named_by_a_plugin_brings_its_tls_and_its_protocol(generation: Generation) -> None:
    relay, dialled = arrive(generation, "routed")
    assert dialled == ["box"] and relay.rules.upstream_tls == "starttls"
    assert not relay.rules.upstream_verified
    assert relay.rules.smtp.upstream_protocol == "lmtp"
    assert arrive(generation, "plain")[1] == ["mta"]


@pytest.mark.parametrize(("listener", "spoken"), [("plain", ""), ("delivery", ""), ("onward", "smtp")])
def test_what_upstream_speaks_is_said_where_it_is_not_what_clients_speak(
    generation: Generation, listener: str, spoken: str
) -> None:
    assert rules(generation, listener).smtp.upstream_protocol == spoken


@pytest.mark.parametrize(
    ("tls", "verified"),
    [
        ("none", False),
        ("starttls", True),
        ("implicit, verify: one.pem", True),
        ("implicit, verify: no", False),
    ],
)
def test_a_certificate_was_shown_where_one_is_looked_at(folder: Path, tls: str, verified: bool) -> None:
    text = TEXT.replace("mta: {address: 127.0.0.1:25}", f"mta: {{address: 127.0.0.1:25, tls: {tls}}}")
    (folder / "plugins.py").write_text(PLUGINS)
    (folder / "mailweir.yaml").write_text(text.replace("verify: no", "verify: false"))
    reading = read(folder / "mailweir.yaml")
    assert reading.configuration is not None, reading.mistakes
    made = Generation(reading.configuration, reading.plugs, Clock(), lambda address: False, Spool())
    assert rules(made, "plain").upstream_verified is verified


def test_places(generation: Generation) -> None:
    places = generation.places
    assert places[Tcp("127.0.0.1", 2526)] == places[Tcp("::1", 2526)] == "strict"
    assert len(places) == 9 and generation.window is None
