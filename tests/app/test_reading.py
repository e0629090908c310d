"""Values that are wrong in themselves, one row each, and everything that is wrong said at once."""

import json
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.files import SOUND, mistakes, with_line
from mailweir.app.reading import read

# fmt: off
FILES = {  # name: (the whole file, every mistake in it)
    "no mapping": ("- a\n", ["1:1: must be a mapping, `key: value`"]),
    "no listener": ("upstreams: {}\n", ["1:1: listeners: there must be at least one"]),
    "misspelt section": (SOUND + "lisners: 1\n", ["9:1: lisners: no such key; did you mean listeners?"]),
    "later section": (SOUND + "workers: 1\n", ["9:1: workers: this version does not have it"]),
    "required keys": ("listeners:\n  mx: {}\n", [f"2:3: listeners.mx.{key}: is required" for key in ("listen", "protocol", "upstream")]),
    "nothing said": ("listeners:\n  mx:\n", ["2:3: listeners.mx: must be a mapping, `key: value`"]),
    "odd name": (SOUND + "  m t a: {address: 'a:1'}\n", ["9:3: upstreams.m t a: a name is at most 64 letters, digits and _ . -"]),
    "log": (SOUND + "log: {format: jason, level: 3}\n", ["9:15: log.format: must be json, logfmt or console, not jason; did you mean json?", "9:29: log.level: must be debug, info, warning or error, not 3"]),
    "limits": (SOUND + "limits: {sessions: many, message_size: 1 mile, drain: -1, sessions_per_client: 0, before_login: 5 years}\n", [
        "9:20: limits.sessions: must be a whole number, not many",
        "9:40: limits.message_size: must be a size like 500kB, 1MiB or 10GiB, or none",
        "9:55: limits.drain: must be a duration like 500ms, 60s or 5m",
        "9:80: limits.sessions_per_client: must be at least 1, not 0",
        "9:97: limits.before_login: must be a duration like 500ms, 60s or 5m",
    ]),
    "a listener without a name": (SOUND.replace("  mx:", '  "":').replace("    protocol: smtp\n", ""), ["2:3: listeners.: a name is at most 64 letters, digits and _ . -", "2:3: listeners..protocol: is required"]),
    "certificates": (SOUND + "certificates: {certificate: a, key: b}\n", ["9:15: certificates: must be a list"]),
    "half a certificate": (SOUND + "certificates:\n  - certificate: one.pem\n  - {certificate: 5, key: one.key}\n", ["10:5: certificates.0.key: is required", "11:19: certificates.1.certificate: must be a path"]),
}

LISTENERS = {  # name: (lines of a listener, from line 6 on; what is said of them)
    "misspelt key": ("tsl: starttls", "6:5: listeners.mx.tsl: no such key; did you mean tls?"),
    "unknown key": ("zzz: 1", "6:5: listeners.mx.zzz: no such key; there are protocol, listen, tls, require_tls, tls_minimum, tls_ciphers, client_ca, require_client_certificate, upstream, plugins, unknown, allow_plaintext, splice, bare_newline, nul, i_know, trace, verdicts, early_talker"),
    "said twice": ("upstream: mta", "6:5: listeners.mx.upstream: stands here twice, first on line 5"),
    "wrong word": ("tls: startls", "6:10: listeners.mx.tls: must be none, starttls or implicit, not startls; did you mean starttls?"),
    "no truth": ("require_tls: maybe", "6:18: listeners.mx.require_tls: must be true or false, not maybe"),
    "no list": ("plugins: accesslog", "6:14: listeners.mx.plugins: must be a list, not accesslog; write [accesslog]"),
    "no text": ("plugins: [1]", "6:15: listeners.mx.plugins.0: must be a text, not 1"),
    "later key": ("trusted: {}", "6:5: listeners.mx.trusted: this version does not have it"),
}

UPSTREAMS = {  # name: (lines of an upstream, from line 9 on; what is said of them)
    "later key": ("identity: none", "9:5: upstreams.mta.identity: this version does not have it"),
    "wrong word": ("tls: oportunistic", "9:10: upstreams.mta.tls: must be none, opportunistic, starttls or implicit, not oportunistic; did you mean opportunistic?"),
    "no truth": ("verify: none", "9:13: upstreams.mta.verify: must be true, false, dane or the path of a CA file"),
    "a number to check": ("name: 192.0.2.1", "9:11: upstreams.mta.name: must be a host name"),
    "no name to ask for": ("sni: a..b", "9:10: upstreams.mta.sni: must be a host name"),
    "no name at all": ("sni: ''", "9:10: upstreams.mta.sni: must be a host name"),
    "quoted number": ("connections: '5'", "9:18: upstreams.mta.connections: must be a whole number, not 5"),
}
# fmt: on


@pytest.mark.parametrize(("text", "said"), FILES.values(), ids=FILES)
def test_file(folder: Path, text: str, said: list[str]) -> None:
    assert mistakes(folder, text) == said


@pytest.mark.parametrize(("lines", "said"), LISTENERS.values(), ids=LISTENERS)
def test_listener(folder: Path, lines: str, said: str) -> None:
    assert mistakes(folder, with_line(lines)) == [said]


