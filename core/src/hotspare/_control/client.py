"""The client of a status server, for the command line."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hotspare.errors import ConfigError, HotspareError, Problem


def ask(command: str, file: Path, **values: Any) -> Any:
    """Send a command to the pool of a running application, and return its answer.

    Raises ConfigError if no application is running, HotspareError with the pool's message if the command fails.
    """
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
        url, token = urlsplit(str(found["url"])), str(found["token"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = "does not exist" if isinstance(error, FileNotFoundError) else "is not a status file"
        hint = (
            f"{problem}: start an application that calls pool.serve_status(), or name its file (--app, HOTSPARE_STATUS)"
        )
        raise ConfigError(Problem.at("application", str(file), hint)) from None
    connection = HTTPConnection(url.hostname or "", url.port)
    try:
        connection.request("POST", f"/{command}", json.dumps(values), {"authorization": f"Bearer {token}"})
        response = connection.getresponse()
        answer: Any = json.loads(response.read())
    except (OSError, HTTPException, ValueError):
        hint = (
            f"names an application that does not answer (process {found.get('pid')}): if it has ended, start it again"
        )
        raise ConfigError(Problem.at("application", str(file), hint)) from None
    finally:
        connection.close()
    if response.status != 200:
        raise HotspareError(str(answer.get("error")))
    return answer
