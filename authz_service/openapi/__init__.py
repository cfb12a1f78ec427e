"""OpenAPI 3 documents: read without following anything outside, turned into a policy, compared."""

from typing import Final

OPENAPI_EXTRA: Final = "the extra named openapi (in a checkout: pip install '.[openapi]')"

WITHOUT_ROUTE: Final = "openapi-without-route"
WITHOUT_OPERATION: Final = "openapi-without-operation"
CODES: Final = (WITHOUT_ROUTE, WITHOUT_OPERATION)
"""What lint calls the findings of `openapi.findings`."""
