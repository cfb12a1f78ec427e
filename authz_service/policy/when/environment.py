"""What an expression can name and call: the environment of the CEL library."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from authz_service.policy.when.messages import compiler_message

if TYPE_CHECKING:
    from cel_expr_python import cel

# Each part of a point in time, with the overload that takes a time zone. The library opens a zone's
# name as a file, whatever its path, and keeps what it finds for ever.
ZONED: Final = {
    "getFullYear": "timestamp_to_year_with_tz",
    "getMonth": "timestamp_to_month_with_tz",
    "getDayOfYear": "timestamp_to_day_of_year_with_tz",
    "getDayOfMonth": "timestamp_to_day_of_month_with_tz",
    "getDate": "timestamp_to_day_of_month_1_based_with_tz",
    "getDayOfWeek": "timestamp_to_day_of_week_with_tz",
    "getHours": "timestamp_to_hours_with_tz",
    "getMinutes": "timestamp_to_minutes_with_tz",
    "getSeconds": "timestamp_to_seconds_tz",
    "getMilliseconds": "timestamp_to_milliseconds_with_tz",
}
# `map` and `filter` make lists, at a cost that grows with the square of their length, and a
# condition has no use for lists.
_LIBRARY: Final = "stdlib: {{exclude_macros: [map, filter], exclude_functions: [{functions}]}}"
_WITHOUT_ZONE: Final = "{{name: {name}, overloads: [{{id: {overload}}}]}}"


@cache
def environment() -> cel.Env:
    """The names and functions of an expression.

    Attributes of `request` are declared one by one, so that the compiler finds one that does not
    exist.
    """
    from cel_expr_python import cel  # noqa: PLC0415 - 6 MiB that only a policy with `when` needs

    string = cel.Type.STRING
    functions = ", ".join(
        _WITHOUT_ZONE.format(name=name, overload=overload) for name, overload in ZONED.items()
    )
    return cel.NewEnv(
        config=cel.NewEnvConfigFromYaml(_LIBRARY.format(functions=functions)),
        variables={
            "claims": cel.Type.Map(string, cel.Type.DYN),
            "path": cel.Type.Map(string, string),
            "request.method": string,
            "request.host": string,
            "request.path": string,
            "request.headers": cel.Type.Map(string, string),
        },
    )


def compiled(text: str) -> cel.Expression:
    """Compile *text*. Raises ValueError with the first complaint, and its place."""
    try:
        return environment().compile(text)
    except RuntimeError as error:
        raise ValueError(compiler_message(text, str(error))) from None
