"""What must hold at any time between a client and a server that talk through a relay."""

import re
from traceback import format_exception
from typing import TYPE_CHECKING

from relay.smtp.account import HELLOS, Asked, Mail, code
from relay.smtp.peers import Server

if TYPE_CHECKING:
    from relay.smtp.world import World

HALF = b"250-half a reply\r\n"
"""What a server may say before it says a reply, so that it all is one."""

_NUMBER = re.compile(rb"u(\d+)\.")
_CLIENT = re.compile(rb"@c(\d+)\.")
_STRAY = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_STRAY_SO_FAR = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
_LOST = (451, 421)
"""What a client may be told of a message whose end went up, when upstream was lost behind it."""


_FOR_ALL = range(500, 505)
"""What an LMTP server says once of the end of a text, since it is no command to it at all."""

_RECEIVED = re.compile(rb"\A(X-Seen: [^\r]*\r\n)?Received: [^\r]*\r\n(?:\t[^\r]*\r\n)*")


def heard(world: "World", asked: Asked | None, raw: bytes) -> None:
    """A reply is upstream's to that very command, or our own, which promises nothing."""
    number = _NUMBER.search(raw)
    if number is None and HALF in raw:
        return  # the line with the number was no longer the first, and rewritten
    if number is None:
        assert code(raw) >= 400 or _may_say(world, asked, raw), f"{raw!r} to {asked}"
        return
    count = int(number[1])
    again = count == world.last and asked is not None and asked.ends and world.each
    assert count > world.last or again, f"{raw!r} is out of order"
    world.last = count
    origin = world.sent[count]
    if code(raw) == 421:
        return  # whatever it answered: it is the last word
    assert origin is not None and asked is not None, f"{raw!r} answered {origin}, and comes to {asked}"
    _in_place(world, asked, raw)
    if asked.ends and origin.line != asked.line:
        same = origin.mail is not None and asked.mail is not None and origin.mail.sender == asked.mail.sender
        refused = origin.line == b"DATA\r\n" and code(raw) >= 400
        assert (origin.ends and same) or refused, f"{raw!r} to {asked} answered {origin}"
    elif asked.verb in HELLOS and world.each != world.upstream_each:
        assert origin.verb in HELLOS and origin.line[4:] == asked.line[4:], (
            f"{raw!r} to {asked} was for {origin}"
        )
    elif asked.verb == "BDAT" and (world.traces or _by_data(world)):
        assert origin.verb in ("BDAT", "DATA"), f"{raw!r} to {asked} was for {origin}"
    else:
        assert (origin.verb, origin.line) == (asked.verb, asked.line), f"{raw!r} to {asked} was for {origin}"


def _in_place(world: "World", asked: Asked, raw: bytes) -> None:
    """A strict server complains of the order of commands only where the client is to blame."""
    mail = world.client.mail
    alive = mail is not None and not mail.dead and not mail.lost
    if b"nested MAIL" in raw:
        assert mail is not None, "upstream still knew a transaction that the client believes ended"
    elif b"need MAIL" in raw:
        assert not alive, f"upstream knew nothing of {mail}"
    elif b"out of sequence" in raw:
        assert not alive or asked.verb == "DATA", f"upstream knew nothing of {mail}"
    elif b"no valid recipients" in raw and mail is not None:
        assert all(recipient in world.dropped for recipient in mail.recipients), f"upstream lacks {mail}"


def _may_say(world: "World", asked: Asked | None, raw: bytes) -> bool:
    """Where a positive reply may be ours."""
    if asked is None:
        return False
    discarded = world.whims.discarded
    mail = asked.mail or world.client.mail
    if asked.verb in ("RSET", "NOOP") and raw.startswith(b"250"):
        between = asked.verb == "NOOP" and _by_data(world)  # two chunks
        return world.has_lost or len(world.servers) > 1 or between  # it may have been reached again in one go
    if asked.verb == "RCPT" and asked.address.decode() in discarded:
        world.dropped.add(asked)
        return True
    if asked.ends:
        return mail is not None and world.has_dropped(mail)
    judged = world.stage.chain.listens("message_head") or (mail is not None and world.has_dropped(mail))
    return (
        (asked.verb in ("STARTTLS", "QUIT") and raw[:3] in (b"220", b"221"))
        or (asked.verb == "DATA" and raw.startswith(b"354") and bool(judged))
        or (asked.verb == "BDAT" and raw.startswith(b"250") and (bool(judged) or _by_data(world)))
    )


def _by_data(world: "World") -> bool:
    """Chunks of the client's go up by DATA, so that nobody but us answers one that is not the last."""
    return any(asked.verb == "DATA" for server in world.servers for asked in server.account.asked)


