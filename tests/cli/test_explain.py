"""`explain` with real keys from a real key server, with files, and with everything that is none."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from click.testing import CliRunner

from authz_service.cli.explain_arguments import MAX_TOKEN_FILE_BYTES
from authz_service.cli.main import main
from tests.cli.in_this_process import run_here
from tests.edge.rig import PATIENCE
from tests.server.processes import environment
from tests.support.hostile_issuer import (
    JWKS,
    OPENID_METADATA,
    FakeIssuer,
    fake_issuer,
    has,
    publishes,
    response,
    says,
)
from tests.support.keys import jwk_set, signing_key
from tests.support.tokens import mint, sign

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ALLOWED: Final = 0
DENIED: Final = 1
BAD_USAGE: Final = 2
URL: Final = "https://shop.example.com/products"
ISSUER: Final = "https://auth.example.com/oidc"
NOBODY: Final = "http://127.0.0.1:9"
"""Where nothing listens."""

POLICY: Final = """\
version: 1
issuers:
  - {name: logto, issuer: ISSUER}
  - {name: partner, issuer: "http://127.0.0.1:9", refresh: {cooldown: 7s}}
resources:
  - name: shopping
    audience: https://shopping.api
    hosts: [shop.example.com, "*.example.net"]
    routes:
      - path: /healthz
        methods: {GET: public}
      - path: /products
        methods: {GET: [read:products], POST: [write:products, admin]}
      - path: /products/{product_id}
        mode: audit
        methods: {GET: [write:products]}
      - path: /organizations/{org_id}
        methods:
          GET: {scopes: [read:orders], claims: {organization_id: "{org_id}", tier: {any_of: [1]}}}
"""


@dataclass(frozen=True)
class Run:
    """How the command ended, and what it said."""

    status: int
    output: str
    errors: str

    @property
    def told(self) -> dict[str, Any]:
        """The JSON object that was written."""
        members: dict[str, Any] = json.loads(self.output)
        return members

    def assert_refused(self, *parts: str) -> None:
        """One message on standard error, nothing else, and no traceback."""
        assert self.status == BAD_USAGE
        assert self.output == ""
        assert self.errors.count("Error: ") == 1
        assert "Traceback" not in self.errors
        for part in parts:
            assert part in self.errors


@dataclass(frozen=True)
class Desk:
    """A directory with a policy, and commands that are run there."""

    path: Path

    def write(self, content: str | bytes, name: str) -> str:
        """Put a file there, and give its name."""
        (self.path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    def token(self, **claims: object) -> str:
        """Write a token that is valid for an hour, but for *claims*, and give the file's name."""
        return self.write(f"{current_token({}, **claims)}\n", "token.txt")

    def explain(
        self, *arguments: str, given: bytes = b"", env: Mapping[str, str] | None = None
    ) -> Run:
        """Run the command in this process, to its end."""
        start = ("explain", "--policy", "policy.yaml", *arguments)
        done = run_here(*start, cwd=self.path, env=env, given=given)
        return Run(done.returncode, done.stdout, done.stderr)

    def run(self, *arguments: str, given: bytes = b"", env: Mapping[str, str] | None = None) -> Run:
        """Run the command as a process of its own."""
        return asyncio.run(self.explaining(*arguments, given=given, env=env))

    async def explaining(
        self, *arguments: str, given: bytes = b"", env: Mapping[str, str] | None = None
    ) -> Run:
        """Run the command as a process while others do something."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "authz_service", "explain", "--policy", "policy.yaml", *arguments,
            cwd=self.path, env=environment(env), stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE):
            output, errors = await process.communicate(given)
        assert process.returncode is not None
        return Run(process.returncode, output.decode(), errors.decode())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A policy whose issuer's keys are in a file beside it, for who names that."""
    made = Desk(tmp_path)
    made.write(POLICY.replace("ISSUER", ISSUER), "policy.yaml")
    made.write(jwk_set(signing_key().public), "jwks.json")
    return made


def current_token(header: Mapping[str, object] | None = None, /, **claims: object) -> str:
    """A token that is valid for an hour, but for *header* and *claims*."""
    now = int(time.time())
    return mint({"iat": now - 60, "exp": now + 3600, **claims}, header)


def signature_of(token: str) -> str:
    return token.rpartition(".")[2]


