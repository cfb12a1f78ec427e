"""The decision table: each row changes one thing of a request that is allowed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from authz_service.core import base64url
from authz_service.core.algorithms import ALGORITHMS
from authz_service.core.authorize import authorize
from authz_service.core.claims import ClaimReference, ValidatedClaims
from authz_service.core.decision import NOT_OF_THE_REQUEST, Deny, DenyReason
from authz_service.core.forward import MAX_HEADER_BYTES, ForwardRules
from authz_service.core.jwks import parse_jwk_set
from authz_service.core.limits import MAX_HEADERS, MAX_TOKEN_BYTES, RequestLimits
from authz_service.core.policy import Policy, Public, TokenTypes
from authz_service.core.strict_json import MAX_DEPTH
from tests.support.checks import Check, allowed, denied
from tests.support.keys import KID, jwk_set, key_set, signing_key
from tests.support.policies import LEEWAY, LOGTO, MAX_LIFETIME, PARTNER, shop_policy
from tests.support.tokens import (
    AUDIENCE,
    ISSUER,
    MISSING,
    NOW,
    VALID_CLAIMS,
    RawJson,
    json_object,
    mint,
    sign,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_service.core.jwks import KeySet

R = DenyReason

ORGANIZATION: Final = "urn:logto:organization:org-1"
ES384_HEADER: Final = json_object({"alg": "ES384", "kid": KID, "typ": "at+jwt"})


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    sentence: str
    check: Check
    reason: DenyReason | None = None


def ids(rows: list[Row]) -> list[str]:
    return [row.sentence.replace(" ", "-") for row in rows]


def parts_of(token: str) -> tuple[str, str, str]:
    header, payload, signature = token.split(".")
    return header, payload, signature


def with_signature(change: Callable[[bytes], bytes]) -> Callable[[], str]:
    """Mint the valid token, with its signature changed."""

    def token() -> str:
        header, payload, signature = parts_of(mint())
        return f"{header}.{payload}.{base64url.encode(change(base64url.decode(signature)))}"

    return token


def with_parts(change: Callable[[str, str, str], str]) -> Callable[[], str]:
    """Mint the valid token, put together in another way."""
    return lambda: change(*parts_of(mint()))


def with_header(document: bytes) -> Callable[[], str]:
    """Mint a token that is properly signed, with *document* for a header."""
    return lambda: sign(document, json_object(VALID_CLAIMS))


def with_payload(document: bytes) -> Callable[[], str]:
    """Mint a token that is properly signed, with *document* for a payload."""
    return lambda: sign(ES384_HEADER, document)


def der(signature: bytes) -> bytes:
    """Write a raw ECDSA signature as DER, as other formats than JOSE do."""
    half = len(signature) // 2
    return encode_dss_signature(
        int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    )


def hmac_with_public_key() -> str:
    """Sign as HS256, with the published key as the secret: the classic confusion of keys."""
    secret = (
        signing_key()
        .jwk.get_op_key("verify")
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    header = json_object({"alg": "HS256", "kid": KID, "typ": "at+jwt"})
    signing_input = (
        f"{base64url.encode(header)}.{base64url.encode(json_object(VALID_CLAIMS))}".encode()
    )
    mac = hmac.HMAC(secret, hashes.SHA256())
    mac.update(signing_input)
    return f"{signing_input.decode()}.{base64url.encode(mac.finalize())}"


def unsecured() -> str:
    header = json_object({"alg": "none", "typ": "at+jwt"})
    return f"{base64url.encode(header)}.{base64url.encode(json_object(VALID_CLAIMS))}."


def json_serialization() -> str:
    header, payload, signature = parts_of(mint())
    return json.dumps({"protected": header, "payload": payload, "signature": signature})


def non_canonical_last_character() -> str:
    """Sign a payload of which the last character has a spare bit set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    tokens = (parts_of(mint({"filler": "x" * length})) for length in range(4))
    header, payload, _signature = next(parts for parts in tokens if len(parts[1]) % 4)
    payload = payload[:-1] + alphabet[alphabet.index(payload[-1]) + 1]
    signature = signing_key().sign(f"{header}.{payload}".encode())
    return f"{header}.{payload}.{base64url.encode(signature)}"


def with_algorithms(*names: str) -> Policy:
    return shop_policy(issuer=replace(LOGTO, algorithms=frozenset(names)))


def with_types(*names: str, absent: bool = False) -> Policy:
    return shop_policy(issuer=replace(LOGTO, token_types=TokenTypes.of(*names, absent=absent)))


def keys_for(alg: str) -> Callable[[], Mapping[str, KeySet]]:
    return lambda: {"logto": key_set(signing_key(alg))}


