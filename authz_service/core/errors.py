"""The exceptions of the core, one root for each party that may be at fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_service.core.decision import DenyReason


class AccessDenied(Exception):  # noqa: N818 - it names the outcome, as RFC 6749's access_denied does
    """The caller's fault, or at least the caller's loss: a step refused the request.

    *nudge* asks the rim for a fresher key set of the issuer, after which the answer may differ.
    """

    def __init__(self, reason: DenyReason, *, nudge: bool = False) -> None:
        """Refuse for *reason*."""
        super().__init__(reason.value)
        self.reason = reason
        self.nudge = nudge


class IssuerError(Exception):
    """The issuer's fault: its metadata or its JWK Set cannot be used, or could not be had.

    The message is constant text; what varies is in *fields*, ready for a structured log.
    """

    def __init__(self, message: str, **fields: str | int) -> None:
        """Describe the fault with a constant *message* and the *fields* that vary."""
        super().__init__(message)
        self.message = message
        self.fields = fields

    @property
    def problem(self) -> str:
        """What is wrong in constant words and the HTTP status, if that is it: nothing else varies.

        So it may be shown where *fields*, some of which a server chose, should not be.
        """
        status = self.fields.get("status")
        return self.message if status is None else f"{self.message} (status {status})"