@pytest.mark.parametrize(("lines", "said"), UPSTREAMS.values(), ids=UPSTREAMS)
def test_upstream(folder: Path, lines: str, said: str) -> None:
    assert mistakes(folder, f"{SOUND}    {lines}\n") == [said]


NO_LIMITS = {  # what stands behind `limits: `: what is said of it, once
    "session_time: 5 minutes": "must be a duration like 500ms, 60s or 5m, or none",
    "text_rate: -1": "must be a size like 500kB, 1MiB or 10GiB, or none",
    "recipients: many": "must be a whole number, not many",
    "recipients: -1": "must be at least 1, not -1",
    "recipients: false": "must be a whole number, not False",
}


@pytest.mark.parametrize(("line", "said"), NO_LIMITS.items(), ids=NO_LIMITS)
def test_a_limit_that_may_be_none_is_complained_of_once(folder: Path, line: str, said: str) -> None:
    key = line.partition(":")[0]
    (mistake,) = mistakes(folder, f"{SOUND}limits: {{{line}}}\n")
    assert mistake == f"9:{len(key) + 12}: limits.{key}: {said}"


@pytest.mark.parametrize("value", ["none", "0", "null"])
def test_no_limit(folder: Path, value: str) -> None:
    keys = ("recipients", "bad_commands", "session_time", "text_rate")
    assert mistakes(folder, SOUND + "limits:\n" + "".join(f"  {key}: {value}\n" for key in keys)) == []


def test_transparent_mode_is_refused(folder: Path) -> None:
    (said,) = mistakes(folder, SOUND.replace("upstream: mta", "upstream: original"))
    assert said == (
        "5:15: listeners.mx.upstream: this version has no transparent mode; name an upstream, or route"
    )


def test_every_mistake_at_once(folder: Path) -> None:
    text = """\
        listeners:
          mx: {protocol: smpt, listen: '127.0.0.1:25', upstream: mta}
          submission:
            protocol: smtp
            listen: '127.0.0.1:587'
            tsl: none
            upstream: mtb
            plugins: [policy, plicy]
        upstreams:
          mta: {address: 'localhost:587', verify: ca.pem, connections: few}
        plugins:
          policy: {use: './policy.py:Policy', tris: 1}
        spool: {directory: nowhere}
        workers: 3
        """
    assert mistakes(folder, textwrap.dedent(text)) == [
        "2:18: listeners.mx.protocol: must be smtp, lmtp, pop3 or imap, not smpt; did you mean smtp?",
        "6:5: listeners.submission.tsl: no such key; did you mean tls?",
        "7:15: listeners.submission.upstream: no upstream is named mtb; did you mean mta?",
        "8:23: listeners.submission.plugins.1: plicy is neither an entry under plugins nor installed; "
        "did you mean policy?",
        "10:18: upstreams.mta.address: localhost:587 is ourselves: "
        "listener submission listens on 127.0.0.1:587",
        "10:43: upstreams.mta.verify: there is no file DIR/ca.pem",
        "10:64: upstreams.mta.connections: must be a whole number, not few",
        "12:39: plugins.policy.tris: there is no such setting; did you mean tries?",
        "13:20: spool.directory: there is no directory DIR/nowhere",
        "14:1: workers: this version does not have it",
    ]


def test_a_listener_with_several_mistakes(folder: Path) -> None:
    text = SOUND.replace("smtp", "smpt").replace("listen:", "lisen:")
    assert mistakes(folder, text.replace("upstream: mta\n", "upstream: mtb\n    plugins: [acceslog]\n")) == [
        "2:3: listeners.mx.listen: is required",
        "3:15: listeners.mx.protocol: must be smtp, lmtp, pop3 or imap, not smpt; did you mean smtp?",
        "4:5: listeners.mx.lisen: no such key; did you mean listen?",
        "5:15: listeners.mx.upstream: no upstream is named mtb; did you mean mta?",
        "6:15: listeners.mx.plugins.0: acceslog is neither an entry under plugins nor installed; "
        "did you mean accesslog?",
        "8:3: warning: upstreams.mta: no listener names it",
    ]


def test_a_warning_keeps_nobody_from_running(folder: Path) -> None:
    file = folder / "m.yaml"
    file.write_text(SOUND + "  spare: {address: 'spare.example.org:25'}\n")
    found = read(file)
    assert [mistake.warning for mistake in found.mistakes] == [True]
    assert found.configuration is not None


WORDS = [
    *[
        "listeners",
        "upstreams",
        "plugins",
        "certificates",
        "limits",
        "log",
        "spool",
        "admin",
        "mx",
        "",
        "mta",
    ],
    *["protocol", "listen", "upstream", "tls", "address", "use", "mode", "directory", "certificate", "key"],
    *["smtp", "127.0.0.1:25", "policy.py", "./policy.py:Policy", "policy", "starttls", "route", "1"],
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=30,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(VALUES)
def test_anything_is_a_configuration_or_a_mistake(folder: Path, value: object) -> None:
    file = folder / "m.yaml"
    file.write_text(json.dumps(value))
    found = read(file)
    assert (found.configuration is None) == any(not mistake.warning for mistake in found.mistakes)
    for mistake in found.mistakes:
        assert str(mistake).startswith(f"{file}:{mistake.line}:{mistake.column}: ")
