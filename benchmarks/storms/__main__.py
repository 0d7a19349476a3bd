"""`python -m benchmarks.storms [words of a name …]`: every storm in virtual time, three seeds."""

import sys

from benchmarks.storms.scenarios import STORMS
from benchmarks.storms.twin import play

print(f"{'':36} {'right %, by seed':^21} {'calls':>6} {'p50':>7} {'p99':>7} {'back':>6}")
for storm in STORMS:
    if sys.argv[1:] and not any(word in storm.name for word in sys.argv[1:]):
        continue
    found = [play(storm, seed) for seed in (1, 2, 3)]
    back = [one.back for one in found if one.back is not None]
    print(
        f"{storm.name:36} {' '.join(f'{100 * one.share:6.2f}' for one in found)} {max(one.requests for one in found):6.2f}"
        f" {max(one.p50 for one in found):6.2f}s {max(one.p99 for one in found):6.2f}s {max(back, default=0):5.1f}s"
    )