def line_of(output: str, step: str) -> str:
    """Give the line of *step*, with those that it goes on over, as one."""
    found = re.search(rf"^. +\d+ {step} +(.*(?:\n {{17}}.*)*)", output, re.MULTILINE)
    assert found, output
    return re.sub(r"\s+", " ", found[0])


# Keys


def test_keys_are_fetched_from_the_issuer_that_the_token_names(desk: Desk) -> None:
    async def conversation() -> tuple[Run, FakeIssuer]:
        async with fake_issuer({JWKS: publishes(signing_key())}) as issuer:
            issuer.describe_itself()
            desk.write(POLICY.replace("ISSUER", issuer.origin), "policy.yaml")
            file = desk.token(iss=issuer.origin)
            return await desk.explaining("--token-file", file, "GET", URL), issuer

    run, issuer = asyncio.run(conversation())
    assert run.status == ALLOWED, run.output + run.errors
    assert f"fetched just now from {issuer.jwks_uri}" in run.output
    assert [request.path for request in issuer.requests] == [OPENID_METADATA, JWKS]
    assert "✓ 11 signature" in run.output
    assert "verified" in run.output


def test_nothing_of_the_token_is_sent_to_the_key_server(desk: Desk) -> None:
    async def conversation() -> tuple[str, FakeIssuer]:
        async with fake_issuer({JWKS: publishes(signing_key())}) as issuer:
            issuer.describe_itself()
            desk.write(POLICY.replace("ISSUER", issuer.origin), "policy.yaml")
            token = current_token(iss=issuer.origin)
            await desk.explaining("--token", "-", "GET", URL, given=token.encode())
            return token, issuer

    token, issuer = asyncio.run(conversation())
    assert issuer.requests
    for request in issuer.requests:
        assert request.field("authorization") is None
        assert not any(part in repr(request) for part in token.split("."))


def test_a_key_that_the_issuer_does_not_publish_is_named(desk: Desk) -> None:
    async def conversation() -> Run:
        async with fake_issuer({JWKS: publishes(signing_key(kid="other"))}) as issuer:
            issuer.describe_itself()
            desk.write(POLICY.replace("ISSUER", issuer.origin), "policy.yaml")
            return await desk.explaining(
                "--token-file", desk.token(iss=issuer.origin), "--json", "GET", URL
            )

    run = asyncio.run(conversation())
    assert run.status == DENIED
    assert run.told["reason"] == "unknown_key"
    assert "key-1" in run.told["needed"]
    assert "other" in run.told["needed"]


def test_keys_that_cannot_be_had_are_a_refusal_that_says_why(desk: Desk) -> None:
    run = desk.run("--token-file", desk.token(iss=NOBODY), "--json", "GET", URL)
    assert run.status == DENIED
    assert run.told["reason"] == "keys_unavailable"
    assert run.told["client"]["status"] == 503
    assert run.told["client"]["headers"]["retry-after"] == "7"
    assert run.told["keys"]["origin"] == "live"
    assert run.told["keys"]["where"].startswith(NOBODY)
    assert run.told["keys"]["fault"] == "metadata: no answer: connection refused"
    assert "metadata: no answer: connection refused" in run.told["needed"]


@pytest.mark.parametrize(
    "answer",
    [
        says(response("<html>\x1b[31m", status="500 Oops")),
        has(b"\x1b[31m not json"),
        has(b'{"keys": []}'),
    ],
)
def test_what_a_key_server_says_is_not_let_through_to_the_terminal(
    desk: Desk,
    answer: Any,  # noqa: ANN401
) -> None:
    async def conversation() -> Run:
        async with fake_issuer({JWKS: answer}) as issuer:
            issuer.describe_itself()
            desk.write(POLICY.replace("ISSUER", issuer.origin), "policy.yaml")
            return await desk.explaining("--token-file", desk.token(iss=issuer.origin), "GET", URL)

    run = asyncio.run(conversation())
    assert run.status == DENIED
    assert "keys_unavailable" in run.output
    assert "\x1b" not in run.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["GET", "https://shop.example.com/healthz"],
        ["GET", "https://shop.example.com/nowhere"],
        ["GET", URL],
        ["PUT", URL],
        ["-H", "authorization: Bearer junk", "GET", URL],
    ],
)
def test_nothing_is_fetched_where_no_key_is_needed(desk: Desk, arguments: list[str]) -> None:
    async def conversation() -> FakeIssuer:
        async with fake_issuer({JWKS: publishes(signing_key())}) as issuer:
            issuer.describe_itself()
            desk.write(POLICY.replace("ISSUER", issuer.origin), "policy.yaml")
            run = await desk.explaining(*arguments)
            assert run.status in {ALLOWED, DENIED}
            return issuer

    assert asyncio.run(conversation()).requests == []


