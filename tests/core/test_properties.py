"""What holds for every request and every token, not only for those that we thought of."""

from __future__ import annotations

import functools
import itertools
import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from authz_service.core import base64url, strict_json
from authz_service.core.algorithms import ALGORITHMS
from authz_service.core.answers import ANSWERS, RpcCode, body, response_headers
from authz_service.core.claims import ClaimReference
from authz_service.core.decision import Allow, Deny, DenyReason
from authz_service.core.errors import AccessDenied, IssuerError
from authz_service.core.forward import MAX_HEADER_BYTES, MAX_HEADERS_BYTES, ForwardRules
from authz_service.core.hosts import HostIndex, HostPattern
from authz_service.core.jwks import parse_jwk_set
from authz_service.core.refresh import RefreshSchedule, RefreshSettings
from authz_service.core.request import Host, RequestPath
from authz_service.core.routes import Literal, OneSegment, PathPattern, Rest, RouteIndex
from tests.support.checks import Check, allowed, denied
from tests.support.keys import jwk_set, key_set, signing_key
from tests.support.policies import claim_is, needs, policy_of, route, shop_policy
from tests.support.tokens import AUDIENCE, MISSING, VALID_CLAIMS, mint, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from authz_service.core.forward import UpstreamHeaders
    from authz_service.core.routes import Segment

# Signing takes its time on a slow machine, and says nothing about what is tested here.
signing = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
pure = settings(deadline=None, max_examples=200)

