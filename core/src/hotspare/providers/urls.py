"""URLs of requests: paths and queries added to a base URL, and the credentials that a base URL may contain."""

from base64 import b64encode
from urllib.parse import quote, unquote, urlsplit, urlunsplit


def with_path(base_url: str, path: str, query: str = "") -> str:
    """`base_url` with another path and with `query` added to its own query."""
    parts = urlsplit(base_url)
    return urlunsplit((parts.scheme, parts.netloc, path, "&".join(filter(None, (parts.query, query))), ""))


def segment(text: str) -> str:
    """A model's id as one segment of a path: "/", "?", "#" and spaces in it are escaped."""
    return quote(text, safe=":@")


def without_login(base_url: str) -> tuple[str, dict[str, str]]:
    """A base URL without user and password, and the header (Basic) that sends these."""
    parts = urlsplit(base_url)
    login, _, host = parts.netloc.rpartition("@")
    if not login:
        return base_url, {}
    user, _, password = login.partition(":")
    token = b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"authorization": f"Basic {token}"}