def test_a_key_file_takes_the_place_of_the_issuers_own(desk: Desk) -> None:
    run = desk.run("--token-file", desk.token(), "--jwks", "jwks.json", "GET", URL)
    assert run.status == ALLOWED, run.output
    assert "from the file jwks.json" in run.output


def test_a_signature_of_somebody_else_is_refused(desk: Desk) -> None:
    desk.write(jwk_set(signing_key(owner="partner").public), "jwks.json")
    run = desk.explain("--token-file", desk.token(), "--jwks", "jwks.json", "--json", "GET", URL)
    assert run.status == DENIED
    assert run.told["reason"] == "bad_signature"
    assert run.told["token"]["verified"] is False


def test_the_policys_own_key_file_is_taken_without_being_asked_for(desk: Desk) -> None:
    desk.write(POLICY.replace("ISSUER", f"{ISSUER}, jwks_file: jwks.json"), "policy.yaml")
    run = desk.explain("--token-file", desk.token(), "--json", "GET", URL)
    assert run.status == ALLOWED, run.output
    assert run.told["keys"] == {
        "issuer": "logto", "origin": "policy", "where": "jwks_file", "fault": None,
    }  # fmt: skip


# The signature skipped


@pytest.mark.parametrize("alg", ["ES384", "RS256", "PS512", "ES512", "EdDSA"])
@pytest.mark.parametrize("signature", ["", "AAAA"])
def test_a_skipped_signature_is_said_in_large_letters(desk: Desk, alg: str, signature: str) -> None:
    token = current_token({"alg": alg, "kid": "a-key-of-theirs"}).rpartition(".")[0]
    desk.write(f"{token}.{signature}", "token.txt")
    run = desk.explain("--token-file", "token.txt", "--skip-signature", "GET", URL)
    assert run.status == ALLOWED, run.output
    banner = "S I G N A T U R E   N O T   C H E C K E D"
    first, *_between, last = [n for n, line in enumerate(run.output.splitlines()) if banner in line]
    assert first < 5
    assert last > len(run.output.splitlines()) - 5
    assert "SKIPPED" in line_of(run.output, "signature")
    assert "SKIPPED" in line_of(run.output, "key")
    assert "UNVERIFIED" in run.output
    assert "verified:" not in run.output


def test_a_skipped_signature_is_a_member_of_the_json(desk: Desk) -> None:
    run = desk.explain("--token-file", desk.token(), "--skip-signature", "--json", "GET", URL)
    assert run.told["signature_skipped"] is True
    assert run.told["token"]["verified"] is False
    steps = {step["name"]: step["passed"] for step in run.told["steps"]}
    assert steps["key"] is None
    assert steps["signature"] is None
    assert steps["scopes"] is True


def test_without_being_asked_no_signature_is_skipped(desk: Desk) -> None:
    run = desk.explain("--token-file", desk.token(), "--jwks", "jwks.json", "--json", "GET", URL)
    assert run.told["signature_skipped"] is False
    assert run.told["token"]["verified"] is True


@pytest.mark.parametrize(
    ("header", "claims", "expected"),
    [
        ({"alg": "none"}, {}, "algorithm_not_allowed"),
        ({"alg": "HS256"}, {}, "algorithm_not_allowed"),
        ({"typ": "JWT"}, {}, "token_type_not_allowed"),
        ({"crit": ["x"]}, {}, "malformed_token"),
        ({}, {"iss": "https://nobody.example"}, "unknown_issuer"),
        ({}, {"exp": 1}, "expired"),
        ({}, {"aud": "x"}, "wrong_audience"),
        ({}, {"sub": None}, "malformed_claim"),
    ],
)
def test_all_but_the_signature_is_judged_as_ever(
    desk: Desk, header: Mapping[str, object], claims: Mapping[str, object], expected: str
) -> None:
    desk.write(current_token(header, **claims), "token.txt")
    run = desk.explain("--token-file", "token.txt", "--skip-signature", "--json", "GET", URL)
    assert run.status == DENIED
    assert run.told["reason"] == expected


# What is told


