"""How SMTP says verdicts and our own errors (RFC 5321 4.2, RFC 3463).

An enhanced code is said only in sessions that were offered them (RFC 2034 4), and the session's id stands
in every refusal, so that who complains can be found in the log.
"""

from typing import NamedTuple

from mailweir.verdict import Close, Decision, Discard, Reject, printable


class Answer(NamedTuple):
    """A reply of ours, before it is put in octets. `status` may be empty."""

    code: int
    status: str
    text: str


ACCEPTED = Answer(250, "2.0.0", "ok")
BYE = Answer(221, "2.0.0", "bye")
READY = Answer(220, "2.0.0", "ready to start TLS")
UNAVAILABLE = Answer(421, "4.3.2", "service not available, try again later")
CLOSING = Answer(421, "4.3.2", "going down, try again later")
LOST = Answer(421, "4.3.0", "lost the server, try again later")
LOST_COMMAND = Answer(451, "4.3.0", "lost the server, try again later")
LOST_AT_END = Answer(451, "4.4.2", "lost the server, fate of the message unknown, try again later")
NO_TLS_UPSTREAM = Answer(421, "4.7.0", "no secure way to the server, try again later")
OUT_OF_SYNC = Answer(421, "4.3.0", "session can't go on, start a new one")
EARLY = Answer(554, "5.5.1", "you spoke before you were greeted")
TOO_MANY_ERRORS = Answer(421, "4.7.0", "too many errors")
TOO_MUCH_IDLING = Answer(421, "4.7.0", "too many commands without a message")
TOO_LONG = Answer(421, "4.7.0", "session lasts too long")
SLOW_LINE = Answer(421, "4.4.2", "command took too long")
SLOW_TEXT = Answer(421, "4.4.2", "message comes too slowly")
IDLE = Answer(421, "4.4.2", "idle for too long")
NEEDS_TLS = Answer(530, "5.7.0", "must issue a STARTTLS command first")
NEEDS_HELLO = Answer(503, "5.5.1", "say hello first")
NEEDS_MAIL = Answer(503, "5.5.1", "need MAIL first")
MIXED = Answer(503, "5.5.1", "BDAT and DATA can't be mixed")
IN_TEXT = Answer(503, "5.5.1", "in the middle of a message; send the rest of it, or RSET")
NOT_OFFERED = Answer(503, "5.5.1", "CHUNKING was not offered")
BAD_ARGUMENTS = Answer(501, "5.5.4", "syntax error in arguments")
NO_SUCH_PARAMETER = Answer(555, "5.5.4", "parameter not offered")
TOO_MANY_RECIPIENTS = Answer(452, "4.5.3", "too many recipients, send to the others again")
TOO_MANY_MESSAGES = Answer(421, "4.7.0", "too many messages, start a new session")
ALONE = Answer(452, "4.5.3", "one recipient at a time, send this one again")
APART = Answer(452, "4.5.3", "this recipient needs a message of its own, send it again")
TOO_BIG = Answer(552, "5.3.4", "message too big")
LOOP = Answer(554, "5.4.6", "routing loop")
FOLDED = Answer(550, "5.6.0", "message begins with a folded line that belongs to nothing")
STRAY = Answer(550, "5.6.0", "CR or LF alone in the message; lines end in CRLF")
HIDDEN_END = Answer(550, "5.6.0", "a line of the message is a dot with something that servers overlook")
STRAY_CR = Answer(550, "5.6.0", "CR alone in the message; lines end in CRLF")
NUL = Answer(550, "5.6.0", "NUL in the message")
UNKNOWN = Answer(500, "5.5.2", "command not recognized")
DISABLED = Answer(502, "5.5.1", "command not available")
LOGIN_FIRST_ENCRYPT = Answer(538, "5.7.11", "this mechanism needs an encrypted connection")
NO_MECHANISM = Answer(504, "5.5.4", "mechanism not offered")
BAD_RESPONSE = Answer(501, "5.5.2", "can't read this response")
LOCAL_ERROR = Answer(451, "4.3.0", "local error, try again later")

_LOGIN = {5: Answer(535, "5.7.8", "authentication refused"), 4: Answer(454, "4.7.0", "try again later")}
_OTHER = {5: Answer(550, "5.7.1", "refused by policy"), 4: Answer(451, "4.7.1", "try again later")}


def reply(refusal: Answer, session: str, *, enhanced: bool) -> bytes:
    """The reply line, at most 512 octets (RFC 5321 4.5.3.1.5)."""
    status = f"{printable(refusal.status, 12)} " if enhanced and refusal.status else ""
    mark = f" ({session})" if refusal.code >= 400 else ""
    return f"{refusal.code} {status}{printable(refusal.text)}{mark}\r\n".encode("ascii", "replace")


def refusal(decision: Decision, hook: str = "") -> Answer:
    """What to say for a verdict that stops something; `hook` empty: a message.

    `Quarantine` without a store is a `Defer`, and so is `Discard` where there is nothing to drop.
    """
    verdict = decision.verdict
    if isinstance(verdict, Close):
        usual = Answer(421, "4.7.0", "closing connection")
    elif isinstance(verdict, Discard) and hook in ("", "mail_from", "rcpt_to"):
        return ACCEPTED  # its text is for our log
    else:
        usual = (_LOGIN if hook == "login" else _OTHER)[5 if isinstance(verdict, Reject) else 4]
        if decision.failed:
            usual = Answer(usual.code, f"{usual.code // 100}.3.0", "local error")
    return Answer(verdict.code or usual.code, verdict.status or usual.status, verdict.said or usual.text)


def shown(octets: bytes) -> str:
    """A reply of upstream's as logs may show it."""
    return printable(octets.decode("utf-8", "replace"))


def greeting(decision: Decision | None, host: str, session: str, *, insecure: bool = False) -> bytes:
    """What is said in place of a greeting: 554 for "no", 421 for "not now" (RFC 5321 3.1, RFC 7504).

    `decision` None: upstream can't be had, or not securely.
    """
    if decision is None:
        answer = NO_TLS_UPSTREAM if insecure else UNAVAILABLE
    else:
        code = 554 if isinstance(decision.verdict, Reject) else 421
        answer = refusal(decision, "connected")._replace(code=decision.verdict.code or code)
    return in_greeting(answer, host, session)


def in_greeting(answer: Answer, host: str, session: str) -> bytes:
    """An answer in place of a greeting, which has a name and no enhanced code (RFC 2034 4)."""
    return reply(Answer(answer.code, "", f"{host} {answer.text}"), session, enhanced=False)
