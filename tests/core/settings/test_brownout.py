"""Each setting of `Brownout` has an effect."""

import pytest
from hotspare import Brownout

from tests.support.settings import Effects, limping

EFFECTS = Effects(Brownout)


@pytest.mark.parametrize("name", EFFECTS.names)
def test_the_setting_has_an_effect(name: str) -> None:
    """What is seen differs between two values of the setting, in the expected way."""
    EFFECTS.check(name)


def slow_calls(config: Brownout, **options: float) -> int:
    """The number of calls that the slow target gets before another one is tried; 30 if none is."""
    return f"{limping(config, calls=30, **options)}b".index("b") - 10  # type: ignore[arg-type]


EFFECTS.of("factor", {3.0: 5, 6.0: 20})(lambda value: slow_calls(Brownout(window=1, factor=value)))
EFFECTS.of("min_margin", {0.25: 5, 0.5: 20})(
    lambda value: slow_calls(Brownout(window=1, min_margin=value), usual=0.1, slow=0.45)
)
EFFECTS.of("samples", {2: 2, 4: 3, 8: 5})(lambda value: slow_calls(Brownout(window=1, samples=value)))
EFFECTS.of("window", {1.0: 2, 10.0: 5, 40.0: 6})(
    lambda value: slow_calls(Brownout(samples=2, window=value, window_max=100))
)
EFFECTS.of("window_max", {5.0: 20, 60.0: 3})(
    lambda value: slow_calls(Brownout(samples=4, window=1, window_max=value), pause=3)
)
EFFECTS.of("share", {0.4: "a" * 12 + "b" * 8, 0.6: "a" * 20})(
    lambda value: limping(Brownout(samples=2, window=1, share=value))
)
EFFECTS.of("interval", {5.0: "abababa", 60.0: "abbbbbb"})(
    lambda value: limping(Brownout(samples=2, window=1, interval=value), pause=2)[11:18]
)
