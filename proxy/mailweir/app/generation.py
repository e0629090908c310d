"""One reading of the configuration, made ready to serve: chains, rules, upstreams, and what clients get.

A session lives and ends with the generation it began in. Nothing here opens a socket, so a generation that
can't be made changes nothing.
"""

import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from twisted.internet.interfaces import IReactorTime

from mailweir import log
from mailweir.app import config
from mailweir.app.config import Configuration, Listener
from mailweir.chain.chain import Chain, Plug
from mailweir.net.addresses import Place, parse
from mailweir.net.certificates import Certificates, Terms
from mailweir.net.listener import Maker, Welcome
from mailweir.net.tls import ClientTls
from mailweir.net.tlsa import Records
from mailweir.net.upstream import IsOwn, Upstream
from mailweir.relay.conversation import Conversation
from mailweir.relay.meeting import Meeting
from mailweir.relay.relays import relay_for
from mailweir.relay.rules import Rules, SmtpRules
from mailweir.relay.side import Dial, Relay, Side
from mailweir.session import Protocol, Session
from mailweir.spool import Spool

ROUTE = "route"
"""The upstream of a listener whose plugins choose one."""


class Generation:
    """Everything that new sessions get, until the configuration is read again."""

    def __init__(
        self,
        configuration: Configuration,
        plugs: Mapping[str, Plug],
        clock: IReactorTime,
        is_own: IsOwn,
        spool: Spool,
    ) -> None:
        """`CertificateUnusable` if a file for TLS can't be used, `PluginError` if a plugin can't."""
        self.configuration = configuration
        self.everybody = Chain("mailweir", list(plugs.values()), clock=clock)
        """All plugins, each once: what concerns the process, not a listener, is told here."""
        self._plugs = plugs
        self._clock = clock
        self._spool = spool
        pairs = [(entry.certificate, entry.key) for entry in configuration.certificates]
        self.certificates = Certificates(pairs, clock)
        self._upstreams = {
            name: upstream(name, made, clock, is_own) for name, made in configuration.upstreams.items()
        }
        self.welcomes = {name: self._welcome(name, made) for name, made in configuration.listeners.items()}

    @property
    def places(self) -> dict[Place, str]:
        """Where to listen, and which listener serves there."""
        return {
            parse(address): name
            for name, listener in self.configuration.listeners.items()
            for address in listener.listen
        }

    @property
    def window(self) -> Place | None:
        """Where the admin window is, if there is one."""
        admin = self.configuration.admin
        return None if admin is None else parse(admin.listen)

    def _welcome(self, name: str, listener: Listener) -> Welcome:
        return Welcome(
            listener.protocol,
            self._maker(name, listener),
            self._upstreams,
            None if listener.tls == "none" else self.certificates.layer(_terms(listener)),
            listener.tls == "implicit",
        )

    def _maker(self, name: str, listener: Listener) -> Maker:
        chain = Chain(name, [self._plugs[plugin] for plugin in listener.plugins], clock=self._clock)
        relay_class = relay_for(listener.protocol)
        rules, clock = self._rules(listener, chain), self._clock

        def make(session: Session, client: Side, dial: Dial) -> Conversation:
            facts = log.logger(session=session.id, listener=name)
            return relay_class(Meeting(session, chain, rules, clock, client, dial, facts))

        def make_routed(session: Session, client: Side, dial: Dial) -> Conversation:
            return make(session, client, lambda relay, upstream: self._routed(relay, upstream, dial))

        return make_routed if listener.upstream == ROUTE else make

    def _routed(self, relay: Relay, upstream: str, dial: Dial) -> None:
        """A plugin named the upstream: only now the rules can say how it is spoken to."""
        made = self.configuration.upstreams.get(upstream)
        if made is not None and isinstance(relay, Conversation):
            smtp = replace(relay.rules.smtp, upstream_protocol=_other_protocol(relay.session.protocol, made))
            relay.rules = replace(
                relay.rules, upstream_tls=made.tls, upstream_verified=_verified(made), smtp=smtp
            )
        dial(relay, upstream)

    def _rules(self, listener: Listener, chain: Chain) -> Rules:
        limits = self.configuration.limits
        upstream = self.configuration.upstreams.get(listener.upstream)
        return Rules(
            starttls=listener.tls == "starttls",
            require_tls=listener.require_tls,
            allow_plaintext=listener.allow_plaintext,
            upstream_tls=upstream.tls if upstream is not None else "none",
            upstream_verified=upstream is not None and _verified(upstream),
            refuse_unknown=listener.unknown == "refuse" or (listener.unknown == "auto" and chain.filtered),
            splice=listener.splice == "auto",
            upstream=listener.upstream,
            hostname=socket.gethostname(),
            message_size=limits.message_size,
            client_idle=limits.client_idle,
            before_login=limits.before_login,
            upstream_reply=limits.upstream_reply,
            spool=self._spool,
            command_line=limits.command_line,
            smtp=SmtpRules(
                bare_newline=listener.bare_newline,
                nul=listener.nul,
                trace=listener.trace,
                verdicts=listener.verdicts,
                early_talker=listener.early_talker,
                upstream_protocol=_other_protocol(listener.protocol, upstream),
                recipients=limits.recipients,
                bad_commands=limits.bad_commands,
                idle_commands=limits.idle_commands,
                messages=limits.messages_per_session,
                session_time=limits.session_time,
                command_time=limits.command_time,
                text_rate=limits.text_rate,
            ),
        )


def _terms(listener: Listener) -> Terms:
    return Terms(
        listener.tls_minimum, listener.tls_ciphers, listener.client_ca, listener.require_client_certificate
    )


def upstream(name: str, made: config.Upstream, clock: IReactorTime, is_own: IsOwn) -> Upstream:
    """As the configuration has it; `CertificateUnusable` if a file of it can't be used."""
    tls = None
    if made.tls != "none":
        pair = (made.certificate, made.key) if made.certificate and made.key else None
        tls = ClientTls(made.verify, clock, name=made.name, sni=made.sni, pair=pair)
    return Upstream(
        name,
        made.address,
        clock=clock,
        is_own=is_own,
        tls=tls,
        implicit=made.tls == "implicit",
        records=Records().of if tls is not None and tls.dane else None,
        connections=made.connections,
        timeout=made.connect_timeout,
    )


def _verified(upstream: config.Upstream) -> bool:
    """Nobody else can be taken for it."""
    return upstream.tls in ("starttls", "implicit") and upstream.verify is not False


def _other_protocol(clients: Protocol, upstream: config.Upstream | None) -> Literal["", "smtp", "lmtp"]:
    """What the server speaks, where that is not what the listener's clients speak."""
    if upstream is None or upstream.protocol == "auto" or upstream.protocol == clients:
        return ""
    return upstream.protocol
