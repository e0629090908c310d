"""mailweir: a programmable proxy for SMTP, LMTP, POP3 and IMAP.

All that a plugin may import stands here (and `mailweir.testing` for its tests). Inside, octets flow

    net -> wire -> relay -> chain of plugins -> relay -> wire -> net

Read `session`, `message` and `verdict` for the nouns, `hookspecs` for what plugins are asked, then
`relay/__init__.py` for how a conversation is carried. ARCHITECTURE.md says why it is so.
"""

from mailweir.canonical import RelaxedBody, SimpleBody, relaxed_field, simple_field
from mailweir.envelope import Envelope, Recipient
from mailweir.headers import Field, HeaderError, Headers, HeaderTooBig, decoded
from mailweir.hookspecs import hookimpl
from mailweir.log import logger
from mailweir.log import write as log_event
from mailweir.message import Message
from mailweir.metrics import Counter, Gauge, Histogram
from mailweir.mime import Ambiguous, Limits, Part, parts
from mailweir.session import Address, Certificate, Command, Credentials, Session, Tls, Transaction
from mailweir.settings import ConfigPath, Secret
from mailweir.verdict import (
    Accept,
    Close,
    Decision,
    Defer,
    Discard,
    Quarantine,
    Reject,
    Route,
    Verdict,
    printable,
)
from mailweir.version import VERSION as __version__

__all__ = [
    "Accept",
    "Address",
    "Ambiguous",
    "Certificate",
    "Close",
    "Command",
    "ConfigPath",
    "Counter",
    "Credentials",
    "Decision",
    "Defer",
    "Discard",
    "Envelope",
    "Field",
    "Gauge",
    "HeaderError",
    "HeaderTooBig",
    "Headers",
    "Histogram",
    "Limits",
    "Message",
    "Part",
    "Quarantine",
    "Recipient",
    "Reject",
    "RelaxedBody",
    "Route",
    "Secret",
    "Session",
    "SimpleBody",
    "Tls",
    "Transaction",
    "Verdict",
    "__version__",
    "decoded",
    "hookimpl",
    "log_event",
    "logger",
    "parts",
    "printable",
    "relaxed_field",
    "simple_field",
]