def test_an_allowed_request_is_told_with_what_the_upstream_gets(desk: Desk) -> None:
    run = desk.explain(
        "--token-file", desk.token(), "--jwks", "jwks.json", "-H", "X-Auth-Role: admin", "GET",
        f"{URL}?access_token=s3cret",
    )  # fmt: skip
    assert run.status == ALLOWED
    assert run.errors == ""
    assert re.findall(r"^(.) +(\d+) ", run.output, re.MULTILINE) == [
        ("✓", str(number)) for number in (*range(1, 14), 13, 13, 14)
    ]
    assert "\nALLOWED\n" in run.output
    assert "x-auth-subject: user-1" in run.output
    assert "x-auth-role" in run.output.partition("and without")[2]
    assert "policy.yaml:12:9" in run.output
    assert "expires in 59 minutes" in line_of(run.output, "times")
    assert '"sub": "user-1"' in run.output
    assert "s3cret" not in run.output


def test_a_refused_request_is_told_with_everything_that_is_wrong(desk: Desk) -> None:
    file = desk.token(exp=int(time.time()) - 250, organization_id="other", tier=True)
    url = "https://shop.example.com/organizations/mine"
    run = desk.explain("--token-file", file, "--jwks", "jwks.json", "GET", url)
    assert run.status == DENIED
    assert "expired 4 minutes ago" in line_of(run.output, "times")
    assert line_of(run.output, "times").endswith("← decided")
    assert run.output.count("decided") == 1
    assert line_of(run.output, "audience").startswith("✓")
    scopes = line_of(run.output, "scopes")
    assert scopes.startswith("✗")
    assert scopes.endswith("needed: read:orders; granted: read:products; missing: read:orders")
    assert line_of(run.output, "condition").endswith("is or contains mine; it is other")
    assert "tier is or contains 1; it is true" in run.output
    assert line_of(run.output, "upstream").startswith("–")  # noqa: RUF001 - a dash
    assert "\nDENIED (expired)\n" in run.output
    assert "The client gets 401" in run.output
    assert 'error="invalid_token"' in run.output


def test_an_audited_refusal_passes_and_is_called_one(desk: Desk) -> None:
    arguments = ["--token-file", desk.token(), "--jwks", "jwks.json", "GET", f"{URL}/7"]
    run = desk.explain(*arguments)
    assert run.status == ALLOWED
    assert "DENIED (insufficient_scope), AND LET THROUGH" in run.output
    assert "none set: the request has no identity" in run.output
    told = desk.explain("--json", *arguments).told
    assert (told["decision"], told["mode"], told["passes"]) == ("deny", "audit", True)
    assert told["client"] is None
    assert told["upstream"]["set"] == {}


def test_a_public_route_needs_nothing_and_a_token_for_it_is_not_believed(desk: Desk) -> None:
    run = desk.explain("--token-file", desk.token(), "GET", "https://shop.example.com/healthz")
    assert run.status == ALLOWED
    assert "public" in line_of(run.output, "requirement")
    assert "not needed" in line_of(run.output, "signature")
    assert "UNVERIFIED" in run.output


def test_the_same_question_has_the_same_answer(desk: Desk) -> None:
    arguments = ["--token-file", desk.token(), "--jwks", "jwks.json", "--json", "--at"]
    runs = [desk.explain(*arguments, "2026-03-01T09:30:00Z", "GET", URL) for _time in range(2)]
    assert runs[0] == runs[1]
    assert runs[0].told["now"] == 1772357400


@pytest.mark.parametrize(
    ("at", "expected"), [("+2h", "expired"), ("-5m", "not_yet_valid"), ("+0s", None)]
)
def test_another_moment_can_be_asked_for(desk: Desk, at: str, expected: str | None) -> None:
    run = desk.explain(
        "--token-file", desk.token(), "--jwks", "jwks.json", "--json", "--at", at, "GET", URL
    )
    assert run.told["reason"] == expected


@pytest.mark.parametrize("mode", [[], ["--json"]])
@pytest.mark.parametrize("keys", [["--jwks", "jwks.json"], ["--skip-signature"]])
@pytest.mark.parametrize("url", [URL, "https://shop.example.com/healthz", f"{URL}/7", f"{URL}/../"])
def test_neither_the_token_nor_its_signature_is_ever_shown(
    desk: Desk, mode: list[str], keys: list[str], url: str
) -> None:
    token = current_token()
    desk.write(token, "token.txt")
    run = desk.explain("--token-file", "token.txt", *keys, *mode, "GET", url)
    assert run.output
    for part in token.split("."):
        assert part not in run.output + run.errors


