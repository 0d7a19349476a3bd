"""The HTTP client: httpx's interface, over the transports that were measured to be fastest."""

from hotspare._http.client import Http, Response
from hotspare._http.headers import Headers

__all__ = ["Headers", "Http", "Response"]
