"""An explanation as a JSON object, for programs. docs/explain.md lists its members."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_service.core.forward import UpstreamHeaders
    from authz_service.explain.contents import TokenContents
    from authz_service.explain.explanation import ClientAnswer, Explanation
    from authz_service.explain.judged import KeysUsed
    from authz_service.explain.step import Step

Members = dict[str, object]


def to_json(explanation: Explanation) -> str:
    """Write *explanation* in ASCII; the same one always gives the same text."""
    text = json.dumps(to_members(explanation), indent=2)
    return text.replace("\x7f", "\\u007f")  # the one control character that JSON leaves as it is


def to_members(explanation: Explanation) -> Members:
    """Every member is always there; what does not apply is null."""
    judged = explanation.judged
    return {
        "decision": "allow" if judged.deny is None else "deny",
        "reason": explanation.reason,
        "mode": "audit" if explanation.audited else "enforce",
        "passes": explanation.passes,
        "signature_skipped": explanation.signature_skipped,
        "now": judged.now,
        "request": _request(explanation),
        "route": _route(explanation),
        "requirement": explanation.requirement,
        "keys": None if judged.keys is None else _keys(judged.keys),
        "steps": [_step(step) for step in explanation.steps],
        "token": None if explanation.token is None else _token(explanation.token),
        "needed": explanation.needed,
        "upstream": None if explanation.upstream is None else _upstream(explanation.upstream),
        "client": None if explanation.client is None else _client(explanation.client),
    }


def _request(explanation: Explanation) -> Members:
    """Without the query and without the headers' values: either may hold a secret."""
    request = explanation.judged.request
    return {
        "method": request.method,
        "host": request.authority,
        "path": request.target.partition("?")[0],
        "headers": sorted({name for name, _ in request.headers if not name.startswith(":")}),
    }


def _route(explanation: Explanation) -> Members | None:
    match, position = explanation.judged.trail.match, explanation.position
    if match is None:
        return None
    return {
        "resource": match.route.resource,
        "path": match.route.pattern.text,
        "host": str(explanation.judged.host_pattern),
        "variables": dict(match.variables),
        "position": None if position is None else str(position),
    }


def _keys(keys: KeysUsed) -> Members:
    return {
        "issuer": keys.issuer,
        "origin": keys.origin.value,
        "where": keys.where,
        "fault": keys.fault,
    }


def _step(step: Step) -> Members:
    return {
        "number": step.number,
        "name": step.name,
        "passed": step.passed,
        "decided": step.decided,
        "detail": step.detail,
    }


def _token(token: TokenContents) -> Members:
    return {"verified": token.verified, "header": token.header, "claims": token.claims}


def _upstream(headers: UpstreamHeaders) -> Members:
    return {"set": dict(headers.overwrite), "remove": list(headers.remove)}


def _client(answer: ClientAnswer) -> Members:
    return {"status": answer.status, "headers": dict(answer.headers), "body": answer.body}
