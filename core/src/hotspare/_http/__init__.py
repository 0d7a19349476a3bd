"""The transport seam: httpx's transport interface, and behind it what was measured to be fastest."""

from hotspare._http.client import Http, Response

__all__ = ["Http", "Response"]
