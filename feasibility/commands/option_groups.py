"""How does a group of options become parameters of a command and a section of its help?

A group is a frozen dataclass whose fields are options. A command takes one parameter per group;
`CommandApp` replaces it by the fields of the group, which the help lists under its heading.
"""

from __future__ import annotations

import builtins
import copy
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import field, fields
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, get_type_hints

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

_OPTION: Final = "option"
Function = TypeVar("Function", bound=Callable[..., Any])


class CommandApp(typer.Typer):
    """A Typer application whose commands may take groups of options."""

    def __init__(self, *, no_args_is_help: bool = False) -> None:
        super().__init__(
            rich_markup_mode=None, add_completion=False, no_args_is_help=no_args_is_help
        )

    def add_command(self, name: str | None = None) -> Callable[[Function], Function]:
        """Decorator that registers a function as a command, by its own name if none is given."""

        def register(function: Function) -> Function:
            self.command(name, cls=SectionedCommand)(with_groups_expanded(function))
            return function

        return register


def option(usage: str, text: str, *, default: object = None, **more: Any) -> Any:
    """A field of a group of options.

    Args:
        usage: Names of the option and of its value, for example `--output -o FILE`.
        text: What the help says about it.
        default: Value if the option is not given.
        more: Further arguments of `typer.Option`.
    """
    return field(default=default, metadata={_OPTION: single_option(usage, text, **more)})


def single_option(usage: str, text: str, *, heading: str | None = None, **more: Any) -> Any:
    """An option outside a group, as an annotation; the arguments are those of `option`."""
    names = [word for word in usage.split() if word.startswith("-")]
    metavar = " ".join(word for word in usage.split() if not word.startswith("-")) or None
    return typer.Option(*names, metavar=metavar, help=text, rich_help_panel=heading, **more)


def argument(name: str, text: str) -> Any:
    """An argument, as an annotation: its name in the help, and what the help says about it."""
    return typer.Argument(metavar=name, show_default=False, help=text)


class SectionedCommand(TyperCommand):
    """A command whose help lists its options under their headings."""

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the arguments, then one section per heading, in the order of the options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            if param.param_type_name == "argument":
                # Without its Python type, which says less than the help.
                sections.setdefault("Arguments", []).append((param.metavar or "", record[1]))
                continue
            heading = getattr(param, "rich_help_panel", None) or "Options"
            if param.name == "help":
                heading = next(
                    (each for each in reversed(sections) if each != "Arguments"), heading
                )
            sections.setdefault(heading, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


class _Names(dict[str, Any]):
    """Names in annotations; a name that only type checkers import means any type."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(vars(builtins) | getattr(function, "__globals__", {}))

    def __missing__(self, name: str) -> Any:
        return Any


def with_groups_expanded(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with the options of its groups as parameters, as Typer wants them."""
    hints = get_type_hints(command, localns=_Names(command), include_extras=True)
    parameters = inspect.signature(command).parameters.values()
    groups = {
        each.name: hints[each.name] for each in parameters if hasattr(hints[each.name], "heading")
    }

    @functools.wraps(command)
    def run(**given: Any) -> Any:
        for name, group in groups.items():
            options = {each.name: given.pop(each.name) for each in fields(group)}
            given[name] = group(**options)
        return command(**given)

    expanded = [
        option
        for each in parameters
        for option in (
            _options_of(groups[each.name])
            if each.name in groups
            else (each.replace(annotation=hints[each.name]),)
        )
    ]
    run.__signature__ = inspect.Signature(expanded)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in expanded}
    return run


def _options_of(group: type) -> Iterator[inspect.Parameter]:
    """The fields of a group as parameters; a field is an `option` or an annotated option."""
    hints = get_type_hints(group, include_extras=True)
    for each in fields(group):
        kind, found = hints[each.name], each.metadata.get(_OPTION)
        if found is None:
            kind, found = kind.__origin__, kind.__metadata__[0]
        found = copy.copy(found)
        found.rich_help_panel = group.heading  # type: ignore[attr-defined]
        yield inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=Annotated[kind, found],
        )
