"""What one line says, which answers hold a queue id, and what is hidden where the keeper wants it hidden."""

from datetime import UTC, datetime
from typing import Any

import pytest

import mailweir_accesslog
from mailweir import Certificate, Envelope, Recipient, Reject, Session, Tls, Transaction, hookimpl
from mailweir.chain.mistakes import PluginError
from mailweir.session import Outcome
from mailweir.testing.weir import Weir
from mailweir.verdict import Decision
from mailweir_accesslog import SHOWN, AccessLog, queue_id

JOE = Certificate("CN=joe", ("joe@example.org",), "CN=Authority", "00" * 32, datetime(2027, 1, 1, tzinfo=UTC))
HASHED = "f8c4eb4537bf"

Log = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Each line: the event, and the fields that are not left out."""
    lines: Log = []

    def log_event(event: str, fields: dict[str, Any]) -> None:
        lines.append((event, {key: value for key, value in fields.items() if value is not None}))

    monkeypatch.setattr(mailweir_accesslog, "log_event", log_event)
    return lines


def transaction(
    outcome: Outcome = "accepted",
    reply: str = "",
    decision: Decision | None = None,
    *to: str,
    sender: str = "",
) -> Transaction:
    envelope = Envelope(sender, recipients=[Recipient(address, accepted=True) for address in to])
    done = Transaction(
        "s1.1", "smtp", 0.0, envelope, size=700, outcome=outcome, reply=reply, decision=decision
    )
    done.duration, done.asked = 0.5, 0.125
    return done


REPLIES = {
    "Postfix": ("250 2.0.0 Ok: queued as 4TzQ1v2lq3z9rxN", "4TzQ1v2lq3z9rxN"),
    "Postfix behind amavis": ("250 2.0.0 from MTA(smtp:[::1]:10025): 250 2.0.0 Ok: queued as 1F2", "1F2"),
    "Exim": ("250 OK id=1tF3cX-000000001Yz-2abC", "1tF3cX-000000001Yz-2abC"),
    "Dovecot": ("250 2.0.0 <ann@example.org> gGFnDfzQQ2cFBAAAtwN6gw Saved", "gGFnDfzQQ2cFBAAAtwN6gw"),
    "Sendmail": ("250 2.0.0 4AOCsLxd012345 Message accepted for delivery", "4AOCsLxd012345"),
    "another": ("250 2.6.0 thank you", None),
    "refused": ("550 5.7.1 no", None),
    "IMAP": ("A1 OK [APPENDUID 1 2] done", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize(("reply", "wanted"), REPLIES.values(), ids=REPLIES.keys())
def test_queue_id(reply: str, wanted: str | None) -> None:
    assert queue_id(reply) == wanted


def test_a_message(weir: Weir, log: Log) -> None:
    weir.session.login, weir.session.upstream = "ann", "mta"
    done = transaction(
        "accepted",
        "250 2.0.0 Ok: queued as 1F2",
        None,
        "bob@x.example",
        "carl@x.example",
        sender="ann@x.example",
    )
    weir.plug(AccessLog).tell("message_done", transaction=done)
    assert log == [
        (
            "message",
            {
                "session": "s1",
                "id": "s1.1",
                "listener": "test",
                "protocol": "smtp",
                "client": "192.0.2.1",
                "login": "ann",
                "stage": "smtp",
                "from": "ann@x.example",
                "to": "bob@x.example,carl@x.example",
                "nrcpt": 2,
                "size": 700,
                "verdict": "accepted",
                "by": "upstream",
                "upstream": "mta",
                "reply": "250 2.0.0 Ok: queued as 1F2",
                "queue_id": "1F2",
                "seconds": 0.5,
                "asked": 0.125,
            },
        )
    ]


BY: dict[str, tuple[Transaction, dict[str, str]]] = {
    "a plugin": (
        transaction("rejected", "550 5.7.1 no", Decision(Reject("no"), "attachments")),
        {"verdict": "rejected", "by": "attachments", "reason": "no", "reply": "550 5.7.1 no"},
    ),
    "upstream": (transaction("rejected", "550 no"), {"verdict": "rejected", "by": "upstream"}),
    "nobody": (transaction("aborted"), {"verdict": "aborted"}),
    "a plugin with much to say": (
        transaction("rejected", "550 no", Decision(Reject("x" * 9999), "policy")),
        {"reason": "x" * 200},
    ),
}


@pytest.mark.parametrize(("done", "wanted"), BY.values(), ids=BY.keys())
def test_by_whom(weir: Weir, log: Log, done: Transaction, wanted: dict[str, str]) -> None:
    weir.plug(AccessLog).tell("message_done", transaction=done)
    ((_, fields),) = log
    assert {key: fields[key] for key in wanted} == wanted
    assert ("by" in fields) is (done.reply != "")


def test_the_empty_sender_is_shown_and_no_sender_is_not(weir: Weir, log: Log) -> None:
    weir.plug(AccessLog)
    weir.tell("message_done", transaction=transaction("accepted", "250 ok", None, "a@x"))
    weir.tell("message_done", transaction=transaction("accepted", "+OK"))
    assert [fields.get("from") for _, fields in log] == ["<>", None]


def test_recipients_are_those_that_were_accepted(weir: Weir, log: Log) -> None:
    done = transaction("rejected", "554 no", None, "a@x", "b@x")
    weir.plug(AccessLog)
    done.envelope.recipients[0].accepted = False
    weir.tell("message_done", transaction=done)
    done.envelope.recipients[1].accepted = False
    weir.tell("message_done", transaction=done)
    assert [(fields["to"], fields["nrcpt"]) for _, fields in log] == [("b@x", 1), ("a@x,b@x", 2)]


def test_recipients_that_were_refused_beside_others(weir: Weir, log: Log) -> None:
    done = transaction("accepted", "250 ok", None, "a@x", "b@x", "c@x", "d@x")
    for number, by in ((1, "noroot"), (2, "upstream"), (3, "noroot")):
        recipient = done.envelope.recipients[number]
        recipient.accepted, recipient.refused_by = False, by
    weir.plug(AccessLog).tell("message_done", transaction=done)
    ((_, fields),) = log
    assert (fields["to"], fields["nrcpt"]) == ("a@x", 1)
    assert (fields["refused"], fields["nrefused"], fields["refused_by"]) == (
        "b@x,c@x,d@x",
        3,
        "noroot,upstream",
    )


@pytest.mark.parametrize("how", ["hash", "off"])
def test_refused_recipients_are_hidden_like_others(weir: Weir, log: Log, how: str) -> None:
    done = transaction("accepted", "250 ok", None, "a@x", *(f"bob{number}@x" for number in range(100)))
    for recipient in done.envelope.recipients[1:]:
        recipient.accepted, recipient.refused_by = False, "upstream"
    weir.plug(AccessLog, addresses=how).tell("message_done", transaction=done)
    ((_, fields),) = log
    assert "bob" not in str(fields) and fields["nrefused"] == 100
    assert len(fields.get("refused", "").split(",")) == (SHOWN if how == "hash" else 1)


def test_a_line_is_bounded(weir: Weir, log: Log) -> None:
    done = transaction("accepted", "250 ok", None, *(f"{number}@x" for number in range(1000)))
    weir.plug(AccessLog).tell("message_done", transaction=done)
    ((_, fields),) = log
    assert fields["nrcpt"] == 1000
    assert fields["to"].count("@") == SHOWN


def _hidden(weir: Weir, log: Log, how: str) -> dict[str, Any]:
    weir.session.login = "Ann@x.example"
    reply = "250 2.0.0 <bob@x.example> gGFnDfzQQ2 Saved"
    weir.plug(AccessLog, addresses=how)
    weir.tell(
        "message_done",
        transaction=transaction("accepted", reply, None, "bob@x.example", sender="ann@x.example"),
    )
    weir.tell("session_closed")
    assert "bob" not in str(log)
    assert "ann" not in str(log).lower()
    assert log[1][1].get("login") == log[0][1].get("login")
    return log[0][1]


def test_hashed_addresses_can_be_joined(weir: Weir, log: Log) -> None:
    fields = _hidden(weir, log, "hash")
    assert fields["login"] == fields["from"]
    assert fields["to"] != fields["from"]
    assert len(fields["to"]) == 12
    assert (fields["reply"], fields["queue_id"]) == ("250", "gGFnDfzQQ2")


def test_addresses_are_left_out(weir: Weir, log: Log) -> None:
    fields = _hidden(weir, log, "off")
    assert not {"login", "from", "to"} & set(fields)
    assert fields["nrcpt"] == 1


def test_a_session(weir: Weir, log: Log) -> None:
    session: Session = weir.session
    session.login, session.mechanism, session.upstream = "ann", "PLAIN", "mta"
    session.client_tls = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", "mx.example.org", True, JOE)
    session.upstream_tls = Tls("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256")
    session.octets_from_client, session.octets_from_upstream = 10, 20
    session.duration, session.closed = 2.5, "client closed"
    weir.plug(AccessLog).tell("session_closed")
    assert log == [
        (
            "session",
            {
                "session": "s1",
                "listener": "test",
                "protocol": "smtp",
                "client": "192.0.2.1",
                "login": "ann",
                "mechanism": "PLAIN",
                "tls": "TLSv1.3",
                "cipher": "TLS_AES_256_GCM_SHA384",
                "sni": "mx.example.org",
                "resumed": True,
                "certificate": "CN=joe",
                "upstream_tls": "TLSv1.2",
                "upstream": "mta",
                "messages": 1,
                "from_client": 10,
                "from_upstream": 20,
                "closed": "client closed",
                "seconds": 2.5,
            },
        )
    ]


@pytest.mark.parametrize(("addresses", "certificate"), [("plain", "CN=joe"), ("hash", HASHED), ("off", None)])
def test_a_message_over_tls(weir: Weir, log: Log, addresses: str, certificate: str | None) -> None:
    weir.session.client_tls = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", certificate=JOE)
    weir.plug(AccessLog, addresses=addresses).tell("message_done", transaction=transaction())
    fields = log[0][1]
    assert (fields["tls"], fields["cipher"]) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    assert fields.get("certificate") == certificate


def test_mistakes_in_settings(weir: Weir) -> None:
    with pytest.raises(PluginError, match="addresses"):
        weir.plug(AccessLog, addresses="some")
    with pytest.raises(PluginError, match="did you mean addresses"):
        weir.plug(AccessLog, address="off")


class Refuses:
    """Another plugin, which refuses all messages."""

    @hookimpl
    def message_head(self) -> Reject:
        return Reject("not today")


CONVERSATION = """
    U> 220 mail.example.org
    C< 220 mail.example.org
    C> HELO me
    U< HELO me
    U> 250 mail.example.org
    C< 250 mail.example.org
    C> MAIL FROM:<ann@example.org>
    U< MAIL FROM:<ann@example.org>
    U> 250 ok
    C< 250 ok
    C> RCPT TO:<bob@example.net>
    U< RCPT TO:<bob@example.net>
    U> 250 ok
    C< 250 ok
    C> DATA
