"""Final replies: one in SMTP, one a recipient in LMTP; and what is said when they don't come."""

from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from mailweir.chain.plug import Plug
from mailweir.envelope import Recipient
from mailweir.hookspecs import hookimpl
from mailweir.message import Message
from mailweir.relay.rules import Rules, SmtpRules
from mailweir.session import Transaction
from mailweir.testing.play import Stage, octets
from mailweir.verdict import Discard, Reject

Make = Callable[..., Stage]
LOST = "451 4.4.2 lost the server, fate of the message unknown, try again later (s1)"
THREE = """
    C> MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>|RCPT TO:<a@z>
    U< MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>|RCPT TO:<a@z>
    U> 250 ok|250 a|550 b|250 a
    C< 250 ok|250 a|550 b|250 a
"""
TEXT = """
    C> DATA
    U< DATA
    U> 354 go
    C< 354 go
    C> hi|.|NOOP
    U< hi|.
"""


class Told:
    def __init__(self) -> None:
        self.done: list[Transaction] = []

    @hookimpl
    def message_done(self, transaction: Transaction) -> None:
        self.done.append(transaction)

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(done.outcome, done.reply) for done in self.done]


class Whole(Told):
    def __init__(self, answer: Any = None) -> None:
        super().__init__()
        self.answer = answer

    @hookimpl
    def message(self, message: Message) -> Any:
        assert message.stage == "lmtp"
        return self.answer


class Trap(Told):
    """Drops what goes to b@z."""

    @hookimpl
    def rcpt_to(self, recipient: Recipient) -> Any:
        return Discard("trap") if recipient.address == "b@z" else None


def test_one_reply_a_recipient(smtp: Make) -> None:
    told = Told()
    smtp(told, protocol="lmtp").play(
        THREE
        + TEXT
        + """
        U> 250-2.0.0|250 one
        C< 250-2.0.0|250 one
        U> 452 full
        C< 452 full
        U< NOOP
    """
    )
    assert told.outcomes == [("accepted", "452 full")]


def test_nobody_is_served(smtp: Make) -> None:
    told = Told()
    smtp(told, protocol="lmtp").play(
        THREE
        + TEXT
        + """
        U> 550 one|452 two
        C< 550 one|452 two
        U< NOOP
    """
    )
    assert told.outcomes == [("rejected", "550 one")]


def test_upstream_dies_between_two_replies(smtp: Make) -> None:
    told = Told()
    smtp(told, protocol="lmtp").play(
        THREE
        + TEXT
        + f"""
        U> 250 one
        C< 250 one
        U! reset
        C< {LOST}|250 2.0.0 ok
        C. open
    """
    )
    assert told.outcomes == [("accepted", LOST)]


def test_upstream_closes_between_two_replies(smtp: Make) -> None:
    smtp(protocol="lmtp").play(
        THREE
        + TEXT
        + f"""
        U> 421 bye
        C< 421 bye|{LOST}
        C. closed
        U. closed
    """
    )


def test_upstream_dies_before_all_replies(smtp: Make) -> None:
    smtp(protocol="lmtp").play(
        THREE
        + TEXT
        + f"""
        U! gone
        C< {LOST}|{LOST}|250 2.0.0 ok
        C. open
    """
    )


def test_upstream_hangs_at_the_end(smtp: Make) -> None:
    told = Told()
    smtp(told, upto="data").play(f"""
        C> hi|.
        U< hi|.
        T+ 599
        T+ 1
        C< {LOST}
        C. closed
        U. aborted
    """)
    assert told.outcomes == [("deferred", LOST)]


@pytest.mark.parametrize("how", ["gone", "reset"])
def test_no_250_that_upstream_did_not_say(smtp: Make, how: str) -> None:
    told = Told()
    smtp(told, upto="data").play(f"""
        C> hi|.
        U< hi|.
        U! {how}
        C< {LOST}
        C. open
    """)
    assert told.outcomes == [("deferred", LOST)]


def test_421_is_the_final_reply(smtp: Make) -> None:
    told = Told()
    smtp(told, upto="data").play("""
        C> hi|.|NOOP
        U< hi|.
        U> 421 bye
        C< 421 bye
        C. closed
    """)
    assert told.outcomes == [("deferred", "421 bye")]


def test_a_verdict_is_said_to_each(smtp: Make) -> None:
    whole = Whole(Reject("no"))
    smtp(whole, protocol="lmtp").play(
        THREE
        + """
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> hi|.|NOOP
        C< 550 5.7.1 no (s1)|550 5.7.1 no (s1)
        U< NOOP
    """
    )
    assert whole.outcomes == [("rejected", "550 5.7.1 no (s1)")]