def test_what_the_token_and_the_request_hold_cannot_command_the_terminal(desk: Desk) -> None:
    hostile = "\x1b]0;x\x07\r\n\u202e\u2028\x7f\x9b31m"
    token = current_token({"kid": hostile, "x": hostile}, name=hostile, **{hostile: hostile})
    desk.write(token, "token.txt")
    for arguments in (
        ["--skip-signature"],
        ["--jwks", "jwks.json"],
        ["--json", "--skip-signature"],
    ):
        run = desk.explain(
            "--token-file", "token.txt", *arguments, "-H", "x-auth-a: \x1b[31m", "--host",
            f"{hostile}.example.net", "GET", f"/products{hostile}",
        )  # fmt: skip
        assert all(line.isprintable() for line in run.output.split("\n"))
        run = desk.explain("--token-file", "token.txt", *arguments, "GET", URL)
        assert run.status in {ALLOWED, DENIED}
        assert all(line.isprintable() for line in run.output.split("\n"))


# Where the token comes from


@pytest.mark.parametrize(
    "pasted",
    ["{}", "{}\n", " {}\r\n\r\n", "Bearer {}\n", "bearer  {}", "Authorization: Bearer {}\n"],
)
def test_a_token_may_be_pasted_with_what_was_around_it(desk: Desk, pasted: str) -> None:
    content = pasted.format(current_token()).encode()
    desk.write(content, "token.txt")
    for source in (["--token-file", "token.txt"], ["--token", "-"]):
        run = desk.explain(*source, "--jwks", "jwks.json", "GET", URL, given=content)
        assert run.status == ALLOWED, run.output


def test_a_token_may_stand_in_a_header(desk: Desk) -> None:
    header = f"Authorization: Bearer {current_token()}"
    assert desk.explain("-H", header, "--jwks", "jwks.json", "GET", URL).status == ALLOWED


def test_a_token_as_an_argument_is_refused_and_not_repeated(desk: Desk) -> None:
    token = current_token()
    for arguments in (
        ["--token", token, "GET", URL],
        [f"--token={token}", "GET", URL],
        ["GET", URL, token],
        [token, "GET", URL],
        ["GET", token],
    ):
        run = desk.explain(*arguments)
        run.assert_refused()
        assert token not in run.errors
        assert signature_of(token) not in run.errors
    desk.explain("--token", token, "GET", URL).assert_refused("--token-file", "shell's history")


ELSEWHERE: Final = {
    "token-file": (["--token-file", "{}", "GET", URL], "--token-file takes a file, not a token"),
    "token-file=": (["--token-file={}", "GET", URL], "--token-file takes a file, not a token"),
    "bearer": (["--token-file", "Bearer {}", "GET", URL], "--token-file takes a file, not a token"),
    "jwks": (["--jwks", "{}", "GET", URL], "--jwks takes a file, not a token"),
    "policy": (["--policy", "{}", "GET", URL], "--policy takes a file, not a token"),
    "option": (["--{}", "GET", URL], "a token is no option"),
    "option=": (["--{}=x", "GET", URL], "a token is no option"),
    "host": (["--host", "{}", "GET", "/"], "--host takes a host, not a token"),
    "method": (["{}", URL], "METHOD takes a method, not a token"),
    "url": (["GET", "https://{}/"], "URL takes a host, not a token"),
    "moment": (["--at", "{}", "GET", URL], "such as 2026-03-01T09:30:00Z"),
}


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize(
    "head", ["eyJhbGciOiJFUzM4NCJ9", "ewogICJhbGciOiAiRVMzODQiCn0", "eyAiYWxnIjogIkVTMzg0IiB9"]
)
@pytest.mark.parametrize("mode", [[], ["--json"]])
def test_a_token_in_the_place_of_something_else_is_not_repeated(
    desk: Desk, place: str, head: str, mode: list[str]
) -> None:
    arguments, message = ELSEWHERE[place]
    token = f"{head}.eyJzdWIiOiJhIn0.U0lHTkFUVVJF"
    run = desk.explain(*mode, *(each.format(token) for each in arguments))
    run.assert_refused(message)
    for part in token.split("."):
        assert part not in run.errors


