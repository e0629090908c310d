"""One log line for each message, and one for each session: who, what, and what became of it.

    plugins:
      accesslog:
        addresses: plain      # plain | hash | off

Recipients that were refused beside others that were not are told apart: `to` and `nrcpt` are who may get the
message, `refused`, `nrefused` and `refused_by` who may not, and who said so. Where all were refused they
stand in `to`, and `verdict` and `by` say it.

A line `message` is written when the fate of a message is known, a line `session` when both sides are
closed; `session` joins the two. Times are seconds, sizes octets. What is not known is left out. `tls`
and `cipher` are those of the client's connection, `certificate` is the subject of its certificate. How a line
looks is the log's business (`log: {format: json | logfmt | console}`).

`addresses: hash` writes 12 hexadecimal digits in place of each mail address, login name and subject, the same for
the same one in any letter case, so that lines can still be joined; it hides them from a reader, not from
somebody who tries all likely addresses. `off` leaves them out. With either, only the first word of
upstream's answer is written, because the rest likes to repeat the address.
"""

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Literal

from pydantic import BaseModel

from mailweir import Recipient, Session, Tls, Transaction, hookimpl, log_event

SHOWN = 20
"""Recipients in one list at most; `nrcpt` counts all, `nrefused` up to a thousand."""

REASON = 200
"""Characters of a verdict's text at most."""

_QUEUE_ID = re.compile(
    r"queued as ([\w./-]+)"  # Postfix
    r"|\bid=([\w-]+)"  # Exim
    r"|> (\S+) Saved"  # Dovecot, LMTP
    r"|^250 2\.\d\.\d (\w{12,}) Message accepted",  # Sendmail
    re.ASCII,
)


class AccessLog:
    """The plugin."""

    class Settings(BaseModel):
        addresses: Literal["plain", "hash", "off"] = "plain"

    def __init__(self, settings: Settings) -> None:
        self._shown = ADDRESSES[settings.addresses]
        self._plain = settings.addresses == "plain"

    @hookimpl
    def message_done(self, session: Session, transaction: Transaction) -> None:
        shown = self._shown
        envelope = transaction.envelope
        recipients = envelope.accepted
        refused = [one for one in envelope.recipients if one.refused_by]
        if not recipients:
            recipients, refused = envelope.recipients, []
        decision = transaction.decision
        reply = transaction.reply
        tls = session.client_tls
        log_event(
            "message",
            {
                "session": session.id,
                "id": transaction.id,
                "listener": session.listener,
                "protocol": session.protocol,
                "client": session.client.host,
                "login": shown(session.login),
                "tls": tls.version if tls else None,
                "cipher": tls.cipher if tls else None,
                "certificate": self._subject(tls),
                "stage": transaction.stage,
                "from": shown(envelope.sender) or ("<>" if recipients and self._plain else None),
                "to": self._list(recipients),
                "nrcpt": len(recipients) or None,
                "refused": self._list(refused),
                "nrefused": len(refused) or None,
                "refused_by": ",".join(sorted({one.refused_by for one in refused})) or None,
                "size": transaction.size,
                "verdict": transaction.outcome,
                "by": decision.plugin if decision else "upstream" if reply else None,
                "reason": (decision.verdict.text[:REASON] or None) if decision else None,
                "upstream": session.upstream or None,
                "reply": (reply if self._plain else reply.partition(" ")[0]) or None,
                "queue_id": queue_id(reply),
                "seconds": transaction.duration,
                "asked": transaction.asked or None,
            },
        )

    def _list(self, recipients: list[Recipient]) -> str | None:
        shown = self._shown
        return ",".join([shown(one.address) or "" for one in recipients[:SHOWN]]).strip(",") or None

    def _subject(self, tls: Tls | None) -> str | None:
        """Of the client's certificate: a person's name, often with an address."""
        return self._shown(tls.certificate.subject) if tls and tls.certificate else None

    @hookimpl
    def session_closed(self, session: Session) -> None:
        tls, upstream_tls = session.client_tls, session.upstream_tls
        log_event(
            "session",
            {
                "session": session.id,
                "listener": session.listener,
                "protocol": session.protocol,
                "client": session.client.host,
                "login": self._shown(session.login),
                "mechanism": session.mechanism or None,
                "tls": tls.version if tls else None,
                "cipher": tls.cipher if tls else None,
                "sni": (tls.sni or None) if tls else None,
                "resumed": (tls.resumed or None) if tls else None,
                "certificate": self._subject(tls),
                "upstream_tls": upstream_tls.version if upstream_tls else None,
                "upstream": session.upstream or None,
                "messages": session.transactions,
                "from_client": session.octets_from_client,
                "from_upstream": session.octets_from_upstream,
                "closed": session.closed or None,
                "seconds": session.duration,
            },
        )


def queue_id(reply: str) -> str | None:
    """What the next server calls the message, if its answer says so in a form that we know.

    >>> queue_id("250 2.0.0 Ok: queued as 4TzQ1v2lq3z9rxN")
    '4TzQ1v2lq3z9rxN'
    """
    found = _QUEUE_ID.search(reply)
    return found[found.lastindex or 0] if found else None


def _plain(address: str) -> str | None:
    return address or None


def _hash(address: str) -> str | None:
    return blake2b(address.lower().encode(), digest_size=6).hexdigest() if address else None


def _off(address: str) -> str | None:
    return None


ADDRESSES: dict[str, Callable[[str], str | None]] = {"plain": _plain, "hash": _hash, "off": _off}
