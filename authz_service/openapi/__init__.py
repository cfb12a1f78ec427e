"""OpenAPI 3 documents: read without following anything outside, turned into a policy, compared."""

from typing import Final

OPENAPI_EXTRA: Final = "the extra named openapi (in a checkout: pip install '.[openapi]')"
