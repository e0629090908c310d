"""What the documents promise about the tree, kept by short tests."""

import ast
import configparser
import importlib
import re
import sys
import typing
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pydantic
import pytest
from ruamel.yaml import YAML

from end2end.packaging import build_wheel
from mailweir import hookspecs, metrics
from mailweir.app.config import Configuration

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "proxy" / "mailweir"
PLUGINS = ROOT / "plugins"
SOURCES = sorted([*CORE.rglob("*.py"), *PLUGINS.glob("*.py")])

LAYERS = {  # folder: what it may import besides itself
    "": set(),
    "wire": set(),
    "chain": {""},
    "relay": {"", "wire", "chain"},
    "net": {"", "relay.side"},
    "admin": {""},
    "app": {"", "wire", "chain", "relay", "net", "admin"},
    "testing": {"", "wire", "chain", "relay"},
}
"""`""` are the nouns: the modules that stand in no folder."""

TESTED_ELSEWHERE = {  # source: why no test of its own bears its name
    "__main__": "two lines; every end2end test runs them",
    "app.demo.servers": "tests/app/demo/test_story.py sends a message through them",
    "app.demo.world": "tests/app/demo/test_story.py lives in it",
    "relay.duties": "abstract methods only",
    "relay.meeting": "a record; every transcript begins with one",
    "relay.relays": "every transcript begins there",
    "relay.side": "interfaces only",
    "wire.errors": "an exception with four attributes, raised in the test of every codec",
    "version": "one constant",
}


