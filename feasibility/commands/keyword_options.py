"""How do keyword arguments of the Python API become options of a command?

Names, types, limits and descriptions come from the options, so they are written only once.
"""

from __future__ import annotations

import inspect
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

from feasibility.commands.option_groups import with_groups_expanded
from feasibility.errors import UsageError
from feasibility.system_differences import missing_call
from feasibility.text import safe_text

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
ResultT = TypeVar("ResultT")


class KeywordOption(NamedTuple):
    """One option as a keyword argument.

    Args:
        parameter: The parameter of the command.
        kind: Type of its value, without None.
        info: What Typer knows about the option: help and limits.
    """

    parameter: inspect.Parameter
    kind: Any
    info: Any


class Job(Generic[ResultT]):
    """A function that takes groups of options, called with keyword arguments instead.

    The keyword of a parameter such as `input_` is `input`, without the underscore.
    """

    def __init__(self, function: Callable[..., ResultT]) -> None:
        self._function: Callable[..., ResultT] = with_groups_expanded(function)
        self.options: dict[str, KeywordOption] = {}
        for parameter in inspect.signature(self._function).parameters.values():
            marks = getattr(parameter.annotation, "__metadata__", ())
            if marks:
                kind = _without_none(parameter.annotation.__origin__)
                option = KeywordOption(parameter, kind, marks[0])
                self.options[parameter.name.rstrip("_")] = option

    def __call__(self, given: Mapping[str, object], **others: Any) -> ResultT:
        """What the function returns, with options by keyword and with its other arguments.

        Raises:
            TypeError: A keyword is not an option.
            UsageError: A value has the wrong type, or is outside the limits of the option.
            HostError: A system call is needed that this system does not have.
        """
        for name in given:
            if name not in self.options:
                close = get_close_matches(name, self.options, n=1)
                what = f"did you mean {close[0]!r}?" if close else f"there are {self._names}"
                raise TypeError(f"{safe_text(name)!r} is not an option: {what}")
        values = {
            option.parameter.name: option.parameter.default
            if given.get(name) is None
            else _value(name, given[name], option)
            for name, option in self.options.items()
        }
        try:
            return self._function(**others, **values)
        except (ModuleNotFoundError, AttributeError) as error:
            missing = missing_call(error)
            if missing is None:
                raise
            raise missing from error

    @property
    def _names(self) -> str:
        return ", ".join(self.options)

    def describes(self, function: FunctionT) -> FunctionT:
        """Adds the options to the signature and the docstring of a function."""
        own = inspect.signature(function).parameters.values()
        keywords = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=option.parameter.default,
                annotation=option.kind,
            )
            for name, option in self.options.items()
        ]
        kept = [each for each in own if each.kind is not inspect.Parameter.VAR_KEYWORD]
        function.__signature__ = inspect.Signature([*kept, *keywords])  # type: ignore[attr-defined]
        lines = (f"    {name}: {each.info.help}" for name, each in self.options.items())
        text = "\n".join(lines)
        function.__doc__ = f"{function.__doc__}\n    Options of the command line:\n{text}\n"
        return function


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
    return kind


def _value(name: str, value: object, option: KeywordOption) -> object:
    """The value as the command line would give it."""
    converted = _converted(value, option.kind)
    if converted is None:
        expected = _EXPECTED.get(option.kind) or f"one of {', '.join(get_args(option.kind))}"
        raise _unusable(name, value, f"it must be {expected}")
    low, high = option.info.min, option.info.max
    if low is not None and converted < low:
        raise _unusable(name, value, f"it must be at least {low:g}")
    if high is not None and converted > high:
        raise _unusable(name, value, f"it must be at most {high:g}")
    return converted


def _unusable(name: str, value: object, why: str) -> UsageError:
    return UsageError(f"Cannot use {name}={safe_text(repr(value), 60)}", why, "see docs/python.md")


def _converted(value: object, kind: Any) -> Any:
    """The value as this type; None if it does not fit."""
    if get_origin(kind) is Literal:
        return value if value in get_args(kind) else None
    return _CONVERSIONS[kind](value)


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    """A text; numbers are written out, as `rate=5`."""
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    whole = _whole(value)
    if whole is not None:
        return str(whole)
    number = _number(value)
    return None if number is None else str(number)


def _texts(value: object) -> list[str] | None:
    """Texts from one text, several, or a mapping: `dim={"batch": 4}` is `--dim batch=4`."""
    if isinstance(value, Mapping):
        pairs = [(name, _text(each)) for name, each in value.items()]
        value = [None if text is None else f"{name}={text}" for name, text in pairs]
    elif isinstance(value, (str, os.PathLike)) or not isinstance(value, Iterable):
        value = [value]
    texts = [_text(each) for each in value]
    return None if None in texts else texts  # type: ignore[return-value]


_CONVERSIONS: Final[dict[Any, Callable[[object], Any]]] = {
    bool: lambda value: value if isinstance(value, bool) else None,
    int: _whole,
    float: _number,
    str: _text,
    Path: lambda value: Path(value) if isinstance(value, (str, os.PathLike)) else None,
    list[str]: _texts,
}
_EXPECTED: Final[dict[Any, str]] = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text such as those of the command line",
    Path: "a path",
    list[str]: "texts, or a mapping of names to values",
}
