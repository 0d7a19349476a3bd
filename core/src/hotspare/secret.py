"""Keys: wrappers that hide them from logs, reprs, pickles and tracebacks, and functions that remove them from errors."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol, Self, SupportsIndex, cast
from urllib.parse import quote, unquote, urlsplit

from hotspare.errors import ConfigError, KeyFunctionFailed, Problem

MASK = "***"
"""What stands in place of a key."""
MIN_SECRET = 6
"""Characters: a shorter key is a placeholder ("none", "x"), and occurs in ordinary words."""
_CUTS = (500, 65536)
"""Lengths to which messages and bodies are cut. A cut may go through a key, so that only its beginning is left."""
_MAX_CAUSES = 16
_MAX_DEPTH = 16
_SHOWN = frozenset({"body", "headers", "message", "details", "response", "text"})
"""Attributes of an error that may hold what a provider sent back."""
_SECRET_NAME = re.compile(r"auth|api.?key|(?<![a-z])key(?![a-z])|token$|secret|passw|cookie|credential|signature", re.I)
_VARIABLE = re.compile(
    r"\$\{?\w+(:-[^}]*)?\}?|\$env:\w+|%\w+%|\{\{.*\}\}|os\.environ\b.*|(process\.)?env[:.]\w+|[A-Z][A-Z0-9]*(_[A-Z0-9]+)*_(KEY|TOKEN|SECRET)"
)
"""Values that are the name of a variable where a key belongs."""
_HOST = re.compile(r"(?:\[.*\]|[^:@]+)(?::\d*)?")
_PYDANTIC = frozenset({"pydantic.types", "pydantic.v1.types"})
_GIVE = "give a str, or an object whose `get_secret_value` returns one"
_URL_SAFE = str.maketrans("+/", "-_")


class Secret(Protocol):
    """Any object that holds a key: hotspare's `SecretStr`, pydantic's, your own."""

    def get_secret_value(self) -> str:
        """The key itself."""
        ...


KeyFunction = Callable[[], str | Secret | Awaitable[str | Secret]]
"""Gives the current key. It may be async."""


class SecretStr:
    """Holds a key. `str` and `repr` show asterisks, pickling raises TypeError; `get_secret_value()` returns the key.

    Any object with a `get_secret_value` method (pydantic's `SecretStr`, for one) is accepted in its place.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        """The key itself."""
        return self._value

    def __repr__(self) -> str:
        return "SecretStr('**********')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretStr) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> SecretStr:
        return self

    def __deepcopy__(self, memo: object) -> SecretStr:
        return self

    def __reduce__(self) -> tuple[type, tuple[str]]:
        raise TypeError("a SecretStr cannot be pickled: pass the name of an environment variable instead")


class HiddenStr(str):
    """A string whose repr, and that of its slices, does not show it. `str()` gives the plain one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)

    def __getitem__(self, key: SupportsIndex | slice) -> Self:
        return type(self)(super().__getitem__(key))

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> HiddenBytes:
        """The encoded bytes, whose repr does not show the key either."""
        return HiddenBytes(super().encode(encoding, errors))


class BearerStr(HiddenStr):
    """A key that is sent as a bearer token, although the provider's other keys are sent in a header of their own."""

    __slots__ = ()


class HiddenBytes(bytes):
    """Like `HiddenStr`. httpx keeps header values as bytes, and passes text to aiohttp, so the decoded text is hidden too."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK.encode())

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> HiddenStr:
        """The decoded text, whose repr does not show the key either."""
        return HiddenStr(super().decode(encoding, errors))


class SecretUrl(SecretStr):
    """A URL whose repr has no user, password, query or fragment: these may hold a key."""

    __slots__ = ("hidden",)

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.hidden = HiddenStr(value.strip())
        """The URL itself, as `reveal` gives it; made once, since it is needed for each request."""

    def __repr__(self) -> str:
        return f"SecretUrl({shown_url(self._value)!r})"

    __str__ = __repr__


def reveal(secret: Secret | str | None, of: str = "api_key") -> HiddenStr:
    """The key itself, without surrounding white space; "" for None. `of`: the place of the key, for the message of the
    ConfigError that is raised if an object returns something else or raises."""
    if isinstance(secret, SecretUrl):
        return secret.hidden
    if isinstance(secret, str):
        return HiddenStr(secret.strip())
    try:
        return _text_in(held_by(secret))
    except Exception as error:
        raise ConfigError(
            Problem(
                f"{of} {error}" if isinstance(error, NoKey) else f"{of} cannot be read: {type(error).__name__}: {error}"
            )
        ) from error


class NoKey(ValueError):
    """Not a key. The message continues a sentence that begins with the place of the key."""


def held_by(source: object) -> object:
    """What an object with `get_secret_value` holds; anything else as it is."""
    give: object = getattr(source, "get_secret_value", None)
    return give() if callable(give) else source


def checked_key(held: object, *, needed: bool = False) -> HiddenStr:
    """The key, without surrounding white space; "" for None. Raises NoKey for a value that cannot be a key and, if `needed`, for no key."""
    key = _text_in(held)
    mistake = key_mistake(key)
    if not mistake and needed and not key:
        mistake = f"gave no key: {_GIVE}, or raise"
    if mistake:
        raise NoKey(mistake)
    return key


def _text_in(held: object) -> HiddenStr:
    if held is None or isinstance(held, str):
        return HiddenStr((held or "").strip())
    raise NoKey(f"gave {type(held).__name__}, which is not a key: {_GIVE}")


def source_name(source: object) -> str:
    """The source of a target's key, for messages: the name of a function, or the class of a callable object."""
    if not is_key_function(source):
        return "api_key"
    function = getattr(source, "func", source)  # of a `functools.partial`
    return f"the function {getattr(function, '__name__', '') or type(function).__name__!r} of api_key"


def key_failure(name: str, source: object, error: Exception) -> KeyFunctionFailed:
    """The error for a key of the target `name` that could not be read, because `error` was raised."""
    return KeyFunctionFailed(f"target {name!r}: {source_name(source)} failed: {type(error).__name__}: {error}")


def is_key_function(source: object) -> bool:
    """Whether this is a function that returns a key, and not an object that holds one."""
    return callable(source) and not callable(getattr(source, "get_secret_value", None))


def may_wait(source: object) -> bool:
    """Whether reading this object's key runs code that may wait for a server: its class is neither hotspare's nor pydantic's own."""
    given = type(source)
    is_plain = given in (SecretStr, SecretUrl) or given.__module__ in _PYDANTIC
    return not is_plain and callable(getattr(source, "get_secret_value", None))


def key_mistake(key: str) -> str:
    """Why this cannot be a key, and what to write instead; "" if it can. The key itself is not shown."""
    if not (key.isascii() and key.isprintable()):
        return "must be printable ASCII without line breaks: the key alone"
    if _VARIABLE.fullmatch(key):
        return (
            'is the name of a variable, not a key: write "${NAME}" in a file, os.environ["NAME"] in code, or leave it out '
            "for the provider's usual variable"
        )
    if key[:1] in "\"'" and key[:1] == key[-1:] and key:
        return "has quotation marks around it: give the key alone"
    if key.lower().startswith(("bearer ", "basic ")):
        return "must be the key alone, without the scheme (Bearer, Basic): that is added to it"
    return ""


def shown_url(url: str) -> str:
    """A URL without user, password, query and fragment: these may hold a key."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    host = re.split("[/?#]", rest, maxsplit=1)[0]
    if "@" in rest and not _HOST.fullmatch(host.rpartition("@")[2]):
        rest = rest.rpartition("@")[2]  # an unescaped "/", "?" or "#" in the password has cut it in two
    else:
        rest = host.rpartition("@")[2] + rest[len(host) :]
    return f"{scheme}{separator}{re.split('[?#]', rest, maxsplit=1)[0]}"


def secrets_of_url(url: str) -> list[str]:
    """The parts of a URL that `shown_url` leaves out: user, password, and the values of its query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    values = [field.partition("=")[2] for field in parts.query.split("&") if not field.startswith("api-version=")]
    found = [password or user, *values, f"{unquote(user)}:{unquote(password)}" if password else ""]
    return [*found, *map(unquote, found)]


def is_secret_name(name: str) -> bool:
    """Whether a header, a setting or a variable of this name is likely to hold a secret."""
    return _SECRET_NAME.search(name) is not None


def secrets_in(fields: Mapping[str, object], depth: int = 0) -> list[str]:
    """The values of fields with names like `authorization` or `api_key`, at any depth; a bearer token also without its scheme."""
    found: list[str] = []
    for name, value in fields.items():
        if isinstance(value, Mapping) and depth < _MAX_DEPTH:
            found += secrets_in(cast("Mapping[str, object]", value), depth + 1)
        elif isinstance(value, str) and is_secret_name(str(name)):
            found += [value, value.partition(" ")[2]]
    return found


class Redactor:
    """Removes known secrets from a provider's responses: in plain text, URL-encoded, escaped in JSON, or in base64.

    Secrets shorter than `MIN_SECRET` are not removed. The time is linear in the length of the text.
    """

    __slots__ = ("_forms",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= MIN_SECRET}
        forms = {form for secret in known for form in _forms(secret)}
        self._forms = tuple(sorted((SecretStr(form) for form in forms), key=lambda form: -len(form.get_secret_value())))

    def __repr__(self) -> str:
        return f"Redactor({len(self._forms)} forms)"

    def text(self, text: str) -> str:
        """The text without the secrets."""
        for form in self._forms:
            text = text.replace(form.get_secret_value(), MASK)
        return self._without_cut_secret(text) if len(text) in _CUTS else text

    def _without_cut_secret(self, text: str) -> str:
        """The text without a secret's beginning at its very end, for texts that were cut."""
        for form in self._forms:
            secret = form.get_secret_value()
            for length in range(min(len(secret) - 1, len(text)), MIN_SECRET - 1, -1):
                if text.endswith(secret[:length]):
                    return text[:-length] + MASK
        return text

    def bytes(self, body: bytes) -> bytes:
        """The body without the secrets."""
        if not any(form.get_secret_value().encode() in body for form in self._forms) and len(body) not in _CUTS:
            return body
        return self.text(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def error(self, error: BaseException) -> None:
        """Remove the secrets from an error and its causes, in place: from the text that `str` shows, and from the response."""
        seen: set[int] = set()
        one: BaseException | None = error
        while self._forms and one is not None and id(one) not in seen and len(seen) < _MAX_CAUSES:
            seen.add(id(one))
            if any(self._changes(value) for value in one.args):
                one.args = tuple(map(self._value, one.args))
            attributes = vars(one)
            for name in _SHOWN & attributes.keys():
                if self._changes(attributes[name]):
                    attributes[name] = self._value(attributes[name])
            one = one.__cause__ or one.__context__

    def _changes(self, value: object) -> bool:
        return self._value(value) != value

    def _value(self, value: object, depth: int = 0) -> object:
        """A text, bytes, or a list or mapping of these without the secrets; anything else as it is."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.bytes(value)
        if depth > _MAX_DEPTH:
            return value
        if isinstance(value, list):
            return [self._value(item, depth + 1) for item in cast("list[object]", value)]
        if isinstance(value, Mapping):
            items = cast("Mapping[object, object]", value).items()
            return {key: self._value(item, depth + 1) for key, item in items}
        return value


def _forms(secret: str) -> set[str]:
    """The forms of a secret that a response may contain."""
    escaped = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    found = escaped | {form.replace("/", "\\/") for form in escaped}
    found |= {quote(secret, safe=""), quote(secret), quote(secret, safe="").lower()}
    data = secret.encode("utf-8", "surrogatepass")
    for offset in range(3):  # its base64 depends on its offset in the encoded text
        encoded = b64encode(bytes(offset) + data).decode().rstrip("=")
        whole = len(encoded) - ((offset + len(data)) % 3 > 0)
        middle = encoded[(0, 2, 3)[offset] : whole]
        found |= {middle, middle.translate(_URL_SAFE)}
    return {form for form in found if len(form) >= MIN_SECRET}
