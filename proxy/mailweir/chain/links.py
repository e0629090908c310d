"""From plugins to links: every hook that a plugin implements, checked once and frozen.

pluggy finds the implementations and picks their arguments. It would also order and wrap them; here the
listener's list is the only order, so what asks for another one is refused, and so is everything that could
only fail once mail comes.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pluggy

from mailweir import hookspecs, metrics
from mailweir.chain.mistakes import USE, PluginError, Problem, hint
from mailweir.chain.plug import Fuse, Plug
from mailweir.hookspecs import HOOKS

ORDERING = ("tryfirst", "trylast")
SINGLES = ("rcpt_to", "message_head", "message")
WRAPPING = ("wrapper", "hookwrapper")


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """One hook of one plugin: the function, which facts it wants, and the metrics that it moves.

    `shadow`: what it says is recorded, and mail passes. `edits`: it may edit the message.
    `singles`: it may leave verdicts with recipients.
    """

    plug: Plug
    hook: str
    call: Callable[..., Any]
    wants: tuple[str, ...]
    fuse: Fuse | None
    seconds: metrics.Buckets
    shadow: bool = False
    edits: bool = True
    singles: bool = False
    verdicts: dict[type, metrics.Cell] = field(default_factory=dict)


def links_of(plug: Plug) -> Iterator[Link]:
    """All hooks of one plugin; `PluginError` if anything about them is wrong."""
    for hook, implementation in implementations(plug.name, plug.plugin).items():
        yield Link(
            plug,
            hook,
            implementation.function,
            tuple(implementation.argnames),
            plug.fuse(hook),
            metrics.HOOK_SECONDS.cell(plug.name, hook),
            plug.mode == "shadow",
            hookspecs.edits(implementation.function),
            plug.mode != "shadow" and hook in SINGLES,
        )


def implementations(name: str, plugin: object) -> dict[str, pluggy.HookImpl]:
    """The hooks that `plugin` implements, by their names; `PluginError` with all that is wrong."""
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    marked = _marked(manager, plugin)
    reasons = [reason for hook, function, options in marked for reason in _reasons(hook, function, options)]
    hooks = [hook for hook, _, _ in marked]
    reasons += [f"hook {hook} is implemented twice" for hook in HOOKS if hooks.count(hook) > 1]
    if isinstance(plugin, type):
        reasons = [f"{plugin.__name__} is a class and was not called with its settings"]
    elif not marked:
        reasons = [_no_hooks(plugin)]
    if reasons:
        raise PluginError(name, *(Problem(USE, reason) for reason in reasons))
    try:
        manager.register(plugin, name)
    except pluggy.PluginValidationError as error:
        raise PluginError(name, Problem(USE, " ".join(str(error).split()))) from error
    found = {hook: caller.get_hookimpls() for hook, caller in vars(manager.hook).items() if hook in HOOKS}
    return {hook: found[hook][0] for hook in HOOKS if found[hook]}


def place(function: Callable[..., Any]) -> str:
    """Where a function stands, as `file:line`."""
    code = inspect.unwrap(function).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"


Options = Mapping[str, Any]


def _marked(manager: pluggy.PluginManager, plugin: object) -> list[tuple[str, Callable[..., Any], Options]]:
    """The functions that carry our mark: which hook, the function, and the mark's options."""
    found: list[tuple[str, Callable[..., Any], Options]] = []
    for attribute in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        if options is not None:
            found.append((options.get("specname") or attribute, getattr(plugin, attribute), dict(options)))
    return found


def _reasons(hook: str, function: Callable[..., Any], options: Options) -> Iterator[str]:
    """What is wrong with one implementation."""
    where = f"({place(function)})"
    if hook not in HOOKS:
        if not options.get("optionalhook"):
            yield f"there is no hook {hook}{hint(hook, HOOKS)} {where}"
        return
    for option in ORDERING:
        if options.get(option):
            yield f"hook {hook} asks for {option}, but the listener's list is the only order {where}"
    if any(options.get(option) for option in WRAPPING):
        yield f"hook {hook} is a wrapper, but a plugin answers for itself only {where}"
    elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        yield f"hook {hook} yields, but must return its verdict {where}"
    known = HOOKS[hook].arguments
    if not hookspecs.edits(function) and "message" not in known:
        yield f"hook {hook} is handed no message, so edits=False says nothing there {where}"
    for argument in inspect.signature(function).parameters.values():
        if argument.kind is not argument.POSITIONAL_OR_KEYWORD:
            yield f"hook {hook} must name its arguments one by one, without * and ** and / {where}"
            return
        given = argument.name in known
        if given and argument.default is not argument.empty:
            yield f"hook {hook} would always have its own default for {argument.name}; take it away {where}"
        if not given and argument.default is argument.empty:
            says = hint(argument.name, known) or (f"; there are {', '.join(known)}" if known else "")
            yield f"hook {hook} has no argument {argument.name}{says} {where}"


def _no_hooks(plugin: object) -> str:
    where = f" ({file})" if (file := getattr(plugin, "__file__", "")) else ""
    like = [hook for hook in HOOKS if callable(getattr(plugin, hook, None))]
    if like:
        return f"nothing in it is marked with @hookimpl, though {like[0]} looks like a hook{where}"
    inside = (
        [
            name
            for name, value in vars(plugin).items()
            if isinstance(value, type) and any(hasattr(value, hook) for hook in HOOKS)
        ]
        if inspect.ismodule(plugin)
        else []
    )
    if inside:
        return f"the module has no hook, but its class {inside[0]} does: add :{inside[0]} to `use`{where}"
    return f"it has no hook, so it is not a plugin; hooks are marked with @hookimpl{where}"
