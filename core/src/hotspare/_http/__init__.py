"""The HTTP client: one interface over hotspare's own transports and those of httpx."""

from hotspare._http.client import Http, Response
from hotspare._http.headers import Headers

__all__ = ["Headers", "Http", "Response"]
