"""Daemons inside the program, over torc.h, and a whole ring of them on loopback for tests and demonstrations."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Any, Iterator, List, Optional, Type, Union

from ._errors import error
from ._library import ffi, lib
from ._mailbox import Mailbox, connect

_CRASHED = 2
_UNKNOWN = -1
#: How long a wait in C lasts until signals are looked after.
_SLICE = 0.2


class DaemonError(error):
    """A daemon inside the program was not started, or there is none: args are the code of torc.h and what it means here."""


class PathState(IntEnum):
    """How another daemon is heard on a network."""

    #: On no network at all.
    SILENT = 0
    #: On this one.
    HEALTHY = 1
    #: On another one, but not on this.
    FAULTY = 2
    #: On this one again, but not for long yet, or with many packets lost.
    PROBATION = 3
    #: Not on this one, because that daemon has switched it off.
    OFF = 4


@dataclass(frozen=True)
class Path:
    """Another daemon on one network."""

    daemon: str
    network: int
    state: PathState
    #: Packets heard on it.
    heard: int
    #: Packets of which it brought the first copy.
    first: int
    #: Which part of the other daemon's latest reports was lost on the way here, 0 to 1; None before anything was measured.
    loss: Optional[float] = None
    #: Which part of this daemon's latest reports was lost on the way there, as the other one says.
    loss_there: Optional[float] = None
    #: Seconds to the other daemon and back.
    round_trip: Optional[float] = None


@dataclass(frozen=True)
class Status:
    """What a daemon is doing, at most a second old."""

    #: Its thread has failed; its clients have lost their connections.
    crashed: bool
    #: Daemons in the ring, this one included; 0 before the first ring is formed.
    daemons: int
    clients: int
    networks: int
    #: gather, form, recovery or operational.
    ring_state: str
    #: The number of the ring; it grows with each change.
    ring: int
    #: Messages delivered in order so far.
    messages: int


@dataclass(frozen=True)
class Counter:
    """Something that a daemon counts or measures, at most a second old."""

    #: The part of the daemon that counts.
    section: str
    #: What is counted, unique in its section.
    key: str
    #: The same in a sentence.
    meaning: str
    #: "count" since the start, "level" now, or "times" that something took.
    kind: str
    #: The network, or None if it is not of one network.
    network: Optional[int]
    #: The number; of times, how often they were measured.
    value: int
    #: All times together, in seconds; None if it is no times.
    sum: Optional[float] = None
    #: Seconds that half of all times do not exceed; None before the first.
    p50: Optional[float] = None
    #: Seconds that 99 of a hundred do not exceed.
    p99: Optional[float] = None


def _checked(result: int) -> int:
    if result < 0:
        raise DaemonError(result, ffi.string(lib.torc_error()).decode("utf-8", "replace"))
    return result


class Daemon:
    """A daemon inside this process, running from its construction until stop().

    configuration is a file's name, or the text of one if it has a brace; nothing is a daemon alone on 127.0.0.1, port 4803.
    """

    def __init__(self, configuration: Union[str, "os.PathLike[str]"] = "", name: str = "") -> None:
        place = ffi.new("torc_daemon **")
        _checked(lib.torc_start(os.fspath(configuration).encode(), name.encode(), place))
        self._daemon = place[0]

    def stop(self) -> None:
        """Leaves the ring at once and closes everything. DaemonError if it was stopped before."""
        _checked(lib.torc_stop(self._daemon))

    def reload(self, configuration: "Optional[Union[str, os.PathLike[str]]]" = None) -> None:
        """Takes over what the configuration says otherwise: the one that it works by, read again, or another one.

        After a DaemonError everything is as it was.
        """
        text = ffi.NULL if configuration is None else ffi.new("char[]", os.fspath(configuration).encode())
        _checked(lib.torc_reload(self._daemon, text))

    def status(self) -> Status:
        """What it is doing."""
        state = ffi.new("torc_state *")
        _checked(lib.torc_status(self._daemon, state))
        ring_state = ffi.string(state.ring_state).decode()
        return Status(
            state.life == _CRASHED, state.daemons, state.clients, state.networks, ring_state, state.ring, state.messages
        )

    def paths(self) -> List[Path]:
        """The other daemons on each network."""
        count = _checked(lib.torc_paths(self._daemon, ffi.NULL, 0))
        paths = ffi.new("torc_path[]", max(1, count))
        found = _checked(lib.torc_paths(self._daemon, paths, count))
        return [_path(paths[place]) for place in range(min(found, count))]

    def counters(self) -> List[Counter]:
        """Everything that it counts and measures."""
        count = _checked(lib.torc_counters(self._daemon, ffi.NULL, 0))
        counters = ffi.new("torc_counter[]", max(1, count))
        found = _checked(lib.torc_counters(self._daemon, counters, count))
        return [_counter(counters[place]) for place in range(min(found, count))]

    def path_events(self, timeout: Optional[float] = None) -> Iterator[Path]:
        """The changes of paths since the daemon started, one by one, until none came for so many seconds."""
        number, path = ffi.new("uint64_t *"), ffi.new("torc_path *")
        while self._await_event(number, path, timeout):
            yield _path(path)

    def _await_event(self, number: Any, path: Any, timeout: Optional[float]) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _SLICE if end is None else min(_SLICE, max(0.0, end - time.monotonic()))
            if _checked(lib.torc_next_path(self._daemon, number, path, int(left * 1000))):
                return True
            if end is not None and time.monotonic() >= end:
                return False

    def drill(self, network: int, on: bool = True) -> None:
        """Begins or ends a failure drill: meanwhile the daemon loses everything on the network."""
        _checked(lib.torc_drill(self._daemon, network, on))

    def __enter__(self) -> Daemon:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()


def _path(path: Any) -> Path:
    name = ffi.string(path.daemon).decode()
    loss, loss_there = _measure(path.loss, 1000), _measure(path.loss_there, 1000)
    round_trip = _measure(path.round_trip, 1_000_000)
    return Path(name, path.network, PathState(path.state), path.heard, path.first, loss, loss_there, round_trip)


def _counter(counter: Any) -> Counter:
    section, key, meaning = (ffi.string(text).decode() for text in (counter.section, counter.key, counter.meaning))
    network = None if counter.network < 0 else counter.network
    kind = ("count", "level", "times")[counter.kind]
    if kind != "times":
        return Counter(section, key, meaning, kind, network, counter.value)
    p50, p99 = _measure(counter.p50, 1_000_000), _measure(counter.p99, 1_000_000)
    return Counter(section, key, meaning, kind, network, counter.value, counter.sum / 1_000_000, p50, p99)


def _measure(number: int, unit: int) -> Optional[float]:
    return None if number == _UNKNOWN else number / unit


class Ring:
    """Daemons of one ring inside this process, on loopback networks: d1, d2 and so on, all on one free port.

    They have found each other when it is made.
    """

    def __init__(self, size: int = 1, networks: int = 1) -> None:
        self.port = _free_port()
        self.configuration = _configuration(self.port, size, networks)
        self.daemons: List[Daemon] = []
        try:
            for number in range(1, size + 1):
                self.daemons.append(Daemon(self.configuration, f"d{number}"))
            self.wait_for(size)
        except BaseException:
            self.stop()
            raise

    def wait_for(self, size: int, timeout: float = 30.0) -> None:
        """Waits until every daemon is in a ring of this size."""
        end = time.monotonic() + timeout
        while any(daemon.status().daemons != size for daemon in self.daemons):
            if time.monotonic() > end:
                raise TimeoutError(f"no ring of {size} daemons in {timeout} seconds")
            time.sleep(0.002)

    def address(self, number: int = 0) -> str:
        """Where clients find a daemon, counted from 0."""
        return f"{self.port}@127.77.0.{number + 1}"

    def connect(self, name: str = "", number: int = 0, membership: int = 1) -> Mailbox[str]:
        """A mailbox at a daemon, counted from 0."""
        return connect(self.address(number), name, 0, membership)

    def drill(self, network: int, on: bool = True) -> None:
        """Cuts a network everywhere, or heals it."""
        for daemon in self.daemons:
            daemon.drill(network, on)

    def split(self, *numbers: int) -> None:
        """Cuts these daemons off on all networks, each for itself; drill(..., False) heals."""
        for number in numbers:
            for network in range(self.daemons[number].status().networks):
                self.daemons[number].drill(network)

    def stop(self) -> None:
        """Stops all daemons."""
        while self.daemons:
            self.daemons.pop().stop()

    def __enter__(self) -> Ring:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.77.0.1", 0))
        return int(probe.getsockname()[1])


def _configuration(port: int, size: int, networks: int) -> str:
    def daemon(number: int) -> str:
        interfaces = " ".join(f"D 127.77.{network}.{number}" for network in range(networks))
        return f"  d{number} 127.77.0.{number} {{ {interfaces} C 127.77.0.{number} }}"

    daemons = "\n".join(daemon(number) for number in range(1, size + 1))
    return f"Spread_Segment {f'unicast:{port} ' * networks}{{\n{daemons}\n}}\n"
