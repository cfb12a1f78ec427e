"""Signatures of each algorithm: the standards' own verify, and nothing that is near one does."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st
from jwcrypto.jwa import JWA
from jwcrypto.jwk import JWK, InvalidJWKOperation

from authz_service.core import base64url
from authz_service.core.algorithms import ALGORITHMS
from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.jwks import PublicJwk, parse_jwk_set
from authz_service.core.jws import CompactJws, ProtectedHeader, VerifiedPayload, verify
from tests.support.keys import jwk_set, key_set, signing_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_service.core.jwks import VerificationKey

INPUT: Final = b"e30.e30"
EVERY_ALGORITHM: Final = [*ALGORITHMS, "EdDSA/Ed448"]

# The examples of the standards, as one compact JWS each.
RFC_7515_A_2: Final = (
    "eyJhbGciOiJSUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl"
    "fQ"
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5"
    "jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb"
    "1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO"
    "YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
RFC_7515_A_2_KEY: Final = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1"
    "Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpa"
    "SHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4"
    "LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "e": "AQAB",
}
RFC_7515_A_4: Final = (
    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA"
    ".AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8G"
    "aSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
)
RFC_7515_A_4_KEY: Final = {
    "kty": "EC",
    "crv": "P-521",
    "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
    "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
}
RFC_8037_A_4: Final = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    ".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
RFC_8037_A_2_KEY: Final = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}

# The order of each curve's group (NIST SP 800-186, section 3.2.1).
ORDERS: Final = {
    "ES256": 2**256 - 2**224 + 2**192 - 0x4319055258E8617B0C46353D039CDAAF,
    "ES384": 2**384 - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D,
}


def verdict(key: VerificationKey, alg: str, signature: bytes) -> DenyReason | None:
    """What `verify` says of *signature* over `INPUT`: None if it is *key*'s."""
    jws = CompactJws(ProtectedHeader(alg, None, None), {}, INPUT, signature)
    try:
        assert isinstance(verify(jws, key), VerifiedPayload)
    except AccessDenied as denied:
        return denied.reason
    return None


@functools.cache
def signed(alg: str) -> tuple[VerificationKey, str, bytes]:
    """A key, the name of the algorithm, and the key's signature over `INPUT`."""
    signing = signing_key(alg)
    return key_set(signing).keys[0], signing.alg, signing.sign(INPUT)


@pytest.mark.parametrize(
    ("alg", "members", "token"),
    [
        ("RS256", RFC_7515_A_2_KEY, RFC_7515_A_2),
        ("ES512", RFC_7515_A_4_KEY, RFC_7515_A_4),
        ("EdDSA", RFC_8037_A_2_KEY, RFC_8037_A_4),
        ("Ed25519", RFC_8037_A_2_KEY, RFC_8037_A_4),
    ],
)
def test_the_examples_of_the_standards_verify(
    alg: str, members: Mapping[str, object], token: str
) -> None:
    key = parse_jwk_set(jwk_set(members)).select(alg=alg, kid=None)
    signing_input, _dot, signature = token.rpartition(".")
    key.verify(alg, signing_input.encode(), base64url.decode(signature))


@pytest.mark.parametrize("alg", EVERY_ALGORITHM)
def test_a_signature_of_another_length_is_refused(alg: str) -> None:
    key, name, signature = signed(alg)
    assert verdict(key, name, signature) is None
    for other in (b"", signature[:-1], signature + b"\0", b"\0" + signature, signature * 2):
        assert verdict(key, name, other) is DenyReason.BAD_SIGNATURE


@pytest.mark.parametrize("alg", ORDERS)
def test_ecdsa_numbers_that_are_zero_or_not_below_the_order_are_refused(alg: str) -> None:
    key, name, signature = signed(alg)
    size = len(signature) // 2
    r, s = signature[:size], signature[size:]
    for number in (bytes(size), ORDERS[alg].to_bytes(size, "big"), b"\xff" * size):
        for forged in (number + s, r + number, number + number):
            assert verdict(key, name, forged) is DenyReason.BAD_SIGNATURE


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512"])
def test_an_ecdsa_signature_in_der_is_refused(alg: str) -> None:
    key, name, signature = signed(alg)
    size = len(signature) // 2
    der = encode_dss_signature(
        int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
    )
    for forged in (der, der.ljust(2 * size, b"\0")[: 2 * size]):
        assert verdict(key, name, forged) is DenyReason.BAD_SIGNATURE


def test_the_salt_of_a_pss_signature_is_as_long_as_the_hash() -> None:
    # RFC 7518, section 3.5.
    key, _name, _signature = signed("PS256")
    private = signing_key("PS256").jwk.get_op_key("sign")
    sha, mask = hashes.SHA256(), padding.MGF1(hashes.SHA256())
    for salt_bytes in (0, 20, 31, 32, 33, 64, padding.PSS.MAX_LENGTH):
        signature = private.sign(INPUT, padding.PSS(mask, salt_bytes), sha)
        expected = None if salt_bytes == 32 else DenyReason.BAD_SIGNATURE
        assert verdict(key, "PS256", signature) is expected


def test_the_mask_of_a_pss_signature_is_made_with_the_same_hash() -> None:
    key, _name, _signature = signed("PS256")
    private = signing_key("PS256").jwk.get_op_key("sign")
    other = padding.PSS(padding.MGF1(hashes.SHA512()), 32)
    signature = private.sign(INPUT, other, hashes.SHA256())
    assert verdict(key, "PS256", signature) is DenyReason.BAD_SIGNATURE


RSA: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]


@pytest.mark.parametrize("alg", RSA)
def test_a_signature_of_one_rsa_algorithm_is_none_of_another(alg: str) -> None:
    key, name, signature = signed(alg)
    assert [other for other in RSA if verdict(key, other, signature) is None] == [name]


# Whatever the octets are, our key says what jwcrypto's own does.


def verdict_of_jwcrypto(key: JWK, alg: str, signature: bytes) -> DenyReason | None:
    try:
        JWA.signing_alg(alg).verify(key, INPUT, signature)
    except Exception:  # noqa: BLE001 - whatever it says
        return DenyReason.BAD_SIGNATURE
    return None


@pytest.mark.parametrize("alg", EVERY_ALGORITHM)
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_the_verdict_is_that_of_jwcrypto(alg: str, data: st.DataObject) -> None:
    key, name, signature = signed(alg)
    at = data.draw(st.integers(0, len(signature) - 1))
    octet = data.draw(st.just(signature[at]) | st.integers(0, 255))
    changed = signature[:at] + bytes([octet]) + signature[at + 1 :]
    plain = JWK(**signing_key(alg).jwk.export_public(as_dict=True))
    assert verdict(key, name, changed) is verdict_of_jwcrypto(plain, name, changed)
    assert (verdict(key, name, changed) is None) is (changed == signature)


def test_but_for_its_key_at_hand_it_is_a_jwk_like_any_other() -> None:
    members = signing_key("RS256").jwk.export_public(as_dict=True)
    ours, plain = PublicJwk(**members), JWK(**members)
    assert ours == plain
    assert ours.export() == plain.export()
    assert ours.get_op_key("verify") is ours.get_op_key("verify")
    assert ours.get_op_key("verify") == plain.get_op_key("verify") == ours.get_op_key("encrypt")
    for key in (ours, plain):
        with pytest.raises(InvalidJWKOperation):
            key.get_op_key()