def test_an_encrypted_token_is_not_repeated_either(desk: Desk) -> None:
    run = desk.explain("--token-file", "eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn", "GET", URL)
    run.assert_refused("--token-file takes a file, not a token")
    assert "eyJ" not in run.errors


@pytest.mark.parametrize(
    "name", ["access-token-of-production.2026.txt", "keyJane.old.txt", "Access.token.txt"]
)
def test_the_name_of_a_missing_file_is_repeated(desk: Desk, name: str) -> None:
    run = desk.explain("--token-file", name, "GET", URL)
    run.assert_refused(f"{name}: No such file")


def test_a_file_may_be_named_as_a_token_is(desk: Desk) -> None:
    name = desk.write(current_token(), "eyJhbGciOiJFUzM4NCJ9.token.txt")
    run = desk.explain("--token-file", name, "--jwks", "jwks.json", "GET", URL)
    assert run.status == ALLOWED


@pytest.mark.parametrize(
    "host", ["ec2-203-0-113-25-compute-1.eu.example", "a.b.c", "keyJane.shop.example"]
)
def test_a_long_host_is_no_token(desk: Desk, host: str) -> None:
    run = desk.explain("--host", host, "GET", "/products")
    assert run.status == DENIED
    assert host in run.output


def test_a_token_in_the_place_of_a_command_is_not_repeated() -> None:
    result = CliRunner().invoke(main, ["eyJhbGciOiJFUzM4NCJ9.eyJzdWIiOiJhIn0.U0lH"])
    assert result.exit_code == BAD_USAGE
    assert "No such command." in result.stderr
    assert "eyJ" not in result.output


@pytest.mark.parametrize(
    "junk",
    [os.urandom(300), b"\0", b"\xff\xfe", "e30.e30.", b"a b", b"x" * MAX_TOKEN_FILE_BYTES, b"{}"],
    ids=["random", "nul", "not_utf8", "empty", "two_words", "long", "json"],
)
def test_junk_for_a_token_is_refused_as_the_service_refuses_it(
    desk: Desk, junk: str | bytes
) -> None:
    desk.write(junk, "token.txt")
    run = desk.explain("--token-file", "token.txt", "GET", URL)
    assert run.status == DENIED
    assert run.errors == ""
    found = re.search(r"DENIED \((\w+)\)", run.output)
    assert found
    assert found[1] in {
        "malformed_credentials", "malformed_token", "missing_claim", "token_too_large",
    }  # fmt: skip
    assert all(line.isprintable() for line in run.output.split("\n"))


@pytest.mark.parametrize("content", [b"", b" \r\n", b"\xef\xbb\xbf\n"])
def test_a_file_without_a_token_is_bad_usage(desk: Desk, content: bytes) -> None:
    desk.write(content, "token.txt")
    run = desk.explain("--token-file", "token.txt", "GET", URL)
    run.assert_refused("token.txt: there is no token in it")
    assert len(run.errors.splitlines()) == 1
    desk.explain("--token", "-", "GET", URL, given=content).assert_refused("no token")


def test_a_file_that_is_too_large_for_a_token_is_bad_usage(desk: Desk) -> None:
    with (desk.path / "token.txt").open("wb") as file:
        file.truncate(50 * 2**20)
    desk.run("--token-file", "token.txt", "GET", URL).assert_refused("more than 64 KiB")
    desk.run("--token-file", "/dev/zero", "GET", URL).assert_refused("more than 64 KiB")
    endless = b"x" * (MAX_TOKEN_FILE_BYTES + 1)
    desk.run("--token", "-", "GET", URL, given=endless).assert_refused("more than 64 KiB")


@pytest.mark.parametrize("option", ["--token-file", "--jwks"])
@pytest.mark.parametrize(
    ("name", "why"),
    [("missing", "No such file"), (".", "directory"), ("", ""), ("a\x1bb", "No such file")],
)
def test_a_file_that_cannot_be_read_is_bad_usage(
    desk: Desk, option: str, name: str, why: str
) -> None:
    run = desk.explain(option, name, "GET", URL)
    run.assert_refused(why)
    assert "\x1b" not in run.errors


@pytest.mark.parametrize("content", [b"", b"[]", b'{"keys": []}', b"\xff", b"x" * (2**20 + 1)])
def test_a_file_that_is_no_key_set_is_bad_usage(desk: Desk, content: bytes) -> None:
    desk.write(content, "broken.json")
    run = desk.explain("--jwks", "broken.json", "GET", URL)
    run.assert_refused("broken.json: ")
    assert len(run.errors.splitlines()) == 1