def padded_to(size: int) -> Callable[[], str]:
    """Mint a valid token of exactly *size* characters."""

    def token() -> str:
        for claim in (size * 3 // 4 - 600 + extra for extra in range(600)):
            candidate = mint({"filler": "x" * claim})
            if len(candidate) == size:
                return candidate
        raise AssertionError(size)

    return token


def nested(depth: int) -> RawJson:
    return RawJson("[" * depth + "]" * depth)


LONG_SUBJECT: Final = "s" * (MAX_HEADER_BYTES + 1)


def members_of(org_id: str, **claims: object) -> Check:
    """Ask for an organization's members, with an organization token for org-1."""
    return Check(
        target=f"/organizations/{org_id}/members",
        claims={"aud": ORGANIZATION, "scope": "read:members", **claims},
    )


def orders_of(org_id: str, **claims: object) -> Check:
    """Ask for an organization's orders, with an organization-level token for org-1."""
    return Check(
        target=f"/organizations/{org_id}/orders",
        claims={"organization_id": "org-1", "scope": "read:orders", **claims},
    )


REQUESTS = [
    Row("a path that no route names", Check(target="/nothing"), R.NO_ROUTE),
    Row("a host that no resource names", Check(authority="other.example"), R.NO_ROUTE),
    Row("a path below a route", Check(target="/healthz/more"), R.NO_ROUTE),
    Row("an empty policy", Check(policy=Policy()), R.NO_ROUTE),
    Row("a method that the route does not name", Check(method="PUT"), R.METHOD_NOT_ALLOWED),
    Row("a method in lower case", Check(method="get"), R.METHOD_NOT_ALLOWED),
    Row("a method that is a star", Check(method="*"), R.METHOD_NOT_ALLOWED),
    Row("no method", Check(method=""), R.METHOD_NOT_ALLOWED),
    Row(
        "a method that only a less specific route names",
        Check(target="/products/archive", method="DELETE", claims={"scope": "admin"}),
        R.METHOD_NOT_ALLOWED,
    ),
    Row("HEAD where GET is not named", Check(target="/vip", method="POST"), R.METHOD_NOT_ALLOWED),
    Row("a path with dot segments", Check(target="/me/../products"), R.AMBIGUOUS_PATH),
    Row("an encoded slash", Check(target="/products/a%2Fb"), R.AMBIGUOUS_PATH),
    Row("path parameters", Check(target="/products;v=1"), R.AMBIGUOUS_PATH),
    Row(
        "path parameters where only slashes are kept",
        Check(target="/slashes/a;v=1"),
        R.AMBIGUOUS_PATH,
    ),
    Row(
        "an encoded slash where only parameters are kept",
        Check(target="/matrix/a%2Fb"),
        R.AMBIGUOUS_PATH,
    ),
    Row("an encoded slash where no route matches", Check(target="/no%2Fone"), R.AMBIGUOUS_PATH),
    Row("no host", Check(authority=""), R.BAD_HOST),
    Row("two hosts", Check(authority="shop.example.com,other.example"), R.BAD_HOST),
]

CREDENTIALS = [
    Row("no authorization", Check(authorization=None), R.MISSING_TOKEN),
    Row("an empty authorization", Check(authorization=""), R.MISSING_TOKEN),
    Row("another scheme", Check(authorization="Basic dXNlcjpwYXNz"), R.MISSING_TOKEN),
    Row("another scheme with a token", Check(authorization="DPoP {}"), R.MISSING_TOKEN),
    Row("a token without a scheme", Check(authorization="{}"), R.MISSING_TOKEN),
    Row("a scheme without a token", Check(authorization="Bearer"), R.MALFORMED_CREDENTIALS),
    Row("two tokens in one field", Check(authorization="Bearer {},Bearer {}"),
        R.MALFORMED_CREDENTIALS),
    Row("two fields", Check(headers=(("authorization", "Bearer x"),)), R.MALFORMED_CREDENTIALS),
    Row("a quoted token", Check(authorization='Bearer "{}"'), R.MALFORMED_CREDENTIALS),
    Row("a JSON serialization", Check(token=json_serialization), R.MALFORMED_CREDENTIALS),
]  # fmt: skip

NUMBERED = tuple((f"x-{number}", "") for number in range(MAX_HEADERS))
LIMITS = [
    Row("one header too many", Check(headers=NUMBERED), R.TOO_MANY_HEADERS),
    Row("too many headers and nothing else that is right",
        Check(target="..", authority="", headers=NUMBERED), R.TOO_MANY_HEADERS),
]  # fmt: skip

TOKENS = [
    Row("no JWT at all", Check(authorization="Bearer opaque"), R.MALFORMED_TOKEN),
    Row("two parts", Check(token=with_parts(lambda h, p, _s: f"{h}.{p}")), R.MALFORMED_TOKEN),
    Row("five parts", Check(token=with_parts(lambda h, p, s: f"{h}.{p}.{s}.{p}.{s}")),
        R.MALFORMED_TOKEN),
    Row("an empty payload", Check(token=with_parts(lambda h, _p, s: f"{h}..{s}")),
        R.MALFORMED_TOKEN),
    Row("padding", Check(token=with_parts(lambda h, p, s: f"{h}.{p}.{s}=")), R.MALFORMED_TOKEN),
    Row("the alphabet of plain base64", Check(token=with_parts(lambda h, p, s: f"{h}.{p}.+{s}")),
        R.MALFORMED_TOKEN),
    Row("junk inside base64url", Check(token=with_parts(lambda h, p, s: f"{h}~.{p}.{s}")),
        R.MALFORMED_TOKEN),
    Row("a length that base64url cannot have",
        Check(token=with_parts(lambda h, p, _s: f"{h}.{p}.AAAAA")), R.MALFORMED_TOKEN),
    Row("a last character that is not canonical",
        Check(token=non_canonical_last_character), R.MALFORMED_TOKEN),
    Row("a token one octet too long", Check(token=padded_to(MAX_TOKEN_BYTES + 1)),
        R.TOKEN_TOO_LARGE),
    Row("too large and no token", Check(authorization="Bearer " + "." * 20_000),
        R.TOKEN_TOO_LARGE),
]  # fmt: skip

HEADERS = [
    Row("an empty crit", Check(header={"crit": []}), R.MALFORMED_TOKEN),
    Row("a crit", Check(header={"crit": ["exp"], "exp": NOW + 60}), R.MALFORMED_TOKEN),
    Row("b64", Check(header={"b64": False}), R.MALFORMED_TOKEN),
    Row("b64 with its default value", Check(header={"b64": True}), R.MALFORMED_TOKEN),
    Row("enc", Check(header={"enc": "A256GCM"}), R.MALFORMED_TOKEN),
    Row("no alg", Check(header={"alg": MISSING}), R.MALFORMED_TOKEN),
    Row("an alg that is null", Check(header={"alg": None}), R.MALFORMED_TOKEN),
    Row("an alg that is a list", Check(header={"alg": ["ES384"]}), R.MALFORMED_TOKEN),
    Row("a kid that is a number", Check(header={"kid": 1}), R.MALFORMED_TOKEN),
    Row("a kid that is null", Check(header={"kid": None}), R.MALFORMED_TOKEN),
    Row("a kid that is a list", Check(header={"kid": [KID]}), R.MALFORMED_TOKEN),
    Row("a typ that is null", Check(header={"typ": None}), R.MALFORMED_TOKEN),
    Row("a typ that is true", Check(header={"typ": True}), R.MALFORMED_TOKEN),
    Row("a header parameter twice",
        Check(token=with_header(b'{"alg":"ES384","kid":"key-1","typ":"at+jwt","alg":"ES384"}')),
        R.MALFORMED_TOKEN),
    Row("a header parameter twice in another spelling",
        Check(token=with_header(b'{"alg":"ES384","kid":"key-1","typ":"at+jwt","\\u0061lg":"x"}')),
        R.MALFORMED_TOKEN),
    Row("a header that is an array", Check(token=with_header(b"[]")), R.MALFORMED_TOKEN),
    Row("a header that is null", Check(token=with_header(b"null")), R.MALFORMED_TOKEN),
    Row("a header with a byte order mark", Check(token=with_header(b"\xef\xbb\xbf" + ES384_HEADER)),
        R.MALFORMED_TOKEN),
    Row("a header in UTF-16", Check(token=with_header(ES384_HEADER.decode().encode("utf-16"))),
        R.MALFORMED_TOKEN),
    Row("a header with something after it", Check(token=with_header(ES384_HEADER + b"{}")),
        R.MALFORMED_TOKEN),
    Row("NaN in the header", Check(header={"x": RawJson("NaN")}), R.MALFORMED_TOKEN),
    Row("a lone surrogate in the header", Check(header={"x": RawJson(r'"\ud800"')}),
        R.MALFORMED_TOKEN),
    Row("deep nesting in the header", Check(header={"x": nested(MAX_DEPTH)}), R.MALFORMED_TOKEN),
    Row("very deep nesting in the header", Check(header={"x": RawJson("[" * 5000)}),
        R.MALFORMED_TOKEN),
    Row("an unsecured token", Check(token=unsecured), R.ALGORITHM_NOT_ALLOWED),
    Row("alg none with a signature", Check(header={"alg": "none"}), R.ALGORITHM_NOT_ALLOWED),
    Row("alg None", Check(header={"alg": "None"}), R.ALGORITHM_NOT_ALLOWED),
    Row("an empty alg", Check(header={"alg": ""}), R.ALGORITHM_NOT_ALLOWED),
    Row("an alg in lower case", Check(header={"alg": "es384"}), R.ALGORITHM_NOT_ALLOWED),
    Row("an HMAC with the public key", Check(token=hmac_with_public_key), R.ALGORITHM_NOT_ALLOWED),
    Row("an algorithm that the issuer does not use", Check(policy=with_algorithms("RS256")),
        R.ALGORITHM_NOT_ALLOWED),
    Row("an ID token", Check(header={"typ": "JWT"}), R.TOKEN_TYPE_NOT_ALLOWED),
    Row("a logout token", Check(header={"typ": "logout+jwt"}), R.TOKEN_TYPE_NOT_ALLOWED),
    Row("no typ", Check(header={"typ": MISSING}), R.TOKEN_TYPE_NOT_ALLOWED),
    Row("an empty typ", Check(header={"typ": ""}), R.TOKEN_TYPE_NOT_ALLOWED),
    Row("a typ of another tree", Check(header={"typ": "text/at+jwt"}), R.TOKEN_TYPE_NOT_ALLOWED),
    Row("a typ with two trees", Check(header={"typ": "application/application/at+jwt"}),
        R.TOKEN_TYPE_NOT_ALLOWED),
    Row("the word absent where no typ is fine",
        Check(header={"typ": "absent"}, policy=with_types("at+jwt", absent=True)),
        R.TOKEN_TYPE_NOT_ALLOWED),
    Row("an empty typ where no typ is fine",
        Check(header={"typ": ""}, policy=with_types("at+jwt", absent=True)),
        R.TOKEN_TYPE_NOT_ALLOWED),
]  # fmt: skip

KEYS = [
    Row("an issuer that nobody knows", Check(claims={"iss": "https://evil.example"}),
        R.UNKNOWN_ISSUER),
    Row("an issuer with a slash more", Check(claims={"iss": ISSUER + "/"}), R.UNKNOWN_ISSUER),
    Row("an issuer in upper case", Check(claims={"iss": ISSUER.upper()}), R.UNKNOWN_ISSUER),
    Row("an issuer by its name in the policy", Check(claims={"iss": "logto"}), R.UNKNOWN_ISSUER),
    Row("a kid that the set lacks", Check(header={"kid": "key-2"}), R.UNKNOWN_KEY),
    Row("an empty kid", Check(header={"kid": ""}), R.UNKNOWN_KEY),
    Row("a kid in upper case", Check(header={"kid": KID.upper()}), R.UNKNOWN_KEY),
    Row("an algorithm that the key is not for", Check(header={"alg": "RS256"}), R.UNKNOWN_KEY),
    Row("another curve than the key's", Check(header={"alg": "ES256"}), R.UNKNOWN_KEY),
    Row("no kid and two keys that fit",
        Check(
            header={"kid": MISSING},
            keys=lambda: {"logto": key_set(signing_key(), signing_key(owner="x", kid="key-2"))},
        ),
        R.UNKNOWN_KEY),
    Row("one kid for two keys that fit",
        Check(keys=lambda: {"logto": key_set(signing_key(), signing_key(owner="x"))}),
        R.UNKNOWN_KEY),
    Row("no keys yet", Check(keys=dict), R.KEYS_UNAVAILABLE),
    Row("another issuer's key under the same kid",
        Check(signed_with=lambda: signing_key(owner="partner")), R.BAD_SIGNATURE),
    Row("our key for another issuer's token",
        Check(claims={"iss": PARTNER.identifiers[0]}), R.BAD_SIGNATURE),
    Row("a key that the header brings along",
        Check(
            header={"jwk": {"kty": "EC"}, "jku": "https://evil.example", "x5c": ["MII"]},
            signed_with=lambda: signing_key(owner="evil"),
        ),
        R.BAD_SIGNATURE),
    Row("no signature", Check(token=with_signature(lambda _signature: b"")), R.BAD_SIGNATURE),
    Row("a signature with an octet more", Check(token=with_signature(lambda s: s + b"\0")),
        R.BAD_SIGNATURE),
    Row("a signature with an octet less", Check(token=with_signature(lambda s: s[:-1])),
        R.BAD_SIGNATURE),
    Row("a signature with zeros before its halves",
        Check(token=with_signature(lambda s: b"\0" + s[:48] + b"\0" + s[48:])), R.BAD_SIGNATURE),
    Row("a signature in DER", Check(token=with_signature(der)), R.BAD_SIGNATURE),
    Row("a signature of zeros", Check(token=with_signature(lambda s: bytes(len(s)))),
        R.BAD_SIGNATURE),
    Row("a signature of ones", Check(token=with_signature(lambda s: b"\xff" * len(s))),
        R.BAD_SIGNATURE),
    Row("a signature with its halves exchanged",
        Check(token=with_signature(lambda s: s[48:] + s[:48])), R.BAD_SIGNATURE),
    Row("another token's signature",
        Check(token=lambda: f"{mint({'sub': 'admin'}).rpartition('.')[0]}.{parts_of(mint())[2]}"),
        R.BAD_SIGNATURE),
]  # fmt: skip

PAYLOADS = [
    Row("a claim twice",
        Check(token=with_payload(json_object(VALID_CLAIMS)[:-1] + b',"sub":"admin"}')),
        R.MALFORMED_TOKEN),
    Row("a nested member twice", Check(claims={"x": RawJson('{"a":1,"a":2}')}), R.MALFORMED_TOKEN),
    Row("a payload that is an array", Check(token=with_payload(b"[1]")), R.MALFORMED_TOKEN),
    Row("a payload that is text", Check(token=with_payload(b"hello")), R.MALFORMED_TOKEN),
    Row("a payload that is not UTF-8", Check(token=with_payload(b'{"iss":"\xff"}')),
        R.MALFORMED_TOKEN),
    Row("infinity in a claim", Check(claims={"x": RawJson("-Infinity")}), R.MALFORMED_TOKEN),
    Row("a number beyond a double in a claim", Check(claims={"x": RawJson("-1e400")}),
        R.MALFORMED_TOKEN),
    Row("a number of more digits than Python reads",
        Check(claims={"x": RawJson("9" * 5000)}), R.MALFORMED_TOKEN),
    Row("a lone surrogate in a claim's name", Check(claims={"\udc00": 1}), R.MALFORMED_TOKEN),
    Row("deep nesting in a claim", Check(claims={"x": nested(MAX_DEPTH)}), R.MALFORMED_TOKEN),
]  # fmt: skip

VALIDATION = [
    Row("a token that has expired", Check(claims={"exp": NOW - 3600}), R.EXPIRED),
    Row("a token that expired before time began", Check(claims={"exp": -1e300}), R.EXPIRED),
    Row("a token of tomorrow", Check(claims={"nbf": NOW + 3600}), R.NOT_YET_VALID),
    Row("a token issued tomorrow", Check(claims={"iat": NOW + 3600}), R.NOT_YET_VALID),
    Row("a token that lives for ever", Check(claims={"exp": 1e300}), R.LIFETIME_TOO_LONG),
    Row("another audience", Check(claims={"aud": "https://other.api"}), R.WRONG_AUDIENCE),
    Row("an audience with a slash more", Check(claims={"aud": AUDIENCE + "/"}), R.WRONG_AUDIENCE),
    Row("no audience in the array", Check(claims={"aud": []}), R.WRONG_AUDIENCE),
    Row("an organization token for the API", Check(claims={"aud": ORGANIZATION}),
        R.WRONG_AUDIENCE),
    Row("an organization token of another organization", members_of("org-2"), R.WRONG_AUDIENCE),
    Row("an API's token for an organization", members_of("org-1", aud=AUDIENCE),
        R.WRONG_AUDIENCE),
    Row("an audience that is the template itself",
        members_of("org-2", aud="urn:logto:organization:{org_id}"), R.WRONG_AUDIENCE),
    Row("a scope that is missing", Check(claims={"scope": "read:orders"}), R.INSUFFICIENT_SCOPE),
    Row("one of two scopes missing", Check(target="/products/archive"), R.INSUFFICIENT_SCOPE),
    Row("none of any scopes", Check(target="/products/1", method="DELETE"), R.INSUFFICIENT_SCOPE),
    Row("a scope that only begins like it", Check(claims={"scope": "read:products:all"}),
        R.INSUFFICIENT_SCOPE),
    Row("a scope in upper case", Check(claims={"scope": "READ:PRODUCTS"}), R.INSUFFICIENT_SCOPE),
    Row("scopes with commas", Check(claims={"scope": "read:products,write:products"}),
        R.INSUFFICIENT_SCOPE),
    Row("a scope after a tab", Check(claims={"scope": "x\tread:products"}), R.INSUFFICIENT_SCOPE),
    Row("the scope in another issuer's claim",
        Check(claims={"scope": MISSING, "scp": "read:products"}), R.INSUFFICIENT_SCOPE),
    Row("HEAD with too little for GET", Check(method="HEAD", claims={"scope": ""}),
        R.INSUFFICIENT_SCOPE),
    Row("another organization in the path", orders_of("org-2"), R.CLAIM_MISMATCH),
    Row("no organization in the token", orders_of("org-1", organization_id=MISSING),
        R.CLAIM_MISMATCH),
    Row("an organization that is null", orders_of("org-1", organization_id=None),
        R.CLAIM_MISMATCH),
    Row("an organization that is the template itself",
        orders_of("org-1", organization_id="{org_id}"), R.CLAIM_MISMATCH),
    Row("a condition that does not hold", Check(target="/vip"), R.CONDITION_FAILED),
    Row("a claim too large to forward", Check(claims={"sub": LONG_SUBJECT}), R.CLAIMS_TOO_LARGE),
    Row("a control character to forward", Check(claims={"sub": "user\r\nx-admin: 1"}),
        R.MALFORMED_CLAIM),
    Row("a required claim that is missing",
        Check(policy=shop_policy(issuer=replace(LOGTO, required_claims=("acr",)))),
        R.MISSING_CLAIM),
]  # fmt: skip

# What each claim may be, and what comes of it where that is nothing good. A number beyond a double
# is no JSON that parsers agree on, whichever claim it is in.
SHAPES: Final[Mapping[str, object]] = {
    "missing": MISSING,
    "null": None,
    "true": True,
    "an empty string": "",
    "an empty array": [],
    "an empty object": {},
    "1e400": RawJson("1e400"),
    "a huge integer": 10**400,
    "an array in an array": [["x"]],
    "an object in an object": {"x": {"x": 1}},
}
_STRING_REASONS: Final[Mapping[str, DenyReason | None]] = {
    "missing": R.MISSING_CLAIM,
    "1e400": R.MALFORMED_TOKEN,
}
SHAPE_REASONS: Final[Mapping[str, Mapping[str, DenyReason | None]]] = {
    "iss": {**_STRING_REASONS, "an empty string": R.UNKNOWN_ISSUER},
    "aud": {**_STRING_REASONS, "an empty array": R.WRONG_AUDIENCE},
    "exp": _STRING_REASONS,
    "nbf": {**_STRING_REASONS, "missing": None},
    "iat": _STRING_REASONS,
    "sub": _STRING_REASONS,
    "client_id": _STRING_REASONS,
    "jti": _STRING_REASONS,
    "scope": {
        **_STRING_REASONS,
        "missing": R.INSUFFICIENT_SCOPE,
        "an empty string": R.INSUFFICIENT_SCOPE,
        "an empty array": R.INSUFFICIENT_SCOPE,
    },
}
HOSTILE_SHAPES = [
    Row(f"{claim}: {shape}", Check(claims={claim: value}), reason)
    for claim, reasons in SHAPE_REASONS.items()
    for shape, value in SHAPES.items()
    if (reason := reasons.get(shape, R.MALFORMED_CLAIM)) is not None
] + [
    Row("exp: a string of digits", Check(claims={"exp": str(NOW + 60)}), R.MALFORMED_CLAIM),
    Row("nbf: a string of digits", Check(claims={"nbf": "0"}), R.MALFORMED_CLAIM),
    Row("aud: a string and a number", Check(claims={"aud": [AUDIENCE, 1]}), R.MALFORMED_CLAIM),
    Row("aud: a string and an empty one", Check(claims={"aud": [AUDIENCE, ""]}),
        R.MALFORMED_CLAIM),
    Row("scope: an item with a space", Check(claims={"scope": ["read:products write:x"]}),
        R.MALFORMED_CLAIM),
    Row("scope: an empty item", Check(claims={"scope": ["read:products", ""]}),
        R.MALFORMED_CLAIM),
    Row("scope: a number among the items", Check(claims={"scope": ["read:products", 1]}),
        R.MALFORMED_CLAIM),
]  # fmt: skip

DENIED = [
    *REQUESTS,
    *CREDENTIALS,
    *LIMITS,
    *TOKENS,
    *HEADERS,
    *KEYS,
    *PAYLOADS,
    *VALIDATION,
    *HOSTILE_SHAPES,
]

ALLOWED = [
    Row("a token for a global API resource", Check()),
    Row("an organization token for its organization", members_of("org-1")),
    Row("an organization-level token for its organization", orders_of("org-1")),
    Row("an organization among several",
        orders_of("org-1", organization_id=["org-2", "org-1"])),
    Row("a machine whose subject is its client id",
        Check(claims={"sub": "app-1", "client_id": "app-1"})),
    Row("a resource without scopes", Check(target="/me", claims={"scope": MISSING})),
    Row("any method of a route with a star", Check(target="/me/a/b", method="BREW")),
    Row("HEAD as GET", Check(method="HEAD")),
    Row("HEAD where it is named", Check(target="/heads", method="HEAD", claims={"scope": ""})),
    Row("HEAD of a public GET", Check(target="/mixed", method="HEAD", authorization=None)),
    Row("a method that is not named but starred",
        Check(target="/mixed", method="PUT", claims={"scope": "admin"})),
    Row("one of any scopes",
        Check(target="/products/1", method="DELETE", claims={"scope": "x admin"})),
    Row("the other of any scopes",
        Check(target="/products/1", method="DELETE", claims={"scope": "delete:products"})),
    Row("more scopes than needed", Check(claims={"scope": "a  read:products b "})),
    Row("scopes as an array", Check(claims={"scope": ["write:products", "read:products"]})),
    Row("one of several audiences", Check(claims={"aud": ["https://other.api", AUDIENCE]})),
    Row("a public route without a token", Check(target="/healthz", authorization=None)),
    Row("a public route with junk for a token",
        Check(target="/healthz", authorization="Bearer junk,Bearer more")),
    Row("a public route without keys", Check(target="/healthz", keys=dict)),
    Row("a typ with its tree", Check(header={"typ": "application/at+jwt"})),
    Row("a typ in upper case", Check(header={"typ": "AT+JWT"})),
    Row("a typ with its tree in upper case", Check(header={"typ": "Application/AT+JWT"})),
    Row("another typ that the issuer uses",
        Check(header={"typ": "JWT"}, policy=with_types("at+jwt", "application/jwt"))),
    Row("no typ where that is fine",
        Check(header={"typ": MISSING}, policy=with_types("at+jwt", absent=True))),
    Row("header parameters that are ignored",
        Check(header={"jwk": None, "jku": "https://evil.example", "x5c": [], "x5u": 1, "x5t": 1})),
    Row("no kid and one key that fits", Check(header={"kid": MISSING})),
    Row("another issuer with other names for its claims",
        Check(
            claims={
                "iss": PARTNER.identifiers[0],
                "scp": "read:products",
                "scope": MISSING,
                "client_id": MISSING,
                "azp": "app-2",
            },
            signed_with=lambda: signing_key(owner="partner"),
        )),
    Row("times with fractions", Check(claims={"exp": NOW + 0.5, "nbf": NOW - 0.5, "iat": NOW})),
    Row("as many headers as may be", Check(headers=NUMBERED[1:])),
    Row("the largest token", Check(token=padded_to(MAX_TOKEN_BYTES))),
    Row("nesting at the limit", Check(claims={"x": nested(MAX_DEPTH - 1)})),
    Row("brackets in a string", Check(claims={"x": '[{"' * 100})),
    Row("a claim that is null and not asked for", Check(claims={"nickname": None})),
    Row("no nbf", Check(claims={"nbf": MISSING})),
    Row("a condition that holds", Check(target="/vip", claims={"vip": True})),
    Row("an encoded slash where it is kept", Check(target="/slashes/a%2Fb")),
    Row("path parameters where they are kept", Check(target="/matrix/a;v=1")),
    Row("a query", Check(target="/products?path=/../;%2F#")),
    Row("a trailing slash", Check(target="/products/")),
    Row("a host in upper case with a port and a dot", Check(authority="SHOP.Example.com.:443")),
    Row("the scheme in upper case", Check(authorization="BEARER {}")),
    Row("two spaces after the scheme", Check(authorization="Bearer  {}")),
]  # fmt: skip


@pytest.mark.parametrize("row", DENIED, ids=ids(DENIED))
def test_the_table_denies(row: Row) -> None:
    assert denied(row.check).reason is row.reason


@pytest.mark.parametrize("row", ALLOWED, ids=ids(ALLOWED))
def test_the_table_allows(row: Row) -> None:
    allowed(row.check)


def test_no_two_rows_have_the_same_name() -> None:
    names = ids(DENIED + ALLOWED)
    assert len(set(names)) == len(names)


def test_a_deny_of_which_nothing_else_is_said_is_an_internal_error() -> None:
    assert Deny().reason is DenyReason.INTERNAL_ERROR


def test_no_reason_lacks_a_row() -> None:
    assert {row.reason for row in DENIED} == set(DenyReason) - NOT_OF_THE_REQUEST


def test_limits_are_those_that_were_handed_in() -> None:
    request, token = Check().request(), Check().request().header_values("authorization")[0]
    size = len(token.removeprefix("Bearer "))

    def decide(limits: RequestLimits) -> DenyReason | None:
        check = Check()
        decision = authorize(
            request, policy=check.policy, keys=check.keys(), now=NOW, limits=limits
        )
        return decision.reason if isinstance(decision, Deny) else None

    assert decide(RequestLimits(token_bytes=size, headers=1)) is None
    assert decide(RequestLimits(token_bytes=size - 1)) is R.TOKEN_TOO_LARGE
    assert decide(RequestLimits(headers=0)) is R.TOO_MANY_HEADERS


@pytest.mark.parametrize("alg", [*ALGORITHMS, "EdDSA/Ed448"])
def test_a_token_of_every_algorithm_is_allowed(alg: str) -> None:
    allowed(Check(signed_with=lambda: signing_key(alg), keys=keys_for(alg)))


@pytest.mark.parametrize("alg", [*ALGORITHMS, "EdDSA/Ed448"])
@pytest.mark.parametrize("change", ["longer", "shorter", "zeros", "flipped"])
def test_a_changed_signature_of_every_algorithm_is_denied(alg: str, change: str) -> None:
    header, payload, text = parts_of(mint(key=signing_key(alg)))
    signature = base64url.decode(text)
    changed = {
        "longer": signature + b"\0",
        "shorter": signature[:-1],
        "zeros": bytes(len(signature)),
        "flipped": bytes([signature[0] ^ 1, *signature[1:]]),
    }[change]
    token = f"{header}.{payload}.{base64url.encode(changed)}"
    check = Check(token=lambda: token, keys=keys_for(alg))
    assert denied(check).reason is DenyReason.BAD_SIGNATURE


@pytest.mark.parametrize(("alg", "other"), [("RS256", "PS256"), ("RS256", "RS512")])
def test_a_signature_under_another_algorithm_of_the_same_key_is_denied(
    alg: str, other: str
) -> None:
    check = Check(header={"alg": other}, signed_with=lambda: signing_key(alg), keys=keys_for(alg))
    assert denied(check).reason is DenyReason.BAD_SIGNATURE


def test_an_algorithm_that_the_key_itself_does_not_name_is_denied() -> None:
    public = {**signing_key("RS256").public, "alg": "RS512"}
    from_jwks = key_set(signing_key("RS256"))
    assert "RS256" in from_jwks.keys[0].algorithms, "without alg, the key would do"
    check = Check(
        signed_with=lambda: signing_key("RS256"),
        keys=lambda: {"logto": parse_jwk_set(jwk_set(public))},
    )
    assert denied(check).reason is DenyReason.UNKNOWN_KEY


# Times: what is compared is the boundary, and a second to either side of it.


@pytest.mark.parametrize(
    ("exp", "reason"),
    [
        (NOW - LEEWAY - 1, R.EXPIRED),
        (NOW - LEEWAY, R.EXPIRED),
        (NOW - LEEWAY + 1, None),
        (NOW - 1, None),
        (NOW, None),
        (NOW + 1, None),
        (NOW + MAX_LIFETIME + LEEWAY - 1, None),
        (NOW + MAX_LIFETIME + LEEWAY, None),
        (NOW + MAX_LIFETIME + LEEWAY + 1, R.LIFETIME_TOO_LONG),
    ],
)
def test_exp_at_its_boundaries_with_leeway(exp: int, reason: DenyReason | None) -> None:
    assert reason_of(Check(claims={"exp": exp})) is reason


@pytest.mark.parametrize(
    ("exp", "reason"), [(NOW - 1, R.EXPIRED), (NOW, R.EXPIRED), (NOW + 1, None)]
)
def test_exp_at_its_boundary_without_leeway(exp: int, reason: DenyReason | None) -> None:
    strict = shop_policy(issuer=replace(LOGTO, leeway=0))
    assert reason_of(Check(claims={"exp": exp}, policy=strict)) is reason


@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize(
    ("starts_at", "reason"),
    [
        (NOW - 1, None),
        (NOW, None),
        (NOW + 1, None),
        (NOW + LEEWAY - 1, None),
        (NOW + LEEWAY, None),
        (NOW + LEEWAY + 1, R.NOT_YET_VALID),
    ],
)
def test_nbf_and_iat_at_their_boundary_with_leeway(
    claim: str, starts_at: int, reason: DenyReason | None
) -> None:
    assert reason_of(Check(claims={claim: starts_at})) is reason


@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize(
    ("starts_at", "reason"), [(NOW - 1, None), (NOW, None), (NOW + 1, R.NOT_YET_VALID)]
)
def test_nbf_and_iat_at_their_boundary_without_leeway(
    claim: str, starts_at: int, reason: DenyReason | None
) -> None:
    strict = shop_policy(issuer=replace(LOGTO, leeway=0))
    assert reason_of(Check(claims={claim: starts_at}, policy=strict)) is reason


def test_without_a_limit_a_token_may_live_for_ever() -> None:
    unlimited = shop_policy(issuer=replace(LOGTO, max_token_lifetime=None))
    allowed(Check(claims={"exp": 1e300}, policy=unlimited))


def reason_of(check: Check) -> DenyReason | None:
    decision = check.decide()
    return decision.reason if isinstance(decision, Deny) else None


# What a decision reports beside itself.


def test_claims_are_reported_only_once_the_signature_holds() -> None:
    for row in (*REQUESTS, *CREDENTIALS, *TOKENS, *HEADERS, *KEYS, *PAYLOADS):
        assert denied(row.check).claims is None, row.sentence
    refused = denied(Check(claims={"scope": ""}))
    assert refused.claims is not None
    assert refused.claims.subject == "user-1"


def test_a_refusal_reports_what_was_established_before_it() -> None:
    unmatched = denied(Check(target="/nothing"))
    assert (unmatched.match, unmatched.requirement, unmatched.issuer) == (None, None, None)
    without_token = denied(Check(authorization=None, target="/products/7"))
    assert without_token.match is not None
    assert without_token.match.variables == {"product_id": "7"}
    assert without_token.requirement is not None
    assert without_token.issuer is None
    assert denied(Check(header={"kid": "key-2"})).issuer == LOGTO


def test_only_an_unknown_kid_or_no_key_set_at_all_asks_for_fresher_keys() -> None:
    nudging = {row.sentence for row in DENIED if denied(row.check).nudge}
    assert nudging == {
        "a kid that the set lacks",
        "an empty kid",
        "a kid in upper case",
        "no keys yet",
    }


def test_an_allow_carries_what_earned_it() -> None:
    assert allowed(Check(target="/healthz")).grant == Public()
    grant = allowed(Check()).grant
    assert isinstance(grant, ValidatedClaims)
    assert grant.claims.subject == "user-1"
    assert grant.claims.client_id == "app-1"
    assert grant.claims.scopes == ("read:products",)


def test_an_allow_sets_the_claims_of_the_token() -> None:
    decision = allowed(Check())
    assert dict(decision.headers.overwrite) == {
        "x-auth-subject": "user-1",
        "x-auth-client-id": "app-1",
        "x-auth-scope": "read:products",
        "x-auth-issuer": ISSUER,
    }


def test_a_public_route_sets_no_claims_even_of_a_valid_token() -> None:
    decision = allowed(Check(target="/healthz"))
    assert decision.headers.overwrite == ()
    assert {"x-auth-subject", "x_auth_subject"} <= set(decision.headers.remove)


def test_the_forward_rules_of_the_policy_are_followed() -> None:
    forward = ForwardRules(headers=(("x-user", ClaimReference.parse("sub")),), strip=())
    decision = allowed(Check(policy=shop_policy(forward=forward)))
    assert decision.headers.overwrite == (("x-user", "user-1"),)
    assert decision.headers.remove == ("x_user",)


def test_a_key_that_has_gone_from_the_set_is_refused_at_once() -> None:
    rotated = key_set(signing_key(owner="next", kid="key-2"))
    refused = denied(Check(keys=lambda: {"logto": rotated}))
    assert refused.reason is DenyReason.UNKNOWN_KEY
    assert refused.nudge