def test_a_refusal_of_data_is_said_to_each(smtp: Make) -> None:
    smtp(Whole(), protocol="lmtp").play(
        THREE
        + """
        C> DATA
        C< 354 end data with <CR><LF>.<CR><LF>
        C> hi|.
        U< DATA
        U> 451 no room
        C< 451 no room|451 no room
    """
    )


def test_a_stray_is_said_to_each(smtp: Make) -> None:
    smtp(protocol="lmtp").play(
        THREE
        + r"""
        C> DATA
        U< DATA
        U> 354 go
        C< 354 go
        C> h\ni|.
        U. aborted
        C< 550 5.6.0 CR or LF alone in the message; lines end in CRLF (s1)
        C< 550 5.6.0 CR or LF alone in the message; lines end in CRLF (s1)
    """
    )


@pytest.mark.parametrize("others", ["ac", "c", "a"])
def test_a_dropped_recipient_has_its_reply_in_its_place(smtp: Make, others: str) -> None:
    names = [name for name in "abc" if name in others or name == "b"]
    commands = "|".join(f"RCPT TO:<{name}@z>" for name in names)
    up = "|".join(f"RCPT TO:<{name}@z>" for name in others)
    told = "|".join("250 2.0.0 ok" if name == "b" else f"250 {name}" for name in names)
    final = "|".join("250 2.0.0 ok" if name == "b" else f"250 done {name}" for name in names)
    smtp(Trap(), protocol="lmtp").play(f"""
        C> MAIL FROM:<x@y>|{commands}
        U< MAIL FROM:<x@y>|{up}
        U> 250 ok|{"|".join(f"250 {name}" for name in others)}
        C< 250 ok|{told}
        {TEXT.strip()}
        U> {"|".join(f"250 done {name}" for name in others)}
        C< {final}
        U< NOOP
    """)


def test_bdat_has_one_reply_a_recipient_too(smtp: Make) -> None:
    smtp(protocol="lmtp").play("""
        C> MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>|RCPT TO:<a@z>|BDAT 4|hi|BDAT 0 LAST|NOOP
        U< MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>|RCPT TO:<a@z>|BDAT 4|hi
        U> 250 ok|250 a|550 b|250 a|250 chunk
        C< 250 ok|250 a|550 b|250 a|250 chunk
        U< BDAT 0 LAST
        U> 250 one
        C< 250 one
        U> 250 two
        C< 250 two
        U< NOOP
    """)


def test_lmtp_without_recipients(smtp: Make) -> None:
    smtp(protocol="lmtp").play("""
        C> MAIL FROM:<x@y>|RCPT TO:<b@z>|DATA|NOOP
        U< MAIL FROM:<x@y>|RCPT TO:<b@z>|DATA
        U> 250 ok|550 b|503 no recipients
        C< 250 ok|550 b|503 no recipients
        U< NOOP
    """)
    smtp(protocol="lmtp").play("""
        C> MAIL FROM:<x@y>|RCPT TO:<b@z>|DATA|NOOP
        U< MAIL FROM:<x@y>|RCPT TO:<b@z>|DATA
        U> 250 ok|550 b|354 go
        C< 250 ok|550 b|421 4.3.0 lost the server, try again later (s1)
        C. closed
        U. aborted
    """)


def test_a_client_that_left_is_owed_nothing_before_its_message_is_upstreams(smtp: Make) -> None:
    """It will send the message again: delivered behind its back, there would be two."""
    thinking: Deferred[None] = Deferred()
    played = smtp(Whole(thinking), upto="mail", protocol="lmtp")
    played.play("C> DATA\nC< 354 end data with <CR><LF>.<CR><LF>\nC> Subject: x||hi|.")
    assert not played.relay.owes_answer()
    thinking.callback(None)
    played.play("U< DATA")
    assert not played.relay.owes_answer()
    played.play("U> 354 go\nU< Subject: x||hi|.")
    assert played.relay.owes_answer()


@pytest.mark.parametrize(
    "text", ["DATA\nC< 354 end data with <CR><LF>.<CR><LF>\nC> Subject: x||hi|.", "BDAT 4 LAST|hi"]
)
def test_a_client_that_said_quit_behind_its_message_is_owed_the_answer(smtp: Make, text: str) -> None:
    """Exim sends QUIT with the end of the text, and then closes its half, in clear: it has not given up."""
    thinking: Deferred[None] = Deferred()
    played = smtp(Whole(thinking), upto="mail", protocol="lmtp")
    played.play(f"C> {text}|QUIT")
    assert played.relay.owes_answer()
    thinking.callback(None)
    assert played.relay.owes_answer()


