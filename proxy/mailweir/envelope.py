"""Who sends, and to whom: what plugins read and change of one SMTP or LMTP transaction (RFC 5321 3.3).

A change is an assignment. The relay looks at what has changed after the plugins were asked, and asks
upstream accordingly. A value that could not stand in a command is a `ValueError`, at the plugin; so is any
change once the message is on its way to upstream, and where there is no transaction at all.
"""

import re

from mailweir.verdict import Defer, Discard, Quarantine, Reject

ADDRESS = 254
"""Octets of an address at most: a path has 256, with its brackets (RFC 5321 4.5.3.1.3)."""

PARAMETERS = 1024
"""Octets of a command's parameters at most; some servers take lines of 2048 and no longer."""

_ADDRESS = re.compile(
    r"(?!@)"  # that would be a source route, which readers leave out (RFC 5321 C)
    r'(?:[^\x00-\x20\x7f-\x9f<>"\\]++|"(?:[^\x00-\x1f\x7f-\x9f"\\]++|\\[ -~])*+")*+'
)
_PARAMETERS = re.compile(r"(?! )[^\x00-\x1f\x7f]*+(?<! )")

Single = Reject | Defer | Discard | Quarantine
"""What may be said to one recipient of several; the rest is about the whole message or session."""


class Said:
    """What MAIL and RCPT have in common: parameters, and whether a plugin has changed what was said.

    `fixed`: upstream can't be asked anew, so any change is a mistake.
    """

    __slots__ = ("_parameters", "edited", "fixed")

    def __init__(self, parameters: str) -> None:
        self._parameters = parameters
        self.edited = False
        self.fixed = False

    @property
    def parameters(self) -> str:
        return self._parameters

    @parameters.setter
    def parameters(self, parameters: str) -> None:
        check_parameters(parameters)
        if parameters != self._parameters:
            self._change()
            self._parameters = parameters

    def _change(self) -> None:
        check_open(self.fixed)
        self.edited = True


class Recipient(Said):
    """One RCPT. `address` is what stands between the angle brackets, `parameters` the rest, verbatim.

    `original` is the address as the client said it, empty for a recipient that a plugin `added`; nobody
    hears of those, and `required` says whether mail may go without them. `accepted`: the client was told
    so. `refused_by` is who said no: a plugin's name or "upstream"; empty as long as nobody did.

    Plugins may assign `address`, `parameters`, `verdict` (what becomes of this recipient's copy, where the
    message itself passes) and, at `rcpt_to`, `policy`: the name of what this recipient wants to happen to
    the message, for listeners where those who want different things are kept apart. `decided_by` is the
    plugin whose `verdict` it is.
    """

    __slots__ = (
        "_address",
        "_verdict",
        "accepted",
        "added",
        "decided_by",
        "original",
        "policy",
        "refused_by",
        "required",
    )

    def __init__(self, address: str, parameters: str = "", *, accepted: bool = False) -> None:
        super().__init__(parameters)
        self._address = self.original = address
        self._verdict: Single | None = None
        self.accepted = accepted
        self.added = False
        self.required = False
        self.decided_by = ""
        self.policy = ""
        self.refused_by = ""

    def __repr__(self) -> str:
        return f"Recipient({self._address!r}, {self._parameters!r})"

    @property
    def address(self) -> str:
        return self._address

    @address.setter
    def address(self, address: str) -> None:
        if not address:
            raise ValueError("a recipient has an address")
        check_address(address)
        if address != self._address:
            self._change()
            self._address = address

    @property
    def verdict(self) -> Single | None:
        return self._verdict

    @verdict.setter
    def verdict(self, verdict: Single | None) -> None:
        if verdict is not None and not isinstance(verdict, Single):
            raise ValueError(f"one recipient can't be answered with {type(verdict).__name__}")
        self._change()
        self._verdict = verdict

    @property
    def local(self) -> str:
        """The part before the last `@`, as it was written."""
        return self._address.rpartition("@")[0] if "@" in self._address else self._address

    @property
    def domain(self) -> str:
        """The part behind the last `@`, in lower case; empty if there is none."""
        return self._address.rpartition("@")[2].lower() if "@" in self._address else ""


class Envelope(Said):
    """Sender and recipients. Plugins may assign `sender` and `parameters` (of MAIL) and `add` or `remove`.

    `recipients` are in the order of their RCPTs, those that plugins added among them.
    """

    __slots__ = ("_sender", "additions", "recipients")

    def __init__(
        self, sender: str = "", parameters: str = "", recipients: list[Recipient] | None = None
    ) -> None:
        super().__init__(parameters)
        self._sender = sender
        self.recipients = [] if recipients is None else recipients
        self.additions: tuple[Recipient, ...] = ()

    def __repr__(self) -> str:
        return f"Envelope({self._sender!r}, {self._parameters!r}, {self.recipients!r})"

    @property
    def sender(self) -> str:
        return self._sender

    @sender.setter
    def sender(self, sender: str) -> None:
        check_address(sender)
        if sender != self._sender:
            self._change()
            self._sender = sender

    @property
    def accepted(self) -> list[Recipient]:
        """The recipients that the client was told were accepted, in the order of their RCPTs."""
        return [recipient for recipient in self.recipients if recipient.accepted]

    def add(self, address: str, parameters: str = "", *, required: bool = True) -> Recipient:
        """One more recipient, of whom the client never hears.

        If upstream refuses a `required` one, so is what the plugin was asked about: the recipient at
        `rcpt_to`, else the message. One that isn't is only logged and counted then.
        """
        recipient = Recipient("")
        recipient.address = address
        recipient.parameters = parameters
        check_open(self.fixed)
        recipient.original = ""
        recipient.edited = False
        recipient.added = True
        recipient.required = required
        self.recipients.append(recipient)
        self.additions += (recipient,)
        return recipient

    def remove(self, recipient: Recipient) -> None:
        """This recipient gets nothing, and the client hears that it did."""
        recipient.verdict = Discard("removed from the envelope")

    def fix(self, fixed: bool = True) -> bool:
        """From here on upstream can't be asked anew: changes are mistakes. Returns what was before."""
        before, self.fixed = self.fixed, fixed
        for recipient in self.recipients:
            recipient.fixed = fixed
        return before


def check_open(fixed: bool) -> None:
    if fixed:
        raise ValueError("this envelope can't be changed any more: the message is on its way, or has none")


def check_address(address: str) -> None:
    """`ValueError` unless this can stand between angle brackets and is read there as what it is.

    >>> check_address('"a b"@example.org'), check_address("")
    (None, None)
    >>> check_address("a b@example.org")
    Traceback (most recent call last):
    ValueError: not an address: 'a b@example.org'
    """
    if _ADDRESS.fullmatch(address) is None:
        raise ValueError(f"not an address: {address[:80]!r}")
    if len(address.encode()) > ADDRESS:
        raise ValueError(f"an address has at most {ADDRESS} octets: {address[:80]!r}")


def check_parameters(parameters: str) -> None:
    """`ValueError` unless these can stand behind a path: no control characters, no blanks at the ends."""
    if _PARAMETERS.fullmatch(parameters) is None:
        raise ValueError(f"not parameters: {parameters[:80]!r}")
    if len(parameters.encode()) > PARAMETERS:
        raise ValueError(f"parameters have at most {PARAMETERS} octets: {parameters[:80]!r}")
