"""Mistakes of plugins at their places in the file; plugins made once, with the keeper's word on them."""

from pathlib import Path

import pytest

from app.files import ENTRIES, SOUND, configuration, mistakes, reading, with_line
from mailweir.app.config import PluginEntry
from mailweir.chain.settings import NOT_ITS_OWN

LISTED = with_line("plugins: [policy]") + "plugins:\n  policy:\n"

# fmt: off
ENTRY = {  # name: (lines of the entry `policy`, from line 12 on; what is said of them)
    "its own key": ("use: ./policy.py:Policy\n    tires: 3", "13:5: plugins.policy.tires: there is no such setting; did you mean tries?"),
    "our key": ("use: policy.py:Policy\n    timout: 3", "13:5: plugins.policy.timout: there is no such setting; did you mean timeout?"),
    "its own value": ("use: policy.py:Policy\n    tries: x", "13:5: plugins.policy.tries: should be a valid integer, unable to parse string as an integer"),
    "our value": ("use: policy.py:Policy\n    mode: of", "13:11: plugins.policy.mode: must be enforce, shadow or off, not of; did you mean off?"),
    "no file": ("use: ./nowhere.py", "12:5: plugins.policy.use: there is no file DIR/nowhere.py"),
    "no such class": ("use: policy.py:Polcy", "12:5: plugins.policy.use: there is no Polcy in DIR/policy.py; did you mean Policy?"),
    "not installed": ("use: mailwier", "12:5: plugins.policy.use: no plugin mailwier is installed; `mailweir plugins` lists what is, and `PYTHON -m pip install mailweir-mailwier` may install it"),
    "installed by no such name": ("mode: shadow", "11:3: plugins.policy: no plugin policy is installed; `mailweir plugins` lists what is, and `PYTHON -m pip install mailweir-policy` may install it"),
    "secret of a wrong type": ("use: policy.py:Policy\n    password: [swordfish]", "13:5: plugins.policy.password: should be a valid string"),
}

LISTS = {  # name: (lines of the listener, from line 6 on; what is said)
    "misspelt": ("plugins: [watch, polcy]", ["6:22: listeners.mx.plugins.1: polcy is neither an entry under plugins nor installed; did you mean policy?"]),
    "opaque": ("unknown: opaque\n    plugins: [watch, policy]", ["6:14: listeners.mx.unknown: opaque would be a way round the plugin policy; use auto or refuse"]),
    "nothing to go round": ("unknown: opaque\n    plugins: [watch]", []),
}
# fmt: on


@pytest.mark.parametrize(("lines", "said"), ENTRY.values(), ids=ENTRY)
def test_entry(folder: Path, lines: str, said: str) -> None:
    assert mistakes(folder, f"{LISTED}    {lines}\n") == [said]


@pytest.mark.parametrize(("lines", "said"), LISTS.values(), ids=LISTS)
def test_list(folder: Path, lines: str, said: list[str]) -> None:
    found = mistakes(folder, with_line(lines) + ENTRIES)
    assert [line for line in found if "warning" not in line] == said


def test_unused(folder: Path) -> None:
    assert mistakes(folder, SOUND + "plugins:\n  watch:\n") == [
        "10:3: warning: plugins.watch: no listener lists it"
    ]


@pytest.mark.parametrize("mode", ["shadow", "off"])
def test_opaque_is_allowed_where_nobody_enforces(folder: Path, mode: str) -> None:
    text = with_line("unknown: opaque\n    plugins: [watch, policy]") + ENTRIES
    text = text.replace("./policy.py:Policy'", f"./policy.py:Policy', mode: {mode}")
    assert configuration(folder, text).listeners["mx"].unknown == "opaque"


def test_route_needs_somebody_to_ask(folder: Path) -> None:
    text = SOUND.replace("upstream: mta\n", "upstream: route\n    plugins: [router]\n")
    text += "plugins:\n  router: {use: './policy.py:"
    assert mistakes(folder, text + "Watch'}\n") == [
        "5:15: listeners.mx.upstream: route asks the plugins, but none here has a hook route"
    ]
    assert configuration(folder, text + "Router'}\n").listeners["mx"].upstream == "route"


def test_plugins_are_made_once_with_the_keepers_word(folder: Path) -> None:
    entry = "use: ./policy.py:Policy, tries: 5, mode: shadow, timeout: 500ms, breaker: 3, on_error: pass"
    second = (
        "  two: {protocol: smtp, listen: '127.0.0.1:2526', upstream: mta, plugins: [policy]}\nupstreams:\n"
    )
    text = with_line("plugins: [policy]").replace("upstreams:\n", second)
    found = reading(folder, f"{text}plugins:\n  policy: {{{entry}}}\n")
    (plug,) = found.plugs.values()
    assert (plug.mode, plug.timeout, plug.breaker, plug.on_error) == ("shadow", 0.5, 3, "pass")
    assert found.configuration is not None
    assert found.configuration.plugins["policy"].options == {"tries": 5}


def test_what_is_not_listed_is_not_loaded(folder: Path) -> None:
    found = reading(folder, with_line("plugins: [watch]") + ENTRIES)
    assert list(found.plugs) == ["watch"]


def test_a_listed_plugin_needs_no_entry_if_it_is_installed(folder: Path) -> None:
    assert list(reading(folder, with_line("plugins: [hello]")).plugs) == ["hello"]


def test_no_value_of_a_plugin_is_ever_said(folder: Path) -> None:
    for secret in ("[swordfish]", "{swordfish: swordfish}", "*swordfish", "!swordfish x"):
        for key in ("password", "pasword", "tries"):
            said = mistakes(folder, f"{LISTED}    use: ./policy.py:Policy\n    {key}: {secret}\n")
            assert said and "swordfish" not in "".join(said)


def test_the_chain_knows_which_keys_are_not_the_plugins_own() -> None:
    assert set(NOT_ITS_OWN) == set(PluginEntry.model_fields)
