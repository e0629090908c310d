"""The configuration as frozen models; `conf/mailweir.yaml` explains every key to the keeper.

`reading.read` makes a `Configuration` from a file, or says everything that is wrong with it. Sizes are
octets, durations seconds, paths absolute; addresses are such as `net.addresses.parse` takes apart.
"""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from mailweir import log, session, spool
from mailweir.app.values import Address, Addresses, Duration, Limit, NoneOr, ServerAddresses, Size
from mailweir.chain.plug import Mode, OnError
from mailweir.net.addresses import is_number
from mailweir.net.certificates import ciphers_mistake
from mailweir.relay import rules
from mailweir.settings import ConfigPath, folder

ClientTls = Literal["none", "starttls", "implicit"]
UpstreamTls = Literal["none", "opportunistic", "starttls", "implicit"]
Unknown = Literal["auto", "opaque", "refuse"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=64)]
Count = Annotated[int, Field(strict=True, ge=1)]


class Model(BaseModel):
    """What all parts share: nothing changes after reading, and no key is ignored.

    `later` are keys that a later version will know; what they would say is refused, not passed over.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    later: ClassVar[frozenset[str]] = frozenset()


def _upstream(value: object) -> object:
    if value == "original":
        raise ValueError("this version has no transparent mode; name an upstream, or route")
    return value


def _ciphers(value: object) -> object:
    """What OpenSSL knows; `auto` and nothing at all are our own list."""
    if value in ("", "auto"):
        return ""
    mistake = ciphers_mistake(value) if isinstance(value, str) else "must be a text"
    if mistake:
        raise ValueError(mistake)
    return value


class Listener(Model):
    """One protocol, one policy, one route, one ordered list of plugins; any number of addresses."""

    later = frozenset({"trusted"})

    protocol: session.Protocol
    listen: Addresses
    tls: ClientTls = "none"
    require_tls: bool = False
    tls_minimum: Literal["1.2", "1.3"] = "1.2"
    tls_ciphers: Annotated[str, BeforeValidator(_ciphers)] = ""
    client_ca: ConfigPath | None = None
    require_client_certificate: bool = False
    upstream: Annotated[str, BeforeValidator(_upstream)]
    plugins: list[str] = []
    unknown: Unknown = "auto"
    allow_plaintext: bool = False
    splice: Literal["auto", "never"] = "auto"
    bare_newline: rules.BareNewline = "reject"
    nul: rules.Nul = "pass"
    i_know: list[Literal["smuggling"]] = []
    trace: rules.Trace = "none"
    verdicts: rules.Verdicts = "strictest"
    early_talker: rules.EarlyTalker = "ignore"


def _verify(value: object, info: ValidationInfo) -> object:
    """true, false, dane, or the path of a CA file, relative to the configuration."""
    if isinstance(value, bool) or value == "dane":
        return value
    if value in ("yes", "no", "on", "off", "none") or not isinstance(value, str) or not value:
        raise ValueError("must be true, false, dane or the path of a CA file")
    return folder(info) / value


def _host_name(value: object) -> object:
    """A name as certificates and SNI have it: never a number, and ASCII once IDNA has seen it."""
    try:
        fits = isinstance(value, str) and value and not is_number(value) and value.encode("idna")
    except UnicodeError:
        fits = False
    if not fits:
        raise ValueError("must be a host name")
    return value


class Upstream(Model):
    """A server behind us; `address` is tried in order."""

    later = frozenset({"identity"})

    address: ServerAddresses
    protocol: Literal["auto", "smtp", "lmtp"] = "auto"
    tls: UpstreamTls = "none"
    verify: Annotated[bool | Literal["dane"] | Path, BeforeValidator(_verify)] = True
    name: Annotated[str, BeforeValidator(_host_name)] = ""
    sni: Annotated[str, BeforeValidator(_host_name)] = ""
    certificate: ConfigPath | None = None
    key: ConfigPath | None = None
    connections: Count = 1000
    connect_timeout: Duration = 10.0


class PluginEntry(Model):
    """One plugin under the name by which listeners list it. `options` belong to its own `Settings`.

    `breaker` is how many failures in a row make the chain answer `on_error` at once for `breaker_pause`
    seconds; 0 is never.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    use: str = ""
    mode: Mode = "enforce"
    timeout: Duration = 10.0
    on_error: OnError = "defer"
    max_concurrency: Count = 100
    breaker: Annotated[int, Field(strict=True, ge=0)] = 0
    breaker_pause: Duration = 30.0

    @model_validator(mode="before")
    @classmethod
    def _nothing_said(cls, value: object) -> object:
        return {} if value is None else value

    @property
    def options(self) -> dict[str, Any]:
        """Every key that is not one of ours."""
        return self.model_extra or {}


class Certificate(Model):
    """A chain of certificates and the key of the first, both PEM."""

    certificate: ConfigPath
    key: ConfigPath


class Admin(Model):
    """Where the keeper looks: /metrics, /health, /ready."""

    listen: Address = "127.0.0.1:9180"


class Log(Model):
    """How log lines look, and from which level on there are any."""

    format: log.Format = "json"
    level: log.Level = "info"


def _idle(value: object) -> object:
    return 0 if value == "auto" else value


class Limits(Model):
    """What one client, and all together, may use.

    0 as `message_size`: upstream's own limit rules; as `client_idle`: what the protocol's RFC asks for.
    """

    message_size: Limit = 0
    sessions: Count = 10000
    sessions_per_client: Count = 100
    before_login: Duration = 60.0
    client_idle: Annotated[Duration, BeforeValidator(_idle)] = 0.0
    upstream_reply: Duration = 600.0
    command_line: Size = 4096
    recipients: NoneOr[Count] = 1000
    bad_commands: NoneOr[Count] = 50
    idle_commands: NoneOr[Count] = 1000
    messages_per_session: NoneOr[Count] = 0
    session_time: NoneOr[Duration] = 0.0
    command_time: NoneOr[Duration] = 300.0
    text_rate: NoneOr[Size] = 0
    drain: Duration = 30.0


class SpoolRoom(Model):
    """Where whole messages wait for a verdict. No directory: the system's temporary one."""

    directory: ConfigPath | None = None
    memory: Size = spool.MEMORY
    total: Size = spool.TOTAL


class Configuration(Model):
    """Everything that the file says."""

    later = frozenset({"workers", "quarantine"})

    listeners: dict[Name, Listener] = {}
    upstreams: dict[Name, Upstream] = {}
    plugins: dict[Name, PluginEntry] = {}
    certificates: list[Certificate] = []
    admin: Admin | None = None
    log: Log = Log()
    limits: Limits = Limits()
    spool: SpoolRoom = SpoolRoom()

    @model_validator(mode="before")
    @classmethod
    def _empty_sections(cls, value: object) -> object:
        """A section with nothing below it, as one has when all its lines are comments."""
        if isinstance(value, dict):
            return {
                key: part for key, part in value.items() if part is not None or key not in cls.model_fields
            }
        return value
