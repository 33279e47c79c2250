"""Which models have a budget? Each model has exactly one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from feasibility.budget.budget_file import Budget, BudgetConfig, config_error
from feasibility.errors import ConfigError
from feasibility.text import safe_text

_GLOB_CHARACTERS: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class BudgetedModel:
    """A model with its budget; its name is the path relative to the budget file."""

    name: str
    path: Path
    budget: Budget


def budgeted_models(config: BudgetConfig, wanted: Sequence[Path] = ()) -> tuple[BudgetedModel, ...]:
    """The models of all budgets, or the wanted ones of them, sorted by name."""
    owners: dict[str, BudgetedModel] = {}
    for budget in config.budgets:
        for name in _matches(config, budget):
            other = owners.get(name)
            if other is not None:
                raise config_error(
                    config.path,
                    f"the budgets of lines {other.budget.line} and {budget.line} both match "
                    f"{safe_text(name)!r}",
                    "a model has one budget: narrow one pattern, or put all limits into one budget",
                )
            owners[name] = BudgetedModel(name, config.folder / name, budget)
    chosen = {_name_of(config, path) for path in wanted} if wanted else set(owners)
    for name in sorted(chosen - set(owners)):
        raise ConfigError(
            f"Cannot check {safe_text(name)!r}",
            f"no budget of {safe_text(str(config.path))} matches it",
            "`feasibility budget init MODEL` proposes one",
        )
    return tuple(owners[name] for name in sorted(chosen))


def _matches(config: BudgetConfig, budget: Budget) -> list[str]:
    """Names of the models that a budget's pattern matches; at least one."""
    pattern = budget.pattern
    if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
        raise config_error(
            config.path,
            f"line {budget.line}: {safe_text(pattern)!r} is outside the budget file's folder",
            "write a path or glob relative to the budget file",
        )
    is_glob = bool(_GLOB_CHARACTERS & set(pattern))
    paths = config.folder.glob(pattern) if is_glob else (config.folder / pattern,)
    found = [path.relative_to(config.folder).as_posix() for path in paths if path.is_file()]
    if not found:
        missing = "nothing matches" if is_glob else "there is no file"
        raise config_error(
            config.path,
            f"line {budget.line}: {missing} {safe_text(pattern)!r}",
            "a budget without a model would always pass; correct the path or remove the budget",
        )
    return sorted(found)


def _name_of(config: BudgetConfig, path: Path) -> str:
    full, folder = path.absolute(), config.folder.absolute()
    return full.relative_to(folder).as_posix() if full.is_relative_to(folder) else full.as_posix()


def name_below(folder: Path, path: Path) -> str:
    """The name of a model for a budget file in a folder."""
    if not path.absolute().is_relative_to(folder.absolute()):
        raise ConfigError(
            f"Cannot set a budget for {safe_text(str(path))}",
            f"it is not below {safe_text(str(folder))}, the folder of the budget file",
            "write the budget file beside the models: --output FOLDER/feasibility.toml",
        )
    return path.absolute().relative_to(folder.absolute()).as_posix()
