"""The `hotspare` command, run in this process, because starting an interpreter takes longer than the command itself."""

import logging
import sys
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from hotspare._cli.entry import main


@dataclass(frozen=True, slots=True)
class Done:
    """What the command left: its exit code and its two outputs."""

    returncode: int
    stdout: str
    stderr: str


def run(*words: str, stdin: str = "", cwd: Path | None = None, encoding: str = "utf-8") -> Done:
    """`hotspare …` with its real entry point; the outputs are pipes in this encoding. What the entry point raises is raised here."""
    streams = BytesIO(), BytesIO()
    outputs = [TextIOWrapper(stream, encoding=encoding) for stream in streams]
    logger = logging.getLogger("hotspare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["hotspare", *words])
        patch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin.encode()), encoding="utf-8"))
        patch.setattr(sys, "stdout", outputs[0])
        patch.setattr(sys, "stderr", outputs[1])
        patch.setattr(logger, "handlers", list(logger.handlers))  # the entry point adds one
        if cwd is not None:
            patch.chdir(cwd)
        try:
            main()
            code: object = 0
        except SystemExit as ended:
            code = ended.code
    assert code is None or isinstance(code, int)
    for output in outputs:
        output.flush()
    return Done(code or 0, *(stream.getvalue().decode(encoding) for stream in streams))