def test_a_standard_input_that_is_closed_is_bad_usage(desk: Desk) -> None:
    command = f"exec {sys.executable} -m authz_service explain --policy policy.yaml --token - GET"
    closed = subprocess.run(
        ["/bin/sh", "-c", f"{command} {URL} <&-"],
        cwd=desk.path, env=environment(), capture_output=True, text=True, timeout=PATIENCE,
        check=False,
    )  # fmt: skip
    Run(closed.returncode, closed.stdout, closed.stderr).assert_refused("standard input: closed")


# Bad usage


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument"),
        (["GET"], "Missing argument"),
        (["GET", "/products"], "a path needs --host"),
        (["--host", "h", "GET", URL], "leave out --host"),
        (["GET", "shop.example.com/products"], "write https://HOST/PATH"),
        (["GET", "ftp://shop.example.com/"], "write https://HOST/PATH"),
        (["GET", "https://u:p@shop.example.com/"], "without user and password"),
        (["GET", ""], "write https://HOST/PATH"),
        (["-H", "no colon", "GET", URL], "write 'name: value'"),
        (["-H", "a b: c", "GET", URL], "write 'name: value'"),
        (["-H", "a: b\r\nc: d", "GET", URL], "one line"),
        (["-H", "Host: b", "GET", URL], "--host"),
        (["--at", "yesterday", "GET", URL], "such as 2026-03-01T09:30:00Z"),
        (["--at", "2026-03-01T09:30:00", "GET", URL], "such as 2026-03-01T09:30:00Z"),
        (["--at", "2026-13-01T09:30:00Z", "GET", URL], "such as 2026-03-01T09:30:00Z"),
        (["--skip-signature", "--jwks", "jwks.json", "GET", URL], "not both"),
        (["--token", "-", "-H", "authorization: x", "GET", URL], "give the token once"),
        (["--nonsense", "GET", URL], "No such option"),
    ],
)
def test_bad_usage_is_one_message(desk: Desk, arguments: list[str], message: str) -> None:
    desk.explain(*arguments, given=b"x").assert_refused(message)


def test_a_policy_that_cannot_be_used_is_told_as_ever(desk: Desk) -> None:
    desk.write("version: 2\nresources: x\n", "policy.yaml")
    run = desk.explain("GET", URL)
    assert run.status == BAD_USAGE
    assert run.output == ""
    assert [line.partition(": ")[0] for line in run.errors.splitlines()] == [
        "policy.yaml:1:10", "policy.yaml:2:12",
    ]  # fmt: skip


# The terminal


def test_an_encoding_without_ticks_gets_plain_signs(desk: Desk) -> None:
    desk.write(current_token(name="Zoë"), "token.txt")
    arguments = ["--token-file", "token.txt", "--jwks", "jwks.json", "GET", URL]
    run = desk.run(*arguments, env={"PYTHONIOENCODING": "ascii"})
    assert run.status == ALLOWED
    assert run.output.isascii()
    assert "+ 11 signature" in run.output
    assert "Zo\\xeb" in run.output


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_lines_keep_to_the_width_but_for_long_words(desk: Desk, columns: int) -> None:
    run = desk.explain(
        "--token-file", desk.token(), "--skip-signature", "GET", URL, env={"COLUMNS": str(columns)}
    )
    told = run.output.partition("The token says")[0].splitlines()
    too_long = [line for line in told if len(line) > min(columns, 120)]
    assert all(len(line.split()[-1]) > 20 for line in too_long)
    assert max(map(len, told)) > min(columns, 80) // 2


def test_there_is_no_colour_where_there_is_no_terminal(desk: Desk) -> None:
    assert "\x1b" not in desk.run("GET", URL).output


def test_payloads_of_any_kind_are_told(desk: Desk) -> None:
    header = json.dumps({"alg": "ES384", "kid": "key-1", "typ": "at+jwt"}).encode()
    for payload in (b"[]", b'{"a": 1, "a": 2}', b"\xff", b'{"exp": 1e400}'):
        desk.write(sign(header, payload), "token.txt")
        run = desk.explain("--token-file", "token.txt", "GET", URL)
        assert run.status == DENIED
        assert "malformed_token" in run.output
        assert '"alg": "ES384"' in run.output
        assert "cannot be read" in run.output
