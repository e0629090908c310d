"""Sessions at random against a model: commands in any order and cut, verdicts, replies, faults.

`account` reads each leg independently of the relay, `peers` and `whims` talk and answer, `world` moves the
octets, and `law` knows what must hold. `make soak` plays for longer.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from structlog.testing import capture_logs
from twisted.internet.task import Clock

from mailweir.chain.plug import Plug
from mailweir.relay.rules import Rules, SmtpRules
from mailweir.relay.smtp import intake, sending
from mailweir.session import Leg
from mailweir.spool import Spool
from mailweir.testing.play import Stage
from relay.smtp.law import HALF
from relay.smtp.peers import CUTS, Cut, Offer
from relay.smtp.whims import ENVELOPE_HOOKS, PLANS, PLUGINS, TEXT_HOOKS
from relay.smtp.world import World

FRAGMENTS = (
    *(b"Subject: hi\r\n", b"\r\n", b"text\r\n", b".", b"..", b".\r\n", b"\r\n.\r\n", b" folded\r\n"),
    *(b"QUIT\r\n", b"MAIL FROM:<evil@here>\r\n", b"\xff\x00", b"no end", b"\r\r\n"),
)
STRAYS = (b"\n", b"\r", b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n")
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=6).map(b"".join)
HOSTILE_TEXTS = st.lists(st.sampled_from((*FRAGMENTS, *STRAYS)), max_size=6).map(b"".join)

COMMANDS = (
    *("mail", "rcpt", "rcpt", "rset", "data", "noop n{n}", "vrfy n{n}", "help n{n}", "hello"),
    *(
        "RSET now",
        "AUTH PLAIN AGEAYg==",
        "AUTH LOGIN",
        "AUTH NONE",
        "MAIL FROM:bare{n}@c{c}.example y",
        "XFOO n{n}",
    ),
    *(" NOOP", "NOOP\tn{n}", "RCPT TO:<", "TURN", "STARTTLS", "rcpt to:", "long", "NOOP \0", "expn n{n}"),
)
JUNK = (b"\n", b"\r\n", b"\r", b"bdat x\r\n", b"BDAT 3", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"quit\r\n")
CODES = (550, 450, 421, 250, 354, 334, 220, 221, 554)
BLURTS = (b"250 unasked\r\n", b"25", b"what?\r\n", HALF, b"421 unasked\r\n", b"250 a\n250 b\r\n")
Steps = Literal["chunk", "text", "command"]


class Machine(RuleBasedStateMachine):
    """Two clients of one listener at any time; who has left is replaced by another."""

    @initialize(
        protocol=st.sampled_from(["smtp", "smtp", "lmtp"]),
        plugins=st.sampled_from(sorted(PLUGINS)),
        offer=st.builds(Offer, st.booleans(), st.booleans(), st.booleans(), st.booleans()),
        refuse_unknown=st.booleans(),
        starttls=st.booleans(),
        limit=st.sampled_from([0, 0, 200]),
        chunk=st.sampled_from([8, sending.CHUNK]),
        smtp=st.builds(
            SmtpRules,
            trace=st.sampled_from(["none", "none", "received"]),
            early_talker=st.sampled_from(["ignore", "ignore", "reject"]),
            bare_newline=st.sampled_from(["reject", "reject", "normalize", "pass"]),
            nul=st.sampled_from(["pass", "pass", "reject"]),
            upstream_protocol=st.sampled_from(["", "", "smtp", "lmtp"]),
        ),
    )
    def opens(
        self,
        protocol: Literal["smtp", "lmtp"],
        plugins: str,
        offer: Offer,
        refuse_unknown: bool,
        starttls: bool,
        limit: int,
        chunk: int,
        smtp: SmtpRules,
    ) -> None:
        self.around = ExitStack()
        self.around.enter_context(patch.object(sending, "CHUNK", chunk))
        self.around.enter_context(patch.object(intake, "EARLY", chunk))
        self.logged = self.around.enter_context(capture_logs())
        self.protocol = protocol
        self.offer = offer
        self.clock = Clock()
        self.listener = Rules(
            upstream="server",
            hostname="weir.example",
            refuse_unknown=refuse_unknown,
            starttls=starttls,
            allow_plaintext=True,
            message_size=limit,
            client_idle=300.0,
            spool=Spool(memory=32),
            smtp=smtp,
        )
        self.whims = PLUGINS[plugins]()
        self.plug = Plug("whims", self.whims)
        self.chain = Stage(protocol, [self.plug], clock=self.clock).chain
        self.count = 0
        self.number = 0
        self.worlds = [self.arrives(), self.arrives()]

    def arrives(self) -> World:
        self.number += 1
        stage = Stage(self.protocol, rules=self.listener, clock=self.clock, chain=self.chain)
        return World(self.number, stage, self.whims, self.offer, self.logged)

    def world(self, who: int) -> World:
        world = self.worlds[who]
        if world.over:
            world.finish()
            world = self.worlds[who] = self.arrives()
        return world

    def written(self, command: str, world: World) -> bytes:
        """A command with names in it that nobody else uses."""
        self.count += 1
        sender = f"m{self.count}@c{world.number}.example"
        known = {
            "mail": f"mail from:<{sender}>",
            "binary": f"mail from:<{sender}> BODY=BINARYMIME",
            "rcpt": f"rcpt to:<r{self.count % 3}@c{world.number}.example>",
            "long": "a" * 5000,
            "hello": f"{'lhlo' if self.protocol == 'lmtp' else 'ehlo'} n{self.count}",
        }
        return known.get(command, command).format(n=self.count, c=world.number).encode() + b"\r\n"

    def unlike(self, text: bytes, world: World) -> bytes:
        """A text whose senders, if it is taken for commands, are nobody else's either."""
        self.count += 1
        head, *parts = text.split(b"<evil@")
        return head + b"".join(
            b"<evil%d.%d@c%d.%s" % (n, self.count, world.number, part) for n, part in enumerate(parts)
        )

    who = st.sampled_from([0, 0, 0, 1])
    cut = st.sampled_from(CUTS)
    hooks = st.sampled_from(ENVELOPE_HOOKS + TEXT_HOOKS * 2)

    # The client.

    @rule(who=who, text=TEXTS, chunks=st.booleans(), cut=cut)
    def goes_on(self, who: int, text: bytes, chunks: bool, cut: Cut) -> None:
        """The client does what comes next in an honest session."""
        world = self.world(who)
        account = world.client
        text = self.unlike(text, world)
        if account.mode == "text":
            world.says(text + b"\r\n.\r\n", cut)
        elif account.mode == "response":
            world.says(b"QUJD\r\n", cut)
        elif account.mode == "command" and not account.open:
            mail = account.mail
            if not account.keywords:
                world.says(self.written("hello", world), cut)
            elif mail is None or mail.dead:
                world.says(self.written("binary" if self.offer.binary and chunks else "mail", world), cut)
            elif not mail.recipients:
                world.says(self.written("rcpt", world), cut)
            elif chunks and "CHUNKING" in account.keywords:
                world.says(b"bdat %d last\r\n" % len(text) + text, cut)
            else:
                world.says(b"data\r\n", cut)

    @rule(who=who, recipients=st.integers(1, 3), text=TEXTS, chunks=st.booleans(), cut=cut)
    def sends(self, who: int, recipients: int, text: bytes, chunks: bool, cut: Cut) -> None:
        """A message as a group of commands."""
        world = self.world(who)
        text = self.unlike(text, world)
        group = ["mail", *["rcpt"] * recipients]
        octets = b"".join(self.written(command, world) for command in group)
        if chunks:
            octets += b"bdat %d\r\n" % len(text) + text + b"bdat 2 LAST\r\n\r\n"
        world.says(octets + (b"" if chunks else b"data\r\n"), cut)

    @rule(
        who=who,
        recipients=st.lists(
            st.sampled_from(["nothing", "nothing", "nothing", "reject", "discard", "moves", "adds"]),
            max_size=4,
        ),
        text=TEXTS,
        chunks=st.booleans(),
        balks_at=st.sampled_from(["", "MAIL", "RCPT", "DATA", "BDAT", "end", "end"]),
    )
    def delivers(self, who: int, recipients: Sequence[str], text: bytes, chunks: bool, balks_at: str) -> None:
        """A message step by step, with a verdict for each recipient; the server may stop answering at a verb."""
        world = self.world(who)
        account = world.client
        world.obliging, world.balks_at = True, balks_at
        if account.mode != "command" or account.pending:
            return
        if not account.keywords:
            world.says(self.written("hello", world))
        world.says(self.written("mail", world))
        for verdict in recipients:
            self.whims.plan["rcpt_to"] = verdict, False
            world.says(self.written("rcpt", world))
        if chunks and "CHUNKING" in account.keywords:
            text = self.unlike(text, world)
            world.says(b"bdat %d last\r\n" % len(text) + text)
        else:
            world.says(b"data\r\n")
            if account.mode == "text":
                world.says(self.unlike(text, world) + b"\r\n.\r\n")

    @rule(who=who, commands=st.lists(st.sampled_from(COMMANDS), min_size=1, max_size=5), cut=cut)
    def commands(self, who: int, commands: Sequence[str], cut: Cut) -> None:
        world = self.world(who)
        world.says(b"".join(self.written(command, world) for command in commands), cut)

    @rule(who=who, text=HOSTILE_TEXTS, end=st.booleans(), cut=cut)
    def writes(self, who: int, text: bytes, end: bool, cut: Cut) -> None:
        world = self.world(who)
        world.says(self.unlike(text, world) + (b"\r\n.\r\n" if end else b""), cut)

    @rule(who=who, text=HOSTILE_TEXTS, last=st.booleans(), cut=cut)
    def chunk(self, who: int, text: bytes, last: bool, cut: Cut) -> None:
        world = self.world(who)
        text = self.unlike(text, world)
        world.says(b"bdat %d%s\r\n" % (len(text), b" last" if last else b"") + text, cut)

    @rule(who=who, octets=st.sampled_from(JUNK), cut=cut)
    def junk(self, who: int, octets: bytes, cut: Cut) -> None:
        self.world(who).says(octets, cut)

    @rule(who=who, leg=st.sampled_from(["client", "upstream"]), reason=st.sampled_from(["", "reset"]))
    def leaves(self, who: int, leg: Leg, reason: str) -> None:
        self.world(who).leaves(leg, reason)

    # Upstream.

    @rule(who=who, obliging=st.booleans())
    def obliges(self, who: int, obliging: bool) -> None:
        """From here on the server answers by itself, or waits to be told."""
        world = self.world(who)
        world.obliging = obliging
        world.settle()

    @rule(who=who, cut=cut)
    def answers(self, who: int, cut: Cut) -> None:
        self.world(who).answers(cut=cut)

    @rule(who=who, code=st.sampled_from(CODES), cut=cut)
    def refuses(self, who: int, code: int, cut: Cut) -> None:
        """Any reply to the oldest command, if the server waits to be told."""
        self.world(who).answers(code, "as I like", cut)

    @rule(who=who, octets=st.sampled_from(BLURTS))
    def blurts(self, who: int, octets: bytes) -> None:
        self.world(who).blurts(octets)

    # Plugins, time, and what the network does.

    @rule(hook=hooks, verdict=st.sampled_from(PLANS), late=st.booleans())
    def plans(self, hook: str, verdict: str, late: bool) -> None:
        self.whims.plan[hook] = verdict, late

    @precondition(lambda self: self.whims.thinking)
    @rule()
    def decides(self) -> None:
        self.whims.decide()
        self.settle()

    @rule(seconds=st.sampled_from([1, 11, 60, 400, 700]))
    def waits(self, seconds: int) -> None:
        self.clock.pump([min(seconds, 10.0)] * (seconds // 10 or 1))
        self.settle()

    @rule(who=who, leg=st.sampled_from(["client", "upstream"]))
    def fills(self, who: int, leg: Leg) -> None:
        self.world(who).fills(leg)

    @rule(who=who, leg=st.sampled_from(["client", "upstream"]))
    def drains(self, who: int, leg: Leg) -> None:
        self.world(who).drains(leg)

    @rule(who=who)
    def vanishes(self, who: int) -> None:
        """From here on the server can't be reached again."""
        self.world(who).stage.unreachable = "refused"

    @rule(who=who)
    def retires(self, who: int) -> None:
        world = self.world(who)
        world.stage.relay.retire()
        world.settle()

    def settle(self) -> None:
        for world in self.worlds:
            world.settle()

    def teardown(self) -> None:
        if not hasattr(self, "worlds") or any(world.failed for world in self.worlds):
            return  # what went wrong is known
        with self.around:
            for world in self.worlds:
                world.finish()
            while self.whims.thinking:
                self.whims.decide()
            self.clock.pump([1.0])
        assert self.listener.spool.used == 0
        assert not self.clock.getDelayedCalls()


def play(examples: int, *, same: bool = False) -> None:
    """So many times forty steps; `AssertionError` with the shortest story that is against the law. `same`: the
    stories of each run are the same.
    """
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=same,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(600)  # the shortest story takes its time to find
def test_sessions_at_random_keep_the_law() -> None:
    play(250, same=True)
