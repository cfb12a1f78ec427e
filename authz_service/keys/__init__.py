"""Key sets from their issuers: found, fetched within bounds, refreshed in the background."""

from authz_service.keys.refresher import Refresher

__all__ = ["Refresher"]