@pytest.mark.parametrize("behind", ["", "QUIT|NOOP", "NOOP", "QUI\\", "QUIT now"])
def test_other_last_words_are_no_farewell(smtp: Make, behind: str) -> None:
    played = smtp(Whole(Deferred()), upto="mail", protocol="lmtp")
    played.play("C> DATA\nC< 354 end data with <CR><LF>.<CR><LF>")
    played.play(f"C> Subject: x||hi|.|{behind}" if behind else "C> Subject: x||hi|.")
    assert not played.relay.owes_answer()
    unended = smtp(Whole(Deferred()), upto="mail", protocol="lmtp")
    unended.play("C> DATA\nC< 354 end data with <CR><LF>.<CR><LF>\nC> Subject: x||QUIT")
    assert not unended.relay.owes_answer()


LAST = """
    C> BDAT 4 LAST|hi|NOOP
    U< BDAT 4 LAST|hi
"""


@pytest.mark.parametrize("text", [TEXT, LAST], ids=["DATA", "BDAT"])
@pytest.mark.parametrize("code", [500, 501, 502, 503, 504])
def test_a_text_that_was_not_taken_has_one_reply(smtp: Make, text: str, code: int) -> None:
    """Dovecot 2.3 after a chunk that failed; the client is owed one for each of its recipients all the same."""
    told = Told()
    smtp(told, protocol="lmtp").play(f"""
        {THREE.strip()}
        {text.strip()}
        U> {code} no
        C< {code} no|{code} no
        U< NOOP
        U> 250 ok
        C< 250 ok
    """)
    assert told.outcomes == [("rejected", f"{code} no")]


@pytest.mark.parametrize("text", [TEXT, LAST], ids=["DATA", "BDAT"])
def test_a_refusal_that_may_be_all_there_is(smtp: Make, text: str) -> None:
    """Whether it was meant for all can't be known; that none of the others was told 250 is sure."""
    smtp(protocol="lmtp").play(f"""
        {THREE.strip()}
        {text.strip()}
        U> 452 no room
        C< 452 no room
        T+ 89
        C< {LOST}
        C. closed
        U. aborted
    """)
    smtp(protocol="lmtp").play(f"""
        {THREE.strip()}
        {text.strip()}
        U> 250 one
        C< 250 one
        T+ 599
        T+ 1
        C< {LOST}
        C. closed
        U. aborted
    """)


def test_a_delivery_that_takes_its_time_behind_a_refusal(smtp: Make) -> None:
    smtp(protocol="lmtp").play(f"""
        {THREE.strip()}
        {TEXT.strip()}
        U> 552 one is full
        C< 552 one is full
        T+ 59
        U> 250 two
        C< 250 two
        U< NOOP
    """)


FOUR = """
    C> MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>|RCPT TO:<a@z>|RCPT TO:<c@z>
    U< MAIL FROM:<x@y>|RCPT TO:<a@z>|RCPT TO:<b@z>|RCPT TO:<a@z>|RCPT TO:<c@z>
    U> 250 ok|250 a|250 b|250 a|250 c
    C< 250 ok|250 a|250 b|250 a|250 c
"""
DEATHS = {
    "closes": ("U! gone", 0),
    "resets": ("U! reset", 0),
    "says goodbye": ("U> 421 bye", 1),
    "says goodbye in two lines": ("U> 421-so long|421 bye", 1),
    "says garbage": ("U> hello?", 0),
    "says half a line": ("U> 250 \\" + "\nU! gone", 0),
    "says half a reply": ("U> 250-one|250-" + "\nU! reset", 0),
    "never ends its reply": ("U> " + "250-and|" * 1001, 0),
    "says a line that is too long": ("U> 250 " + "x" * 5000, 0),
    "asks for more": ("U> 354 go on", 0),
    "says nothing": ("T+ 600", 0),
}


@pytest.mark.parametrize("known", [0, 1, 2, 3])
@pytest.mark.parametrize(("death", "answers"), DEATHS.values(), ids=DEATHS.keys())
def test_upstream_dies_between_replies(smtp: Make, known: int, death: str, answers: int) -> None:
    """Four are owed, to two for the same address: `known` were said; what comes then is said, and 451. The
    session outlives a connection that ends, and no upstream that broke the rules.
    """
    replies = ["250-2.0.0 done|250 2.0.0 one", "452 4.2.2 full", "250 2.0.0 three"][:known]
    stage = smtp(protocol="lmtp").play(FOUR + TEXT)
    for reply in replies:
        stage.play(f"U> {reply}\nC< {reply}")
    own = [death.removeprefix("U> ")] * answers
    rows = death.splitlines()
    end = "C< 250 2.0.0 ok" if rows[-1].startswith("U!") else "C. closed"
    stage.play("\n".join([*rows, f"C< {'|'.join([*own, *[LOST] * (4 - known - answers)])}", end]))


