"""`authz-service explain`."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from authz_service.cli import explain_arguments as arguments
from authz_service.cli.examples import examples
from authz_service.cli.exits import FAILED, refuse
from authz_service.cli.token_like import looks_like_a_token
from authz_service.explain.document import to_json
from authz_service.explain.explanation import explain
from authz_service.explain.judged import KeyOrigin, KeysUsed, issuer_whose_keys_are_needed
from authz_service.explain.lines import Tone
from authz_service.explain.question import request_for
from authz_service.explain.skipped import sign_again
from authz_service.explain.text import ASCII_SIGNS, SIGNS, render
from authz_service.policy import PolicyError
from authz_service.policy.loader import load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from authz_service.cli.explain_arguments import KeyFile
    from authz_service.core.policy import Issuer
    from authz_service.core.request import HttpRequest
    from authz_service.explain.explanation import Explanation
    from authz_service.explain.question import Header, Url
    from authz_service.policy.loader import LoadedPolicy

_WIDTHS: Final = (40, 120)  # columns

_STYLES: Final[Mapping[Tone, Callable[[str], str]]] = {
    Tone.PLAIN: str,
    Tone.HEADING: partial(click.style, bold=True),
    Tone.GOOD: partial(click.style, fg="green"),
    Tone.BAD: partial(click.style, fg="red", bold=True),
    Tone.FAINT: partial(click.style, dim=True),
    Tone.ALARM: partial(click.style, fg="yellow", bold=True),
}


class _Command(click.Command):
    """Does not repeat a token that was taken for an option, its first characters being dashes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if not looks_like_a_token(error.option_name):
                raise
        raise click.UsageError("a token is no option; it goes into a file: --token-file", ctx)


@click.command(
    "explain",
    cls=_Command,
    context_settings={"allow_extra_args": True},
    epilog=examples(
        "authz-service explain --policy policy.yaml GET https://shop.example.com/healthz",
        "authz-service explain --policy policy.yaml --token-file token.txt GET https://shop.example.com/products",
        "authz-service explain --policy policy.yaml --token-file token.txt --skip-signature GET /",
    ),
)
@click.option(
    "--policy", multiple=True, required=True, envvar="AUTHZ_POLICY", metavar="PATH",
    show_envvar=True, type=click.Path(), callback=arguments.policy_paths,
    help="Policy file, or a directory of them. May be given more than once.",
)  # fmt: skip
@click.option(
    "--token-file", metavar="FILE", type=click.Path(), callback=arguments.token_from_file,
    help="The access token, or the token endpoint's answer. A Bearer before it is no matter.",
)  # fmt: skip
@click.option(
    "--token", "token_stdin", metavar="-", callback=arguments.token_from_stdin,
    help="Read the access token from standard input.",
)  # fmt: skip
@click.option(
    "-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", callback=arguments.headers,
    help="A header of the request. May be given more than once.",
)  # fmt: skip
@click.option(
    "--host", metavar="HOST", callback=arguments.no_token,
    help="The host, where URL is a path.",
)  # fmt: skip
@click.option(
    "--jwks", "key_file", metavar="FILE", type=click.Path(), callback=arguments.key_file,
    help="Take the keys of the token's issuer from this JWK Set, and fetch nothing.",
)  # fmt: skip
@click.option(
    "--skip-signature", is_flag=True,
    help="Judge the token as if its signature were good. Nothing is fetched.",
)  # fmt: skip
@click.option(
    "--at", "now", metavar="TIME", callback=arguments.at,
    help="Judge at this moment: 2026-03-01T09:30:00Z, -5m, +2h.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.argument("method", callback=arguments.no_token)
@click.argument("url", callback=arguments.url)
@click.pass_context
def command(  # noqa: PLR0913 - one for each option
    context: click.Context,
    *,
    policy: tuple[Path, ...],
    token_file: str | None,
    token_stdin: str | None,
    headers: tuple[Header, ...],
    host: str | None,
    key_file: KeyFile | None,
    skip_signature: bool,
    now: float,
    as_json: bool,
    method: str,
    url: Url,
) -> None:
    """Show every step of the decision on one request, and what the client or upstream would get.

    Keys are fetched from the issuer that the token names, unless --jwks or --skip-signature is
    given. The token itself never leaves this machine. The status is 0 where the request would
    pass, 1 where it would be refused.
    """
    _refuse_contradictions(context, key_file, skip_signature=skip_signature)
    token = _one_token(token_file, token_stdin, headers)
    authority = _authority(url, host)
    loaded = _load(policy)
    request = request_for(method, authority, url.target, headers, token)
    explanation = _explain(request, loaded, now, key_file, skip_signature=skip_signature)
    _print(explanation, as_json=as_json)
    sys.exit(0 if explanation.passes else FAILED)


def _refuse_contradictions(
    context: click.Context, key_file: KeyFile | None, *, skip_signature: bool
) -> None:
    if context.args:  # not repeated: it may be a token
        raise click.UsageError(
            "there is more than METHOD and URL; a token goes into a file: --token-file"
        )
    if key_file is not None and skip_signature:
        raise click.UsageError("--jwks or --skip-signature, not both")


def _one_token(
    from_file: str | None, from_stdin: str | None, headers: tuple[Header, ...]
) -> str | None:
    in_a_header = any(name == "authorization" for name, _value in headers)
    if (from_file is not None) + (from_stdin is not None) + in_a_header > 1:
        raise click.UsageError("give the token once: --token-file, --token - or a header")
    return from_stdin if from_file is None else from_file


def _authority(url: Url, host: str | None) -> str:
    if url.authority is None and host is None:
        raise click.UsageError("a path needs --host, or write the whole URL")
    if url.authority is not None and host is not None:
        raise click.UsageError("the URL names a host already: leave out --host")
    return host if url.authority is None and host is not None else url.authority or ""


def _load(paths: tuple[Path, ...]) -> LoadedPolicy:
    try:
        return load(paths, environment=os.environ)
    except PolicyError as error:
        refuse(*(str(problem) for problem in error.problems))


def _explain(
    request: HttpRequest,
    loaded: LoadedPolicy,
    now: float,
    key_file: KeyFile | None,
    *,
    skip_signature: bool,
) -> Explanation:
    """Get keys, where the decision needs any, and make it."""
    issuer = issuer_whose_keys_are_needed(request, policy=loaded.policy, now=now)
    keys: KeysUsed | None = None
    if issuer is not None and skip_signature:
        request, keys = sign_again(request, issuer)
    elif issuer is not None:
        keys = _keys(issuer, key_file)
    return explain(
        request,
        policy=loaded.policy,
        now=now,
        keys=keys,
        sources=loaded.sources,
        signature_skipped=skip_signature,
    )


def _keys(issuer: Issuer, key_file: KeyFile | None) -> KeysUsed:
    if key_file is not None:
        return KeysUsed(issuer.name, KeyOrigin.FILE, key_file.name, key_file.key_set)
    from authz_service.explain.issuer_keys import keys_of  # noqa: PLC0415 - it takes its time

    return asyncio.run(keys_of(issuer))


def _print(explanation: Explanation, *, as_json: bool) -> None:
    if as_json:
        click.echo(to_json(explanation))
        return
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"  # there may be no stdout at all
    signs = SIGNS if _can_print(SIGNS.all, encoding) else ASCII_SIGNS
    for line in render(explanation, width=_width(), signs=signs):
        text = line.text.encode(encoding, "backslashreplace").decode(encoding)
        click.echo(_STYLES[line.tone](text))


def _can_print(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _width() -> int:
    least, most = _WIDTHS
    return max(least, min(shutil.get_terminal_size().columns, most))
