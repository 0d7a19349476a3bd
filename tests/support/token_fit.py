"""How accurate token estimates are for prompts that their constants were not fitted to; run as `python -m tests.support.token_fit`.

An estimate is linear in the constants of a family. For each recorded prompt they are fitted to all others of its family, by least
absolute relative errors, with a weak pull towards the constants of an unknown model; then that prompt is estimated.
"""

from collections import defaultdict

import numpy as np
from hotspare._cost import tokens
from hotspare._cost.families import Family, family

from tests.conformance.test_tokens import ANSWERS, Recorded, kind, provider, recorded_tokens

PULL = 0.05
"""Weight of the pull towards a family that is not known, against one of a prompt's relative error."""
TEXT = 0.1
"""Scale of that pull for the factor on texts: vocabularies differ by a tenth or so."""
ROUNDS = 30
UNIT = 1e6
"""Estimates are rounded: a constant of so much shows a feature to six digits."""
ZERO = Family(*[0.0] * len(Family._fields))


def features(item: Recorded) -> np.ndarray:
    """What each constant of a family is multiplied with in the estimate of this prompt, and what is added to that."""
    fixed, found = _estimate(item, ZERO), list[float]()
    for name in Family._fields:
        found.append((_estimate(item, ZERO._replace(**{name: UNIT})) - fixed) / UNIT)
    return np.array([*found, fixed])


def _estimate(item: Recorded, made: Family) -> int:
    tokens.family = lambda *_: made
    try:
        return tokens.prompt_tokens(item.chat_request, item.model, provider(item))
    finally:
        tokens.family = family


def fitted(rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The constants that fit these prompts best, and 1 for what is added."""
    rows, fixed = rows[:, :-1], rows[:, -1]
    prior = np.array(Family())
    scale = np.maximum(np.abs(prior), 1.0)
    scale[0] = TEXT
    weights, constants = 1 / counts, prior
    for _ in range(ROUNDS):
        left = np.vstack([rows * weights[:, None], np.diag(PULL / scale)])
        right = np.concatenate([(counts - fixed) * weights, prior * PULL / scale])
        constants = np.linalg.lstsq(left, right, rcond=None)[0]
        errors = np.abs(rows @ constants + fixed - counts) / counts
        weights = 1 / counts / np.sqrt(np.maximum(errors, 0.01))
    return np.append(constants, 1.0)


def main() -> None:
    """Print the errors of all prompts in families of at least five."""
    groups: dict[Family, list[tuple[np.ndarray, int]]] = defaultdict(list)
    for item in ANSWERS:
        if kind(item) != "open" and (recorded := recorded_tokens(item)):
            groups[family(item.model, provider(item))].append((features(item), recorded))
    errors = list[float]()
    for found in groups.values():
        rows, counts = np.array([row for row, _ in found]), np.array([float(count) for _, count in found])
        for place in range(len(found) if len(found) >= 5 else 0):
            others = np.arange(len(found)) != place
            estimate = rows[place] @ fitted(rows[others], counts[others])
            errors.append(abs(estimate - counts[place]) / counts[place])
    errors.sort()
    print(
        f"{len(errors)} prompts, each left out: median {errors[len(errors) // 2]:.1%}, p95 {errors[int(len(errors) * 0.95)]:.1%}"
    )


if __name__ == "__main__":
    main()