any_text = st.text(st.characters())
"""Lone surrogates and control characters too."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)
strict_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
header_overrides = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "b64", "enc", "jwk", "jku", "x5c", "x5u", "cty"])
    | any_text,
    json_values
    | st.sampled_from([*ALGORITHMS, "none", "HS256", "at+jwt", "AT+JWT", "key-1", "", MISSING]),
    max_size=3,
)
claim_overrides = st.dictionaries(
    st.sampled_from([*VALID_CLAIMS, "nbf", "organization_id", "scp", "vip"]) | any_text,
    json_values | st.sampled_from([10**308, 10**309, -(10**400), 1e308, "", MISSING]),
    max_size=4,
)
targets = (
    any_text
    | st.sampled_from(["/products", "/healthz", "/me/x", "/vip", "/matrix/a;b", "/slashes/a%2Fb"])
    | st.lists(
        st.sampled_from(["/", "%2F", "%5c", "..", ".", ";", "%", "%25", "%00", "a", "me", "?", "é"])
    ).map(lambda pieces: "/" + "".join(pieces))
)
authorities = any_text | st.sampled_from(["shop.example.com", "[::1]", "a,b", "u@h", "h:1"])


def decision_of(check: Check) -> Allow | Deny:
    """Give the decision, which may be anything but an accident."""
    decision = check.decide()
    assert isinstance(decision, Allow | Deny)
    assert not (isinstance(decision, Deny) and decision.reason is DenyReason.INTERNAL_ERROR)
    return decision


# Nothing raises.


@pure
@given(
    method=any_text | st.sampled_from(["GET", "HEAD", "*"]),
    authority=authorities,
    target=targets,
    headers=st.lists(
        st.tuples(st.sampled_from(["authorization", "x-auth-x"]) | any_text, any_text)
    ),
)
def test_authorize_never_raises_whatever_the_request_holds(
    method: str, authority: str, target: str, headers: list[tuple[str, str]]
) -> None:
    for host, path in itertools.product((authority, "shop.example.com"), (target, "/products")):
        check = Check(
            method=method,
            authority=host,
            target=path,
            headers=tuple(headers),
            authorization=None,
        )
        decision_of(check)


@pure
@given(
    credentials=any_text
    | st.from_regex(r"(?i:bearer)[ \t,]+[!-~]*", fullmatch=True)
    | st.lists(st.from_regex(r"[A-Za-z0-9_=-]{0,9}", fullmatch=True)).map(".".join)
)
def test_authorize_never_raises_whatever_the_credentials_are(credentials: str) -> None:
    for value in (credentials, f"Bearer {credentials}"):
        check = Check(authorization=value.replace("{}", ""))
        assert isinstance(decision_of(check), Deny)


@pure
@given(header=st.binary(max_size=60), payload=st.binary(max_size=60), signature=st.binary())
def test_authorize_never_raises_whatever_octets_the_parts_of_a_token_are(
    header: bytes, payload: bytes, signature: bytes
) -> None:
    parts = [base64url.encode(part) for part in (header, payload, signature)]
    assert isinstance(decision_of(Check(token=lambda: ".".join(parts))), Deny)


@signing
@given(header=st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_authorize_never_raises_for_a_signed_header_of_any_kind(header: bytes) -> None:
    payload = json.dumps(VALID_CLAIMS).encode()
    decision_of(Check(token=lambda: sign(header, payload)))


@signing
@given(header=header_overrides)
def test_authorize_never_raises_for_any_header_parameters_of_a_signed_token(
    header: Mapping[str, object],
) -> None:
    decision_of(Check(header=header))


@settings(signing, max_examples=200)
@given(
    claims=claim_overrides,
    target=st.sampled_from(["/products", "/me", "/vip", "/organizations/o/orders"]),
)
@example(claims={"exp": 10**308}, target="/me")
@example(claims={"sub": "\u0080"}, target="/me")
def test_authorize_never_raises_for_any_claims_of_a_signed_token(
    claims: Mapping[str, object], target: str
) -> None:
    forward = ForwardRules(
        headers=(
            ("x-auth-subject", ClaimReference.parse("sub")),
            ("x-auth-organization", ClaimReference.parse("organization_id")),
            ("x-auth-nested", ClaimReference.parse("/scp/0")),
        ),
        claims_header="x-auth-claims",
    )
    decision_of(Check(claims=claims, target=target, policy=shop_policy(forward=forward)))


@signing
@given(value=json_values)
def test_authorize_never_raises_for_a_condition_on_any_value(value: object) -> None:
    conditions = (claim_is("x", *("text", 1, 1.5, True)), claim_is("/x/0/y", "{name}"))
    policy = policy_of(route("/c/{name}", {"GET": needs(conditions=conditions)}))
    decision_of(Check(target="/c/{x}", claims={"x": value}, policy=policy))


@pure
@given(document=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_a_document_that_holds_no_key_is_the_issuers_fault_whatever_it_is(document: bytes) -> None:
    with pytest.raises(IssuerError):
        parse_jwk_set(document)


@pure
@given(
    entry=st.fixed_dictionaries(
        {"kty": st.sampled_from(["RSA", "EC", "OKP", "oct"]) | json_values},
        optional={
            name: json_values | st.sampled_from(["AQAB", "P-256", "Ed25519", "sig", "ES256"])
            for name in ("n", "e", "crv", "x", "y", "kid", "use", "key_ops", "alg", "d", "k")
        },
    )
)
@example(entry={**signing_key("ES256").public, "alg": []})
@example(entry={**signing_key("ES256").public, "alg": {}})
def test_one_broken_key_costs_the_others_nothing(entry: Mapping[str, object]) -> None:
    good = signing_key()
    try:
        document = jwk_set(entry, good.public)
        strict_json.parse_object(document)
    except strict_json.NotStrictJson:
        assume(False)  # noqa: FBT003 - that is a broken document
    keys = parse_jwk_set(document).keys
    assert good.kid in {key.kid for key in keys}


# Nobody can change a token.


@settings(signing, max_examples=300)
@given(data=st.data())
def test_any_one_character_change_of_a_token_is_denied(data: st.DataObject) -> None:
    token = mint()
    position = data.draw(st.integers(0, len(token) - 1))
    alphabet = st.sampled_from("ABCDwxyz0189-_.=~+/ ") | st.characters()
    character = data.draw(alphabet.filter(lambda drawn: drawn != token[position]))
    changed = token[:position] + character + token[position + 1 :]
    assert isinstance(decision_of(Check(authorization="Bearer " + changed)), Deny)


def test_no_spelling_of_the_last_characters_of_a_token_is_another_one() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for key in (signing_key(), signing_key("ES256"), signing_key("Ed25519")):
        keys = {"logto": key_set(key)}
        token = mint(key=key)
        allowed(Check(authorization=f"Bearer {token}", keys=functools.partial(dict, keys)))
        for position in (-1, -2):
            for character in set(alphabet) - {token[position]}:
                tail = token[position + 1 :] if position < -1 else ""
                changed = token[:position] + character + tail
                denied(Check(authorization=f"Bearer {changed}", keys=functools.partial(dict, keys)))


@signing
@given(data=st.data())
def test_inserting_or_deleting_a_character_of_a_token_is_denied(data: st.DataObject) -> None:
    token = mint()
    position = data.draw(st.integers(0, len(token) - 1))
    inserted = data.draw(st.sampled_from("Aa0-_.=\n\x00é"))
    for changed in (
        token[:position] + inserted + token[position:],
        token[:position] + token[position + 1 :],
        token + inserted,
    ):
        assert isinstance(decision_of(Check(authorization="Bearer " + changed)), Deny)


# Less never gives more.

scope_sets = st.sets(st.sampled_from(["a", "b", "c", "d"]))


@signing
@given(
    granted=scope_sets,
    dropped=scope_sets,
    scopes=scope_sets,
    any_scope=scope_sets,
    as_array=st.booleans(),
)
def test_dropping_a_scope_never_turns_deny_into_allow(
    granted: set[str], dropped: set[str], scopes: set[str], any_scope: set[str], *, as_array: bool
) -> None:
    requirement = needs(*sorted(scopes), any_scope=tuple(sorted(any_scope)))
    policy = policy_of(route("/x", {"GET": requirement}))

    def passes(held: set[str]) -> bool:
        scope: object = sorted(held) if as_array else " ".join(sorted(held))
        decision = decision_of(Check(target="/x", policy=policy, claims={"scope": scope}))
        return isinstance(decision, Allow)

    assert passes(granted) or not passes(granted - dropped)
    assert passes(granted) == (scopes <= granted and (not any_scope or bool(any_scope & granted)))


@signing
@given(
    audiences=st.lists(st.sampled_from([AUDIENCE, "https://a", "https://b"]), max_size=4),
    dropped=st.integers(0, 3),
)
def test_dropping_an_audience_never_turns_deny_into_allow(
    audiences: list[str], dropped: int
) -> None:
    def passes(held: Sequence[str]) -> bool:
        return isinstance(decision_of(Check(claims={"aud": list(held)})), Allow)

    fewer = audiences[:dropped] + audiences[dropped + 1 :]
    assert passes(audiences) or not passes(fewer)
    assert passes(audiences) == (AUDIENCE in audiences)


# Every deny is one, and says nothing.

MARKER: Final = "Mark3r"


@pytest.mark.parametrize("reason", DenyReason)
def test_every_reason_has_an_answer_that_refuses(reason: DenyReason) -> None:
    answer = ANSWERS[reason]
    assert answer.http_status >= 400
    assert answer.rpc_code is not RpcCode.OK
    assert answer.rpc_code.value != 0


def assert_says_nothing_of(text: str, deny: Deny) -> None:
    """Hold what the client gets against *text*, and against what may stand in a header."""
    headers = response_headers(deny)
    for name, value in headers:
        assert text not in name + value
        assert re.fullmatch(r"[ -~]+", value), "printable ASCII"
    assert text not in body(ANSWERS[deny.reason])


marked = any_text.map(lambda text: f"{text}{MARKER}")


@pure
@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            "method": marked,
            "authority": marked | st.just(f"{MARKER}.example"),
            "target": marked | marked.map(lambda text: f"/products/{quote(text, errors='ignore')}"),
            "authorization": marked | marked.map(lambda text: f"Bearer {text}"),
        },
    ),
    headers=st.lists(st.tuples(marked, marked)),
)
def test_no_answer_repeats_anything_of_the_request(
    changes: dict[str, str], headers: list[tuple[str, str]]
) -> None:
    check = Check(headers=tuple(headers), **changes)  # type: ignore[arg-type]
    decision = decision_of(check)
    if isinstance(decision, Deny):
        assert_says_nothing_of(MARKER, decision)


@signing
@given(
    claims=st.dictionaries(
        st.sampled_from([*VALID_CLAIMS, "nbf"]) | marked, marked | st.lists(marked), min_size=1
    ),
    header=st.dictionaries(st.sampled_from(["alg", "kid", "typ"]) | marked, marked, max_size=1),
)
def test_no_answer_repeats_anything_of_the_token(
    claims: dict[str, object], header: dict[str, object]
) -> None:
    decision = decision_of(Check(claims=claims, header=header, target="/products/archive"))
    if isinstance(decision, Deny):
        assert_says_nothing_of(MARKER, decision)


@pytest.mark.parametrize("reason", DenyReason)
def test_no_answer_repeats_what_a_refusal_knows_of_the_request_and_the_token(
    reason: DenyReason,
) -> None:
    known = denied(
        Check(
            target=f"/products/{MARKER}",
            claims={"sub": MARKER, "client_id": MARKER, "scope": MARKER, "jti": MARKER},
        )
    )
    assert known.match is not None
    assert known.match.variables == {"product_id": MARKER}
    assert known.claims is not None
    assert known.claims.subject == MARKER
    deny = Deny(reason, known.match, known.requirement, known.issuer, known.claims, nudge=True)
    assert_says_nothing_of(MARKER, deny)
    assert_says_nothing_of(MARKER, Deny(reason))


# No client sets an identity header.

IDENTITY: Final = ("x-auth-subject", "x-auth-client-id", "x-auth-scope", "x-auth-issuer")


def seen_by_upstream(
    headers: Sequence[tuple[str, str]], changes: UpstreamHeaders
) -> list[tuple[str, str]]:
    """Do what Envoy does: overwrite first, then remove."""
    overwritten = {name for name, _value in changes.overwrite}
    kept = [(name, value) for name, value in headers if name not in overwritten]
    return [
        (name, value) for name, value in [*kept, *changes.overwrite] if name not in changes.remove
    ]


def mixed(name: str) -> st.SearchStrategy[str]:
    """Give *name* with each `-` or `_` as either."""
    pieces = re.split("[-_]", name)
    return st.lists(st.sampled_from("-_"), min_size=len(pieces) - 1, max_size=len(pieces) - 1).map(
        lambda marks: "".join(itertools.chain(*itertools.zip_longest(pieces, marks, fillvalue="")))
    )


field_names = st.sampled_from(
    [
        *IDENTITY,
        "x-auth-",
        "x-auth-other",
        "x-auth",
        "x-user",
        "x_user",
        "x-user-more",
        "x-claims",
        "x-internal-id",
        "x-request-id",
        "authorization",
    ]
).flatmap(mixed) | st.from_regex(r"x[-_]auth[a-z_-]{0,8}", fullmatch=True)

forward_rules = st.builds(
    ForwardRules,
    headers=st.lists(
        st.tuples(
            st.sampled_from([*IDENTITY, "x-user", "x_user", "x-claims-a", "x-internal-id"]),
            st.sampled_from(["sub", "client_id", "scope", "missing", "/nested/0", "note"]),
        ),
        unique_by=lambda pair: pair[0],
        max_size=5,
    ).map(
        lambda pairs: tuple((name, ClaimReference.parse(claim)) for name, claim in pairs)
    ),
    keep_authorization=st.booleans(),
    strip=st.lists(
        st.sampled_from(["x-auth-*", "x_auth_*", "x-internal-*", "x-user", "x_request_id", "x-*"]),
        unique=True,
    ).map(tuple),
    claims_header=st.sampled_from([None, "x-claims"]),
)  # fmt: skip


def one_name(name: str) -> str:
    """Give *name* as a server sees it that takes `-` and `_` for the same."""
    return name.replace("_", "-")


def is_protected(name: str, rules: ForwardRules) -> bool:
    """Tell whether no client may set *name*, without asking the code under test."""
    plain = one_name(name)
    exact = {one_name(own) for own, _claim in rules.headers}
    exact |= {one_name(rules.claims_header)} if rules.claims_header else set()
    exact |= {one_name(pattern) for pattern in rules.strip if not pattern.endswith("*")}
    prefixes = [one_name(pattern[:-1]) for pattern in rules.strip if pattern.endswith("*")]
    return plain in exact or any(plain.startswith(prefix) for prefix in prefixes)


@settings(signing, max_examples=150)
@given(
    rules=forward_rules,
    names=st.lists(field_names, max_size=8),
    note=json_values | st.text(max_size=8),
    target=st.sampled_from(["/healthz", "/me"]),
)
@example(
    rules=ForwardRules(), names=["x-auth_client-id", "x_auth_subject"], note="", target="/healthz"
)
@example(
    rules=ForwardRules(), names=["x-auth_client-id", "x_auth_subject"], note="", target="/me"
)  # fmt: skip
def test_every_allow_overwrites_or_strips_every_identity_header(
    rules: ForwardRules, names: list[str], note: object, target: str
) -> None:
    client = tuple((name, "forged") for name in names if name != "authorization")
    claims = {"note": note, "nested": [note]}
    check = Check(target=target, headers=client, claims=claims, policy=shop_policy(forward=rules))
    request, decision = check.request(), decision_of(check)
    assume(isinstance(decision, Allow))  # the note may be nothing that can be forwarded
    assert isinstance(decision, Allow)
    changes = decision.headers
    overwritten = [name for name, _value in changes.overwrite]
    assert not set(overwritten) & set(changes.remove), "Envoy removes last"
    assert len(set(overwritten)) == len(overwritten)
    assert len(set(changes.remove)) == len(changes.remove)
    for name, value in changes.overwrite:
        assert re.fullmatch(r"[!-~](?:[ -~]*[!-~])?", value), "printable ASCII"
        assert len(value) <= MAX_HEADER_BYTES
        assert is_protected(name, rules)
    assert sum(len(name) + len(value) for name, value in changes.overwrite) <= MAX_HEADERS_BYTES
    for name, value in seen_by_upstream(request.headers, changes):
        assert value != "forged" or not is_protected(name, rules)
    if target == "/healthz":
        assert changes.overwrite == ()
    for name, _claim in rules.headers:
        for spelling in (name, name.replace("-", "_")):
            assert spelling in overwritten or spelling in changes.remove
    assert ("authorization" in changes.remove) is not rules.keep_authorization or is_protected(
        "authorization", rules
    )


@pure
@given(names=st.lists(field_names, max_size=8))
def test_no_field_is_removed_that_no_rule_names(names: list[str]) -> None:
    rules = ForwardRules()
    client = tuple((name, "own") for name in names)
    decision = allowed(Check(target="/healthz", headers=client, authorization=None))
    seen = [name for name, _value in seen_by_upstream(client, decision.headers)]
    assert seen == [name for name in names if not is_protected(name, rules)]


# Paths.


def is_hostile(segment: str) -> bool:
    """Tell what an upstream could read differently, without asking the code under test."""
    return (
        any(part.split(";", maxsplit=1)[0] in {"", ".", ".."} for part in segment.split("/"))
        or any(character in "\\%" for character in segment)
        or any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in segment)
    )


path_segments = st.text(max_size=6) | st.lists(
    st.sampled_from([".", "..", ";", "/", "\\", "%", "a", "é", "\x00", "\x85", "?", "#", " "]),
    max_size=3,
).map("".join)


def escape_every_octet(segment: str) -> str:
    return "".join(f"%{octet:02x}" for octet in segment.encode())


@pure
@given(segments=st.lists(path_segments, max_size=5), query=st.sampled_from(["", "?", "?a/../;%"]))
def test_segments_that_are_quoted_and_joined_parse_back_or_are_refused(
    segments: list[str], query: str
) -> None:
    assume(segments[-1:] != [""])  # that is a trailing slash
    for escape in (lambda segment: quote(segment, safe=""), escape_every_octet):
        target = "/" + "/".join(escape(segment) for segment in segments) + query
        if any(is_hostile(segment) for segment in segments):
            with pytest.raises(AccessDenied) as refused:
                RequestPath.parse(target)
            assert refused.value.reason is DenyReason.AMBIGUOUS_PATH
        else:
            path = RequestPath.parse(target)
            assert path.segments == tuple(segments)
            assert path.has_encoded_slash == any("/" in segment for segment in segments)
            assert not path.has_parameters


@pure
@given(target=targets)
def test_a_plain_path_is_read_as_any_other_is(target: str) -> None:
    raw_path = target.partition("?")[0]
    assert _path_or_reason(RequestPath.parse, target) == _path_or_reason(
        RequestPath._parse_unusual, raw_path
    )


def _path_or_reason(read: Callable[[str], RequestPath], text: str) -> RequestPath | DenyReason:
    try:
        return read(text)
    except AccessDenied as denied:
        return denied.reason


@pure
@given(target=targets)
def test_a_path_that_is_accepted_has_no_segment_that_climbs(target: str) -> None:
    try:
        path = RequestPath.parse(target)
    except AccessDenied:
        return
    for segment in path.segments:
        assert segment not in {"", ".", ".."}
        assert "\\" not in segment
        assert "%" not in segment


@pure
@given(
    pieces=st.lists(
        st.sampled_from(["..", ".", "%2f", "%2F", "/", ";", "a", "%2e%2e", "v=1", "%5c", "%00"]),
        max_size=7,
    )
)
@example(pieces=["a", ";", "%2f", "..", "%2f", "a"])
@example(pieces=["..", "%2f", "a"])
def test_no_upstream_that_decodes_first_climbs_even_where_everything_is_kept(
    pieces: list[str],
) -> None:
    policy = policy_of(
        route("/keep/**", {"GET": needs()}, keep_encoded_slash=True, keep_path_parameters=True)
    )
    target = "/keep/" + "".join(pieces)
    if isinstance(Check(target=target, policy=policy).decide(), Allow):
        decoded = target.replace("%2f", "/").replace("%2F", "/").replace("%2e", ".")
        assert "%" not in decoded
        as_directories = [segment.partition(";")[0] for segment in decoded.split("/")]
        assert not {".", ".."} & set(as_directories)


# The indexes, against references that try everything.

pattern_parts = st.lists(st.sampled_from(["a", "b", "c", "*", "{x}"]), max_size=4)
patterns = st.tuples(pattern_parts, st.sampled_from(["", "/**", "/{rest=**}"])).map(
    lambda drawn: ("".join(f"/{part}" for part in drawn[0]) + drawn[1]) or "/"
)


def matches(pattern: Sequence[Segment], path: Sequence[str]) -> bool:
    if pattern and isinstance(pattern[-1], Rest):
        pattern, path = pattern[:-1], path[: len(pattern) - 1]
    return len(pattern) == len(path) and all(
        isinstance(segment, OneSegment) or segment == Literal(text)
        for segment, text in zip(pattern, path, strict=True)
    )


def specificity(pattern: PathPattern) -> list[int]:
    """Write literal, one segment, rest as ascending numbers; the end is as good as a literal."""
    ranks = {Literal: 0, OneSegment: 1, Rest: 2}
    return [*(ranks[type(segment)] for segment in pattern.segments), 0]


def shape(pattern: PathPattern) -> tuple[Segment, ...]:
    """The pattern without its names: two of one shape match the same paths."""
    return tuple(
        segment if isinstance(segment, Literal) else type(segment)(None)
        for segment in pattern.segments
    )


@settings(pure, max_examples=400)
@given(
    texts=st.lists(patterns, max_size=12),
    paths=st.lists(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=5), max_size=6),
)
def test_the_index_finds_what_trying_every_pattern_finds(
    texts: list[str], paths: list[list[str]]
) -> None:
    index: RouteIndex[PathPattern] = RouteIndex()
    chosen: dict[tuple[Segment, ...], PathPattern] = {}
    for text in texts:
        try:
            pattern = PathPattern.parse(text)
        except ValueError:  # two variables of one name
            continue
        first = chosen.setdefault(shape(pattern), pattern)
        assert index.add(pattern, pattern) is first
    for path in paths:
        candidates = [each for each in chosen.values() if matches(each.segments, path)]
        assert index.find(path) is min(candidates, key=specificity, default=None)


host_names = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4).map(".".join)
host_patterns = st.just("*") | host_names | host_names.map(lambda name: f"*.{name}")


@settings(pure, max_examples=300)
@given(texts=st.sets(host_patterns, max_size=8), names=st.lists(host_names, max_size=6))
def test_the_index_of_hosts_finds_what_trying_every_pattern_finds(
    texts: set[str], names: list[str]
) -> None:
    index = HostIndex({HostPattern.parse(text): text for text in texts})
    for name in names:
        below = [text for text in texts if text[:1] == "*" and name.endswith(text[1:])]
        expected = name if name in texts else max(below, key=len, default=None)
        assert index.find(Host.parse(name)) == expected


# Encodings.


@pure
@given(octets=st.binary())
def test_base64url_gives_back_what_it_was_given(octets: bytes) -> None:
    assert base64url.decode(base64url.encode(octets)) == octets


@pure
@given(text=any_text | st.text("AB-_+/= \n", max_size=9))
def test_base64url_has_one_spelling_for_what_it_decodes(text: str) -> None:
    try:
        octets = base64url.decode(text)
    except ValueError:
        return
    assert base64url.encode(octets) == text


@pure
@given(members=st.dictionaries(st.text(), strict_values, max_size=5))
def test_strict_json_reads_what_any_writer_writes(members: dict[str, object]) -> None:
    for ascii_only in (True, False):
        document = json.dumps(members, ensure_ascii=ascii_only).encode()
        assert strict_json.parse_object(document) == members


@pure
@given(document=any_text | st.text('{}[]",:\\u0aN1e ', max_size=40))
def test_strict_json_admits_only_what_a_common_parser_reads_the_same(document: str) -> None:
    octets = document.encode("utf-8", "surrogatepass")
    try:
        members = strict_json.parse_object(octets)
    except strict_json.NotStrictJson:
        return
    assert members == json.loads(octets)


@pure
@given(text=st.text("~01/ab", max_size=8).map(lambda text: "/" + text))
@example(text="/~~01")
@example(text="/~~00")
@example(text="/~~11")
def test_a_json_pointer_is_accepted_if_and_only_if_the_grammar_has_it(text: str) -> None:
    grammatical = re.fullmatch(r"(?:/(?:[^~/]|~[01])*)*", text) is not None
    try:
        ClaimReference.parse(text)
    except ValueError:
        assert not grammatical
    else:
        assert grammatical


# When keys are fetched.

seconds = st.floats(0, 1000)
fractions = st.floats(0, 1, exclude_max=True)
events = st.tuples(st.sampled_from(["attempted", "succeeded", "failed", "nudged"]), seconds)


@pure
@given(history=st.lists(events, max_size=12), random=fractions, max_age=st.none() | seconds)
def test_no_sequence_of_nudges_brings_a_fetch_forward_into_the_cooldown(
    history: list[tuple[str, float]], random: float, max_age: float | None
) -> None:
    settings_ = RefreshSettings(interval=300, cooldown=10, max_stale=3600)
    schedule, now = RefreshSchedule(settings_, next_fetch_at=0), 0.0
    for event, passed in history:
        now += passed
        match event:
            case "attempted":
                schedule = schedule.attempted(now)
            case "succeeded":
                schedule = schedule.succeeded(now, max_age=max_age, random=random)
                assert now < schedule.next_fetch_at <= now + settings_.interval
                assert not schedule.is_stale(now)
            case "failed":
                schedule = schedule.failed(now, random=random)
                assert now < schedule.next_fetch_at <= now + settings_.interval
            case _:
                before = schedule
                schedule = schedule.nudged(now)
                assert schedule.next_fetch_at <= before.next_fetch_at
                if schedule != before and schedule.last_attempt_at is not None:
                    assert schedule.next_fetch_at >= schedule.last_attempt_at + settings_.cooldown
                assert schedule.nudged(now) == schedule, "the second one changes nothing"
