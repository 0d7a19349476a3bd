"""Every recording is tested, or listed with the reason why not, whatever its file is called."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conformance.traffic import ALL, FILES, FOREIGN, WIRE, needs_recordings

pytestmark = needs_recordings
_COUNT = """
from collections import Counter
from tests.conformance.traffic import ALL, FOREIGN
print(sorted(Counter((i.preset.name, i.wire.dialect, i.stream, i.status, i.is_answer) for i in ALL).items()), len(FOREIGN))
"""


def test_every_recording_is_tested_or_has_a_reason() -> None:
    """Each file has exchanges that are tested, or are of an API without a built-in wire format."""
    assert {item.name for item in (*ALL, *FOREIGN)} == {str(path.relative_to(WIRE)) for path in FILES}
    assert len(ALL) > len(FOREIGN)


def test_names_of_files_mean_nothing(tmp_path: Path) -> None:
    """The same set with other names in one directory is read the same way."""
    numbers = random.Random(1).sample(range(len(FILES)), len(FILES))
    for number, path in zip(numbers, FILES, strict=True):
        shutil.copy(path, tmp_path / f"{number}.yaml")
    assert _count(str(tmp_path)) == _count(WIRE)


def _count(directory: str) -> str:
    env = {**os.environ, "HOTSPARE_WIRE": directory, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", _COUNT], env=env, capture_output=True, text=True, check=True)
    return done.stdout