"""


def test_on_the_wire(weir: Weir, log: Log) -> None:
    weir.plug(AccessLog).play(
        CONVERSATION
        + """
        U< DATA
        U> 354 go
        C< 354 go
        C> From: a||hello|.
        U< From: a||hello|.
        U> 250 2.0.0 Ok: queued as 1F2
        C< 250 2.0.0 Ok: queued as 1F2
        C! gone
        U< QUIT
        U! gone
        """
    )
    (message, fields), (session, closed) = log
    assert (message, session) == ("message", "session")
    assert (fields["from"], fields["to"]) == ("ann@example.org", "bob@example.net")
    assert (fields["size"], fields["by"], fields["queue_id"]) == (18, "upstream", "1F2")
    assert closed["messages"] == 1


class NoRoot:
    """Refuses one recipient."""

    @hookimpl
    def rcpt_to(self, recipient: Recipient) -> Reject | None:
        return Reject("no mail for root") if recipient.local == "root" else None


def test_a_recipient_refused_beside_another_on_the_wire(weir: Weir, log: Log) -> None:
    weir.plug(AccessLog).plug(NoRoot()).play(
        CONVERSATION.replace("C> DATA", "C> RCPT TO:<root@example.net>\nC< 550 no mail for root (s1)")
        + """
        C> RCPT TO:<eve@example.net>
        U< RCPT TO:<eve@example.net>
        U> 550 who?
        C< 550 who?
        C> DATA
        U< DATA
        U> 354 go
        C< 354 go
        C> x|.
        U< x|.
        U> 250 ok
        C< 250 ok
        """
    )
    ((_, fields),) = log
    assert (fields["to"], fields["nrcpt"], fields["verdict"]) == ("bob@example.net", 1, "accepted")
    assert (fields["refused"], fields["refused_by"]) == (
        "root@example.net,eve@example.net",
        "NoRoot,upstream",
    )


@pytest.mark.parametrize(
    "end", ["C> RSET\nU< RSET", "C> QUIT\nU< QUIT\nU> 221 bye\nC< 221 bye", "C! gone\nU< QUIT"]
)
def test_all_recipients_refused_and_no_text(weir: Weir, log: Log, end: str) -> None:
    before = CONVERSATION.split("C> RCPT")[0]
    weir.plug(AccessLog).plug(NoRoot()).play(
        f"{before}C> RCPT TO:<root@example.net>\nC< 550 no mail for root (s1)\n{end}"
    )
    (_, fields), *_ = log
    assert (fields["to"], fields["nrcpt"], fields["verdict"]) == ("root@example.net", 1, "rejected")
    assert (fields["by"], fields["reason"]) == ("NoRoot", "no mail for root")
    assert "refused" not in fields


def test_a_refusal_on_the_wire(weir: Weir, log: Log) -> None:
    stage = weir.plug(AccessLog).plug(Refuses()).play(CONVERSATION + "C< 354 end data with <CR><LF>.<CR><LF>")
    stage.say("client", b"From: a\r\n\r\nhello\r\n.\r\n")
    assert b"550 " in stage.client.heard
    ((_, fields),) = log
    assert (fields["verdict"], fields["by"], fields["reason"]) == ("rejected", "Refuses", "not today")
    assert fields["reply"].startswith("550 ")
