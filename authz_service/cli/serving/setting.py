"""One option of `serve`, which is an environment variable too, and several that make one value."""

from __future__ import annotations

import functools
import inspect
import math
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


class Number(click.IntRange):
    """A whole number in a range, and called that where something else was given."""

    name = "whole number"


class Seconds(click.FloatRange):
    """A duration in seconds; `nan` is none, which a range alone would let pass."""

    name = "number of seconds"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's own
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Read *value*. Raises click.BadParameter."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail("nan is no number of seconds.", param, ctx)
        return seconds


def setting(flag: str, **attributes: Any) -> Callable[..., Any]:  # noqa: ANN401 - click's own
    """Make the option *flag*, and the variable that stands for it: `--key-wait`, `AUTHZ_KEY_WAIT`.

    Help tells of both, and of the default.
    """
    name = flag.removeprefix("--").replace("-", "_").upper()
    attributes.setdefault("show_default", True)
    return click.option(flag, envvar=f"AUTHZ_{name}", show_envvar=True, **attributes)


def together(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Make one decorator of *options*, which help lists in this order."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def as_one(
    name: str,
    make: Callable[..., object],
    *options: Callable[..., Any],
    shared: tuple[str, ...] = (),
) -> Callable[..., Any]:
    """Make one decorator of *options*; the command gets what *make* makes of them, as *name*.

    The parameters of *make* are named as the options are; the command gets those in *shared*, too.
    """
    own = tuple(inspect.signature(make).parameters)

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_one(**given: Any) -> object:  # noqa: ANN401 - click's own
            values = {each: given[each] for each in own}
            others = {each: given[each] for each in given if each in shared or each not in own}
            return command(**{name: make(**values)}, **others)

        decorated: Callable[..., Any] = together(*options)(with_one)
        return decorated

    return add
