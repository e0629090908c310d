"""Values of the configuration that are more than a word: sizes, durations, addresses.

Each is a type for the models of `config`. What a person wrote wrongly is a `ValueError` whose text says
what to write instead.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    BeforeValidator,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from mailweir.net.addresses import NO_PLACE, WILDCARDS, Inherited, Tcp, Unix, parse
from mailweir.settings import folder

SIZES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?) ?([a-zA-Z]*)", re.ASCII)


def _amount(value: object, units: Mapping[str, float], sentence: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return value
    found = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or found[2].lower() not in units:
        raise ValueError(sentence)
    return float(found[1]) * units[found[2].lower()]


def size(value: object) -> int:
    """Octets. A number is octets; with a unit 1 kB is 1000 and 1 KiB is 1024 of them.

    >>> size("1MiB"), size("2 kB"), size(7)
    (1048576, 2000, 7)
    """
    return int(_amount(value, SIZES, "must be a size like 500kB, 1MiB or 10GiB"))


def duration(value: object) -> float:
    """Seconds. A number is seconds; the units are ms, s, m, h, d.

    >>> duration("1.5m"), duration(10)
    (90.0, 10.0)
    """
    return float(_amount(value, SECONDS, "must be a duration like 500ms, 60s or 5m"))


def limit(value: object) -> int:
    """A size, or `none`, which is 0."""
    if value is None or value == "none":
        return 0
    try:
        return size(value)
    except ValueError as error:
        raise ValueError(f"{error}, or none") from error


def _or_none(value: object, inner: ValidatorFunctionWrapHandler) -> Any:
    if value is None or value == "none" or (value == 0 and not isinstance(value, bool)):
        return 0
    try:
        return inner(value)
    except ValidationError as error:
        (detail,) = error.errors(include_url=False)
        if detail["type"] != "value_error":
            raise
        raise ValueError(f"{detail['ctx']['error']}, or none") from error


def _address(value: object, info: ValidationInfo) -> str:
    if not isinstance(value, str):
        raise ValueError(NO_PLACE)
    place = parse(value)
    if isinstance(place, Unix):
        return str(Unix(str(folder(info) / place.path)))
    if isinstance(place, Tcp) and not _may_be_host(place.host):
        raise ValueError(f"{place.host} is no host")
    return value


def _may_be_host(name: str) -> bool:
    """A number, or a name whose labels are neither empty nor longer than 63 octets (RFC 1035 2.3.4)."""
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return re.fullmatch(r"[\w.:%-]+", name) is not None


def _upstream_address(value: object, info: ValidationInfo) -> str:
    try:
        address = _address(value, info)
    except ValueError as error:
        raise ValueError(
            str(error).replace(NO_PLACE, "must be host:port, [v6]:port or unix:/path")
        ) from error
    place = parse(address)
    if isinstance(place, Inherited):
        raise ValueError("systemd: names sockets to listen on; write host:port or unix:/path")
    if isinstance(place, Tcp) and (place.port == 0 or place.host in WILDCARDS):
        raise ValueError("no server can be reached there")
    return address


def _addresses(value: object) -> Any:
    if value == [] or value is None:
        raise ValueError("must be an address like 127.0.0.1:2525, or a list of them")
    return value if isinstance(value, list) else [value]


Size = Annotated[int, BeforeValidator(size)]
Limit = Annotated[int, BeforeValidator(limit)]
Duration = Annotated[float, BeforeValidator(duration)]
_Value = TypeVar("_Value")
NoneOr = Annotated[_Value, WrapValidator(_or_none)]
"""A value of this kind, or `none`, which is 0."""
Address = Annotated[str, BeforeValidator(_address)]
Addresses = Annotated[list[Address], BeforeValidator(_addresses)]
ServerAddresses = Annotated[
    list[Annotated[str, BeforeValidator(_upstream_address)]], BeforeValidator(_addresses)
]