def module(path: Path) -> str:
    """`proxy/mailweir/relay/side.py` as `relay.side`; of a package its name."""
    return ".".join(path.relative_to(CORE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


MODULES = {module(path): path for path in SOURCES if CORE in path.parents}


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from statements(child)


@cache
def imports(path: Path) -> list[str]:
    """What a file imports, fully named; `from mailweir import log` is `mailweir.log`."""
    found = []
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            source = str(node.module)
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                found.append(inner if inner.removeprefix("mailweir.") in MODULES else source)
    return found


def ours(path: Path) -> set[str]:
    """The modules of the core that a file imports, without the `mailweir.` before them."""
    return {name.removeprefix("mailweir.") for name in imports(path) if name.startswith("mailweir.")}


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_imports_follow_the_layers(name: str) -> None:
    layer = name.partition(".")[0] if (CORE / name.partition(".")[0]).is_dir() else ""
    for other in ours(MODULES[name]):
        folder = other.partition(".")[0] if (CORE / other.partition(".")[0]).is_dir() else ""
        if name in ("__main__",):
            assert other == "app.cli"
            continue
        assert folder == layer or folder in LAYERS[layer] or other in LAYERS[layer], f"{name} imports {other}"


def test_there_is_no_import_cycle() -> None:
    left = {name: {other for other in ours(path) if other != name} for name, path in MODULES.items() if name}
    while left:
        free = [name for name, needs in left.items() if not needs & left.keys()]
        assert free, f"a cycle among {sorted(left)}"
        for name in free:
            del left[name]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_one_idea_fits_into_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 400


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_reactor_stays_where_sockets_are(path: Path) -> None:
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        if "twisted.internet.reactor" in names:
            assert CORE in path.parents and module(path).partition(".")[0] in ("net", "admin", "app")
            assert id(node) not in top, "importing a module must not install a reactor"


@pytest.mark.parametrize("path", sorted(PLUGINS.glob("*.py")), ids=lambda path: path.stem)
def test_a_bundled_plugin_imports_what_anybody_may(path: Path) -> None:
    allowed = {"mailweir", "mailweir.testing"}
    assert {name for name in imports(path) if name.partition(".")[0] == "mailweir"} <= allowed
    assert not {name for name in imports(path) if name.startswith("mailweir_") and name != path.stem}


def test_setup_cfg_lists_every_plugin() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    modules = set(config["options"]["py_modules"].split())
    points = config["options.entry_points"]["mailweir"].strip().splitlines()
    entries = {point.split("=")[1].strip().partition(":")[0] for point in points}
    assert modules == entries == {path.stem for path in PLUGINS.glob("*.py")}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_source_has_its_test(path: Path) -> None:
    if path.name == "__init__.py":
        return
    if path.parent == PLUGINS:
        wanted = ROOT / "tests" / "plugins" / f"test_{path.name}"
    elif module(path) in TESTED_ELSEWHERE:
        return
    else:
        wanted = ROOT / "tests" / path.relative_to(CORE).with_name(f"test_{path.name}")
    assert wanted.exists(), f"{wanted.relative_to(ROOT)} is missing"


def test_nobody_is_excused_without_need() -> None:
    assert set(TESTED_ELSEWHERE) <= set(MODULES)


def hooks() -> dict[str, list[str]]:
    """Every hook and its arguments."""
    tree = ast.parse((CORE / "hookspecs.py").read_text())
    return {
        node.name: [argument.arg for argument in node.args.args]
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and {ast.unparse(decorator) for decorator in node.decorator_list} & {"ask", "tell"}
    }


@pytest.mark.parametrize("hook", hooks())
def test_every_hook_is_documented_and_exercised(hook: str) -> None:
    assert callable(getattr(hookspecs, hook)) and (getattr(hookspecs, hook).__doc__ or "").strip()
    signature = f"{hook}({', '.join(hooks()[hook])})"
    assert signature in (PLUGINS / "README.md").read_text(), f"{signature} is not in plugins/README.md"
    implements = re.compile(rf"def {hook}\(")
    tests = [path for path in (ROOT / "tests").rglob("*.py") if implements.search(path.read_text())]
    assert tests, f"no test has a plugin with the hook {hook}"


def keys(model: type[pydantic.BaseModel], nodes: list[Any]) -> Iterator[tuple[str, bool]]:
    """Each key of a model, dotted, and whether one of `nodes`, what the file has there, shows it."""
    for name, field in model.model_fields.items():
        inner = [node[name] for node in nodes if isinstance(node, dict) and name in node]
        yield name, bool(inner)
        for deeper in models(field.annotation):
            values = [
                value
                for node in inner
                for value in (
                    node
                    if isinstance(node, list)
                    else node.values()
                    if holds_names(field.annotation)
                    else [node]
                )
            ]
            yield from ((f"{name}.{key}", shown) for key, shown in keys(deeper, values))


def holds_names(annotation: Any) -> bool:
    """A mapping whose keys the keeper chooses."""
    return dict in (typing.get_origin(annotation), *map(typing.get_origin, typing.get_args(annotation)))


def models(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    """The models inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models(argument)


def test_the_example_configuration_shows_every_key() -> None:
    text = (ROOT / "conf" / "mailweir.yaml").read_text()
    example = YAML(typ="safe").load(re.sub(r"(?m)^( *)#(?=\S)", r"\1", text))  # with what is commented out
    assert [key for key, shown in keys(Configuration, [example]) if not shown] == []


def test_every_metric_drawn_or_alerted_on_exists() -> None:
    for path in PLUGINS.glob("*.py"):
        importlib.import_module(path.stem)
    files = [path for ending in ("json", "yml", "yaml") for path in (ROOT / "grafana").rglob(f"*.{ending}")]
    drawn = {name for path in files for name in re.findall(r"\bmailweir_\w+", path.read_text())}
    assert drawn
    known = {name + suffix for name in metrics.FAMILIES for suffix in ("", "_bucket", "_sum", "_count")}
    assert drawn - known == set()


def test_the_wheel_holds_what_the_tree_holds(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_wheel(tmp_path)) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    files = [path for path in CORE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    wanted = {f"mailweir/{path.relative_to(CORE)}" for path in files}
    assert held == wanted | {path.name for path in PLUGINS.glob("*.py")}


def test_the_tree_names_no_machine() -> None:
    """Neither where this checkout lies, nor whose it is, nor where its packages came from."""
    homes = [f"{Path.home()}/"] if len(Path.home().parts) > 1 else []
    homes += [f"{ROOT}/"] if len(ROOT.parts) > 2 else []  # a short one could be a part of any path
    tops = [ROOT / name for name in ("proxy", "plugins", "tests", "conf", "grafana", ".ci")]
    files = [path for top in tops for path in top.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    files += [path for path in ROOT.iterdir() if path.is_file()]
    for path in files:
        text = path.read_text(errors="replace")
        assert not [home for home in homes if home in text], path
    for lock in (ROOT / ".ci").glob("requirements*.txt"):
        assert "://" not in lock.read_text()


def test_tests_run_on_the_checkout() -> None:
    """Not on a mailweir that happens to be installed."""
    assert Path(str(sys.modules["mailweir"].__file__)).parent == CORE
