"""Shadow mode: recorded, and nothing takes effect."""

from typing import Any

from mailweir import Accept, Command, Decision, Defer, Envelope, Message, Recipient, Reject, metrics

NO = Reject("no")


def test_a_verdict_is_recorded_and_mail_passes(bench: Any) -> None:
    assert bench.ask(bench.helo("a", NO, mode="shadow"), bench.helo("b", Defer("b"))) == Decision(
        Defer("b"), "b"
    )
    assert metrics.VERDICTS.cell("mx", "a", "helo", "reject", "shadow").value == 1
    assert "Reject" in bench.logged("shadow verdict")[0]["verdict"]


def test_accept_does_not_stop_the_others(bench: Any) -> None:
    assert bench.ask(bench.helo("a", Accept(), mode="shadow"), bench.helo("b", NO)) == Decision(NO, "b")


def test_a_failure_is_counted_and_mail_passes(bench: Any) -> None:
    assert bench.ask(bench.helo("a", ValueError(), mode="shadow", on_error="reject")) is None
    assert metrics.PLUGIN_ERRORS.cell("a", "helo", "exception").value == 1


def test_edits_take_no_effect(bench: Any) -> None:
    seen = []

    def message(session: Any, message: Message) -> None:
        message.headers.add("X-Shadow", "1")
        message.envelope.sender = "changed@example.org"
        message.envelope.recipients[0].address = "changed@example.org"
        message.envelope.recipients.clear()
        seen.append(message.headers.get("x-shadow"))
        assert session.transaction.envelope is message.envelope
        assert session.transaction.message is message
        session.notes["seen"] = True

    transaction = bench.session.begin("smtp", 0.0)
    transaction.envelope = Envelope("bob@example.net", "", [Recipient("ann@example.org")])
    mail = transaction.message = Message("m", "smtp", transaction.envelope, b"Subject: x\r\n\r\n")
    mail.headers.add("X-Before", "1")
    chain = bench.chain(bench.plug("s", hooks={"message": message}, mode="shadow"))
    chain.ask("message", session=bench.session, message=mail)
    assert not bench.logged("plugin failed")
    assert seen == ["1"]
    assert mail.headers.octets() == b"X-Before: 1\r\nSubject: x\r\n\r\n"
    assert mail.envelope is transaction.envelope
    assert transaction.envelope.sender == "bob@example.net"
    assert [recipient.address for recipient in transaction.envelope.recipients] == ["ann@example.org"]
    assert bench.session.notes == {"seen": True}


def test_arguments_of_a_command_stay(bench: Any) -> None:
    def command(command: Command) -> None:
        command.arguments = b"changed"

    vrfy = Command("VRFY", b"ann")
    chain = bench.chain(bench.plug("s", hooks={"command": command}, mode="shadow"))
    chain.ask("command", session=bench.session, command=vrfy)
    assert vrfy.arguments == b"ann"


def test_a_recipient_is_the_one_of_the_envelope(bench: Any) -> None:
    same = []
    plug = bench.plug(
        "s",
        hooks={"rcpt_to": lambda envelope, recipient: same.append(envelope.recipients[0] is recipient)},
        mode="shadow",
    )
    envelope = Envelope("", "", [Recipient("ann@example.org")])
    facts = {"session": bench.session, "envelope": envelope, "recipient": envelope.recipients[0]}
    bench.chain(plug).ask("rcpt_to", **facts)
    assert same == [True]