Fate = Literal["accepted", "refused", "dropped"]
Kind = Literal["smtp", "lmtp"]


class Fates(Told):
    """Drops whom a test wants dropped."""

    @hookimpl
    def rcpt_to(self, recipient: Recipient) -> Any:
        return Discard("trap") if recipient.local == "dropped" else None


@given(
    st.sampled_from(["smtp", "lmtp"]),
    st.sampled_from(["smtp", "lmtp"]),
    st.lists(st.sampled_from(["accepted", "refused", "dropped"]), min_size=1, max_size=6),
    st.lists(
        st.sampled_from(["250 ok", "250-so|250 ok", "452 full", "552 full", "503 bad"]),
        min_size=6,
        max_size=6,
    ),
    st.sampled_from(["", "U! reset", "U! gone", "U> what", "U> 421 bye", "T+ 600"]),
    st.integers(0, 6),
    st.booleans(),
)
def test_each_is_told_once_and_no_250_is_ours(
    front: Kind, back: Kind, fates: list[Fate], replies: list[str], death: str, at: int, chunk: bool
) -> None:
    """Whoever speaks what, whoever was refused or dropped, and wherever upstream ends."""
    told = Fates()
    rules = Rules(upstream="server", smtp=SmtpRules(upstream_protocol=back if back != front else ""))
    stage = Stage(front, [Plug("fates", told)], rules)
    stage.play("U> 220 hi\nC< 220 hi")
    hello = {"smtp": "EHLO", "lmtp": "LHLO"}
    offer = "250-x|250-CHUNKING|250 PIPELINING"
    stage.play(f"C> {hello[front]} me\nU< {hello[back]} me\nU> {offer}\nC< {offer}")
    stage.play("C> MAIL FROM:<x@y>\nU< MAIL FROM:<x@y>\nU> 250 ok\nC< 250 ok")
    owed: list[Fate] = []
    for fate in fates:
        stage.say("client", b"RCPT TO:<%s@z>\r\n" % fate.encode())
        if stage.upstream.heard:
            stage.upstream.heard = b""
            stage.say("upstream", b"250 ok\r\n" if fate == "accepted" else b"550 no\r\n")
        if stage.client.heard.startswith(b"250"):
            owed.append(fate)
        stage.client.heard = b""
    up = owed.count("accepted")
    assume(up)
    stage.say("client", b"BDAT 4 LAST\r\nhi\r\n" if chunk else b"DATA\r\n")
    if not stage.upstream.heard.endswith(b"hi\r\n"):
        stage.upstream.heard = b""
        if not chunk and not stage.client.heard:
            stage.say("upstream", b"354 go\r\n")
        if not chunk:
            stage.say("client", b"hi\r\n.\r\n")
        if b"DATA" in stage.upstream.heard:
            stage.say("upstream", b"354 go\r\n")
    assert stage.upstream.heard.endswith(b"hi\r\n" if chunk else b"hi\r\n.\r\n")
    stage.upstream.heard = stage.client.heard = b""

    wanted = 1 if back == "smtp" or replies[0].startswith("503") else up
    said = replies[: min(at, wanted) if death else wanted]
    for reply in said:
        stage.say("upstream", octets(reply))
    if death and len(said) < wanted:
        what, _, line = death.partition(" ")
        if what == "U!":
            stage.relay.upstream_gone(line)
        elif what == "T+":
            stage.clock.pump([1.0] * int(line))
        else:
            stage.say("upstream", octets(line))
    codes = [line[:3] for line in stage.client.heard.split(b"\r\n") if line[3:4] == b" "]
    assert len(codes) == (len(owed) if front == "lmtp" else 1)
    if front == back == "lmtp":
        served = iter(reply[:3].encode() for reply in said)
        rest = said[0][:3].encode() if said and said[0].startswith("503") else b"451"
        for fate, code in zip(owed, codes, strict=True):
            assert code == (b"250" if fate == "dropped" else next(served, rest)) or code == b"421"
    elif front == "smtp":
        assert (codes == [b"250"]) == (len(said) == wanted and all(reply.startswith("250") for reply in said))
    else:
        accepted = bool(said) and said[0].startswith("250")
        assert all(
            (code == b"250") == (accepted or fate == "dropped")
            for fate, code in zip(owed, codes, strict=True)
        )
    assert len(told.done) == 1
