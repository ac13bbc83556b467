"""A mailbox: one session with a daemon, over the C calls.

Any number of threads may use one at once. The descriptor stays open as long as some call uses it, so a number that the system
gives again never means another session. Waiting is done in poll, where signals get through, and never longer in C than a
message takes to arrive.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
import weakref
from types import TracebackType
from typing import Any, Callable, Generic, Iterator, Optional, Tuple, Type, Union, overload

from . import _constants as constants
from ._constants import ServiceType
from ._errors import ConnectionClosed, MessageTooLong, error, failure
from ._library import ffi, has, lib
from ._messages import GroupId, MembershipMsg, RegularMsg, Text

_NAME = constants.MAX_GROUP_NAME
#: A buffer that one large message has made larger than this is not kept.
_BUFFER_KEPT = 1 << 20
#: Bytes of body and group names that the classic library sends.
_CLASSIC_LIMIT = 144_000
_SENT_WITH = constants.REGULAR_MESS | constants.SELF_DISCARD

Message = Union[RegularMsg[Text], MembershipMsg[Text]]
#: What can be sent: anything that lies in memory in one piece, or a str, which is sent as UTF-8.
Body = Union[bytes, bytearray, memoryview, str]

#: For a forked child, which must not keep locks of threads that it does not have.
_OPEN: "weakref.WeakSet[Mailbox[Any]]" = weakref.WeakSet()


def encoded(text: Union[str, bytes]) -> bytes:
    """A name as C has it."""
    if not isinstance(text, (str, bytes)):
        raise TypeError(f"a name is str or bytes, not {type(text).__name__}")
    name = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    if b"\0" in name:
        raise ValueError("embedded null character")
    return name


@overload
def connect(
    daemon: str = ..., name: str = ..., priority: int = ..., membership: int = ..., *, timeout: Optional[float] = ...
) -> Mailbox[str]: ...
@overload
def connect(
    daemon: bytes, name: Union[str, bytes] = ..., priority: int = ..., membership: int = ..., *,
    timeout: Optional[float] = ...,
) -> Mailbox[bytes]: ...
@overload
def connect(
    daemon: str, name: bytes, priority: int = ..., membership: int = ..., *, timeout: Optional[float] = ...
) -> Mailbox[bytes]: ...
@overload
def connect(
    daemon: str = ..., *, name: bytes, priority: int = ..., membership: int = ..., timeout: Optional[float] = ...
) -> Mailbox[bytes]: ...
def connect(
    daemon: Union[str, bytes] = "4803",
    name: Union[str, bytes] = "",
    priority: int = 0,
    membership: int = 1,
    *,
    timeout: Optional[float] = None,
) -> Any:
    """Opens a session: daemon is "port" for the one of this machine, or "port@host".

    Without a name the daemon invents one. With bytes for daemon or name, all names of the mailbox are bytes. An existing
    daemon of this process is reached directly; SPREAD_EMBEDDED may start one.
    """
    box, private = ffi.new("int *"), ffi.new("char[]", _NAME)
    arguments = (encoded(daemon), encoded(name), int(priority), int(membership), box, private)
    if timeout is None:
        result = lib.SP_connect(*arguments)
    else:
        seconds, rest = divmod(max(timeout, 1e-6), 1)
        result = lib.SP_connect_timeout(*arguments, {"sec": int(seconds), "usec": int(rest * 1_000_000)})
    if result != constants.ACCEPT_SESSION:
        raise failure(result)
    kind: Type[Any] = bytes if isinstance(daemon, bytes) or isinstance(name, bytes) else str
    return Mailbox(box[0], ffi.string(private), kind, _token=_TOKEN)


_TOKEN = object()


class Mailbox(Generic[Text]):
    """A session with a daemon; made by connect. As a context manager it disconnects, and as an iterator it receives."""

    #: The name of this session in the whole system, "#name#daemon".
    private_group: Text

    def __init__(self, descriptor: int, private_group: bytes, kind: Type[Text], *, _token: object = None) -> None:
        if _token is not _TOKEN:
            raise TypeError("mailboxes are made by connect()")
        self._descriptor = descriptor
        self._kind: Type[Text] = kind
        self.private_group = self._name(private_group)
        self._process = os.getpid()
        self._closed = False
        self._body_size, self._groups_size = constants.DEFAULT_BUFFER_SIZE, constants.DEFAULT_GROUPS_SIZE
        self._new_locks()
        _OPEN.add(self)

    def _new_locks(self) -> None:
        self._state = threading.Lock()
        self._receiving = threading.Lock()
        self._users = 0
        self._body: Any = None
        self._groups: Any = None

    # -- sending ----------------------------------------------------------------------------------------------------

    def join(self, group: Union[str, bytes]) -> None:
        """Asks to join a group. The answer is a membership message."""
        self._call("join", lib.SP_join, encoded(group))

    def leave(self, group: Union[str, bytes]) -> None:
        """Asks to leave a group. The answer is a membership message."""
        self._call("leave", lib.SP_leave, encoded(group))

    def multicast(self, service_type: int, group: Union[str, bytes], message: Body, message_type: int = 0) -> int:
        """Sends to a group or private group; returns how many bytes were sent."""
        body, size = _body(message)
        arguments = _service(service_type), encoded(group), _int16(message_type), size, body
        return self._call("multicast", lib.SP_multicast, *arguments)

    def multigroup_multicast(
        self, service_type: int, groups: Tuple[Union[str, bytes], ...], message: Body, message_type: int = 0
    ) -> int:
        """Sends to several groups; who is in several of them gets the message once."""
        if not isinstance(groups, tuple):
            raise TypeError("groups must be a tuple")
        if not groups:
            raise ValueError("there must be at least one group in the tuple")
        names = ffi.new("char[][32]", len(groups))
        for place, group in zip(names, groups):
            name = encoded(group)
            if len(name) >= _NAME:
                raise failure(constants.ILLEGAL_GROUP)
            ffi.memmove(place, name, len(name))
        body, size = _body(message)
        arguments = _service(service_type), len(groups), names, _int16(message_type), size, body
        return self._call("multigroup_multicast", lib.SP_multigroup_multicast, *arguments)

    # -- receiving --------------------------------------------------------------------------------------------------

    def receive(self, timeout: Optional[float] = None) -> Message[Text]:
        """Waits for a message, for ever or so many seconds; then TimeoutError."""
        deadline = None if timeout is None else time.monotonic() + timeout
        self._enter("receive")
        try:
            left = -1.0 if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._receiving.acquire(timeout=left):
                raise TimeoutError("no message in time")
            try:
                self._await(deadline)
                return self._receive()
            finally:
                self._receiving.release()
        finally:
            self._leave()

    def poll(self) -> int:
        """Bytes that wait to be received; 0 also if the daemon has gone."""
        return self._call("poll", lib.SP_poll)

    def fileno(self) -> int:
        """The descriptor for select, poll and event loops: readable whenever a message waits."""
        with self._state:
            self._check("fileno")
            return self._descriptor

    def __iter__(self) -> Iterator[Message[Text]]:
        """All messages until this mailbox is disconnected; it is an error if the daemon goes."""
        while not self._closed:
            try:
                yield self.receive()
            except error:
                if not self._disconnected:
                    raise
                return

    # -- the end ----------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the session has ended."""
        return self._closed

    _disconnected = False

    def disconnect(self) -> None:
        """Ends the session; calls of other threads that are under way fail. A second call does nothing."""
        self._disconnected = True
        self._end(lib.SP_disconnect)

    def kill(self) -> None:
        """Closes the mailbox in this process and tells nobody: for the process that does not keep it after a fork."""
        self._disconnected = True
        self._end(lib.SP_kill)

    def __enter__(self) -> Mailbox[Text]:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.disconnect()

    def __del__(self) -> None:
        # One that was never opened, or at the end of the interpreter.
        if getattr(self, "_process", None) is not None and lib is not None:
            self._end(lib.SP_disconnect if self._process == os.getpid() else lib.SP_kill)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.private_group!r}{' closed' if self._closed else ''}>"

    # -- calls into C -----------------------------------------------------------------------------------------------

    def _check(self, call: str) -> None:
        if self._closed:
            raise ConnectionClosed(f"{call}() called on closed mbox")

    def _enter(self, call: str) -> None:
        with self._state:
            self._check(call)
            self._users += 1

    def _leave(self) -> None:
        with self._state:
            self._users -= 1
            last = self._closed and self._users == 0
        if last:
            lib.SP_disconnect(self._descriptor)

    def _call(self, name: str, function: Callable[..., int], *arguments: Any) -> int:
        self._enter(name)
        try:
            return self._checked(function(self._descriptor, *arguments))
        finally:
            self._leave()

    def _checked(self, result: int) -> int:
        if result >= 0:
            return result
        if result in (constants.CONNECTION_CLOSED, constants.ILLEGAL_SESSION, constants.NET_ERROR_ON_SESSION):
            with self._state:
                self._closed = True
        if result == constants.MESSAGE_TOO_LONG:
            raise MessageTooLong.above(self._message_limit())
        raise failure(result)

    def _message_limit(self) -> int:
        # A classic library has no such function, and one limit for all daemons.
        return int(lib.torc_message_limit(self._descriptor)) if has("torc_message_limit") else _CLASSIC_LIMIT

    def _end(self, function: Callable[[int], Any]) -> None:
        with self._state:
            if self._closed:
                return
            self._closed = True
            if self._users == 0:
                function(self._descriptor)
                return
            # The last of those who are in a call closes the descriptor; this wakes them.
            with socket.socket(fileno=os.dup(self._descriptor)) as other:
                try:
                    other.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _await(self, deadline: Optional[float]) -> None:
        readable = select.poll()
        readable.register(self._descriptor, select.POLLIN)
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if not readable.poll(left):
            raise TimeoutError("no message in time")

    def _receive(self) -> Message[Text]:
        service, kind = ffi.new("int *"), ffi.new("short *")
        sender, count, endian = ffi.new("char[]", _NAME), ffi.new("int *"), ffi.new("int *")
        while True:
            if self._body is None:
                self._body = ffi.new("char[]", self._body_size)
                self._groups = ffi.new("char[][32]", self._groups_size)
            service[0] = 0
            size = lib.SP_receive(
                self._descriptor, service, sender, self._groups_size, count, self._groups, kind, endian,
                self._body_size, self._body,
            )
            if size not in (constants.BUFFER_TOO_SHORT, constants.GROUPS_TOO_SHORT):
                break
            self._body_size = max(self._body_size, -endian[0])
            self._groups_size = max(self._groups_size, -count[0])
            self._body = None
        self._checked(size)
        if service[0] & constants.REGULAR_MESS and not service[0] & constants.REJECT_MESS:
            message: Message[Text] = RegularMsg(
                self._name(ffi.string(sender)), self._names(self._groups, count[0]), bytes(ffi.buffer(self._body, size)),
                kind[0], endian[0], ServiceType(service[0] & _SENT_WITH),
            )
        elif service[0] & constants.MEMBERSHIP_MESS and not service[0] & constants.REJECT_MESS:
            message = self._membership(service[0], ffi.string(sender), count[0])
        else:
            raise error(f"unexpected service type: 0x{service[0]:x}")
        if self._body_size > _BUFFER_KEPT:
            self._body_size, self._body = constants.DEFAULT_BUFFER_SIZE, None
        return message

    def _membership(self, service: int, group: bytes, count: int) -> MembershipMsg[Text]:
        information = ffi.new("membership_info *")
        self._checked(lib.SP_get_memb_info(self._body, service, information))
        view = bool(service & constants.REG_MEMB_MESS)
        transition = bool(service & constants.TRANSITION_MESS)
        left = not view and not transition
        numbers = (0, 0, 0) if left else tuple(information.gid.id)
        return MembershipMsg(
            group=self._name(group),
            group_id=GroupId(numbers),
            members=self._names(self._groups, count),
            reason=0 if transition else service & constants.MEMBERSHIP_MESS & ~constants.REG_MEMB_MESS,
            changed_member=self._name(ffi.string(information.changed_member) if view else b""),
            extra=self._members_of(information.my_vs_set) if view else (),
            orig_members=self._sets(information.num_vs_sets) if view else None,
            msg_subtype=service & (constants.REG_MEMB_MESS | constants.TRANSITION_MESS),
        )

    def _sets(self, count: int) -> Tuple[Tuple[Text, ...], ...]:
        sets, mine = ffi.new("vs_set_info[]", count), ffi.new("unsigned int *")
        self._checked(lib.SP_get_vs_sets_info(self._body, sets, count, mine))
        return tuple(self._members_of(one) for one in sets)

    def _members_of(self, one: Any) -> Tuple[Text, ...]:
        names = ffi.new("char[][32]", max(1, one.num_members))
        place = ffi.new("vs_set_info *", one)
        return self._names(names, self._checked(lib.SP_get_vs_set_members(self._body, place, names, one.num_members)))

    def _names(self, names: Any, count: int) -> Tuple[Text, ...]:
        return tuple(self._name(ffi.string(names[place])) for place in range(count))

    def _name(self, name: bytes) -> Any:
        return name if self._kind is bytes else name.decode("utf-8", "surrogateescape")


def _service(service_type: int) -> int:
    if service_type & ~_SENT_WITH:
        raise ValueError("invalid service type")
    return int(service_type)


def _int16(number: int) -> int:
    return (int(number) + 0x8000 & 0xFFFF) - 0x8000


def _body(message: Body) -> Tuple[Any, int]:
    body = message.encode("utf-8", "surrogateescape") if isinstance(message, str) else message
    memory = ffi.from_buffer(body)
    return memory, len(memory)


def version() -> Tuple[int, int, int]:
    """The version of the client interface."""
    numbers = [ffi.new("int *") for _ in range(3)]
    if lib.SP_version(*numbers) != 1:
        raise error("SP_version failed")
    return numbers[0][0], numbers[1][0], numbers[2][0]


def _after_fork_in_child() -> None:
    for mailbox in list(_OPEN):
        mailbox._new_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
