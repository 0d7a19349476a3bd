"""The commands by which an operator controls a running pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from hotspare._control.server import Command
from hotspare.status import PoolHealth


class Operated(Protocol):
    """The methods of a pool that the commands use."""

    def health(self) -> PoolHealth: ...
    def disable(self, name: str, reason: str = ...) -> None: ...
    def enable(self, name: str) -> None: ...
    def drain(self, name: str, timeout: float | None = ...) -> bool: ...
    def reset(self, name: str) -> None: ...
    def reload(self, source: str | None = ...) -> tuple[str, ...]: ...


def commands_of(pool: Operated) -> Mapping[str, Command]:
    """The commands of a status server, by name."""

    def disable(given: Mapping[str, Any]) -> Any:
        pool.disable(_target(given), str(given.get("reason") or "by an operator"))
        return {"done": f"{_target(given)} is disabled"}

    def enable(given: Mapping[str, Any]) -> Any:
        pool.enable(_target(given))
        return {"done": f"{_target(given)} is enabled"}

    def drain(given: Mapping[str, Any]) -> Any:
        drained = pool.drain(_target(given), float(given.get("timeout", 60.0)))
        return {
            "drained": drained,
            "done": f"{_target(given)} is {'drained' if drained else 'disabled, and still in use'}",
        }

    def reset(given: Mapping[str, Any]) -> Any:
        pool.reset(_target(given))
        return {"done": f"{_target(given)} was reset"}

    def reload(given: Mapping[str, Any]) -> Any:
        changes = pool.reload(given.get("config"))
        return {"changes": changes, "done": "\n".join(changes) or "nothing has changed"}

    return {
        "health": lambda _: pool.health().as_dict(), "disable": disable, "enable": enable, "drain": drain, "reset": reset, "reload": reload
    }  # fmt: skip


def _target(given: Mapping[str, Any]) -> str:
    return str(given.get("target", ""))