def check(world: "World") -> None:
    mistakes = [line["exc_info"] for line in world.logged if line["event"] == "internal error"]
    assert not mistakes, "".join(format_exception(*mistakes[0]))
    if world.spliced:
        return
    for server in world.servers:
        _server(world, server)
    for mail in world.client.mails:
        _told(world, mail)
    if world.pipe.told:
        assert world.ends == world.ends_at_leave, "a text was ended behind the client's back"
    if world.quiet:
        _peace(world)


def _server(world: "World", server: Server) -> None:
    account = server.account
    assert not any(asked.junk for asked in account.asked), "junk went up"
    assert not server.outgrouped, "a group went up to a server that can't take it"
    clients = {int(number) for number in _CLIENT.findall(server.octets)}
    assert clients <= {world.number}, f"octets of others went up: {clients}"
    if account.mode == "text":
        assert not _STRAY_SO_FAR.search(account.text), f"{account.text!r} went up"
    senders = [mail.sender for mail in world.texts]
    assert len(set(senders)) == len(senders), f"a message went up twice: {senders}"
    for mail in account.mails:
        ours = _ours(world, mail)
        if not ours.ended:  # by a last chunk that the client has not heard of yet
            assert any(one.ends and one.complete for one in world.client.open), f"{mail} has not ended"
            continue
        assert mail.binary or not _STRAY.search(mail.text), f"{mail.text!r} went up"
        text = mail.text
        if world.traces:
            text, fields = _RECEIVED.subn(rb"\1", text)
            assert fields, f"no trace in {mail.text!r}"
        whole = _edited(world, ours)
        by_data = any(asked.verb == "DATA" for asked in account.asked)
        if by_data and not whole.endswith(b"\r\n") and text == whole + b"\r\n":
            continue  # chunks that went up by DATA, which can't carry a line without its end (RFC 3030)
        assert text == whole, f"{mail.text!r} went up for {ours.text!r}"
        wanted = [one.address for one in ours.recipients if one not in world.dropped]
        assert mail.addresses == wanted, f"{mail.addresses} should be {wanted}"


def _ours(world: "World", mail: Mail) -> Mail:
    """What the client knows of a message that went up."""
    known = {*world.client.mails, world.client.mail} - {None}
    ours = [one for one in known if one and one.sender == mail.sender]
    if not ours and any(one.verb == "MAIL" and one.address == mail.sender for one in world.client.open):
        return Mail(mail.sender)  # of which the client has not heard yet
    assert len(ours) == 1, f"{mail} is not the client's"
    return ours[0]


def _edited(world: "World", ours: Mail) -> bytes:
    """The text as it should leave."""
    if not world.stage.chain.listens("message_head") or ours.text[:1] in (b" ", b"\t"):
        return ours.text
    return b"X-Seen: " + ours.sender + b"\r\n" + ours.text


def _told(world: "World", mail: Mail) -> None:
    """What the client was told of the end of a text is what upstream said."""
    theirs = next((one for one in world.texts if one.sender == mail.sender), None)
    if mail.accepted and not world.has_dropped(mail):
        assert theirs is not None and theirs.accepted, f"{mail} was accepted by nobody"
    if theirs is None or (world.has_dropped(mail) and not world.each):
        return
    told = (
        zip(mail.recipients, mail.replies, strict=False)
        if world.each
        else [(None, one) for one in mail.replies]
    )
    heard = [reply.removeprefix(HALF) for recipient, reply in told if recipient not in world.dropped]
    ours = [reply for reply in heard if not _NUMBER.search(reply)]
    assert all(code(reply) in _LOST for reply in ours), f"{ours}, but upstream has it"
    said = theirs.replies
    if said and world.each and (not world.upstream_each or code(said[0]) in _FOR_ALL):
        said = said[:1] * len(heard)
    for reply, one in zip(heard, said, strict=False):
        assert reply == one or code(reply) in _LOST, f"{reply!r}, but upstream said {one!r}"
    if _through(world, theirs) and not world.pipe.told:
        assert heard == said, f"upstream said {said}, and the client heard {heard}"


def _through(world: "World", theirs: Mail) -> bool:
    """All that upstream has said of the message has come."""
    server = world.server
    return (
        server is not None
        and theirs in server.account.mails
        and server.pipe.empty
        and world.stage.upstream.state == "open"
        and not server.account.open
        and not server.pipe.told
    )


def _peace(world: "World") -> None:
    """Everything was answered, everybody is read, and both believe the same."""
    client, server = world.client, world.server
    assert server is not None
    assert not server.account.unasked, f"nobody asked for {server.account.unasked}"
    waits = client.mode in ("response", "chunk")
    assert waits or not client.open, f"never answered: {list(client.open)}"
    assert not world.stage.client.paused and not world.stage.upstream.paused
    theirs, ours = server.account.mail, client.mail
    if ours is None or ours.dead or ours.lost or client.mode in ("text", "chunk"):
        return
    assert theirs is not None, f"upstream knows nothing of {ours}"
    wanted = [one.address for one in ours.recipients if one not in world.dropped]
    assert (theirs.sender, theirs.addresses) == (ours.sender, wanted)
