"""A pytest plugin: rings of daemons inside the test process, no server to run.

spread_ring is one daemon for a test, make_spread_ring makes larger ones: make_spread_ring(size=3, networks=2).
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Callable, Iterator

import pytest

if TYPE_CHECKING:
    from . import Ring


@pytest.fixture
def make_spread_ring() -> Iterator[Callable[..., Ring]]:
    """Makes rings that are stopped after the test."""
    from . import Ring

    with ExitStack() as rings:
        yield lambda size=1, networks=1: rings.enter_context(Ring(size, networks))


@pytest.fixture
def spread_ring(make_spread_ring: Callable[..., Ring]) -> Ring:
    """A ring of one daemon."""
    return make_spread_ring()
