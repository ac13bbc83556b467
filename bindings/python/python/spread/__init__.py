"""Ordered group messaging: the names of the classic spread module, and more pleasant ones beside them.

    import spread

    with spread.connect("4803", "alice") as mailbox:
        mailbox.join("chat")
        mailbox.multicast(spread.SAFE_MESS, "chat", b"hello")
        for message in mailbox:
            print(message)

spread.aio is the same for asyncio, spread.Daemon a daemon inside the program, spread.testing a pytest plugin.
"""

from __future__ import annotations

from importlib import metadata as _metadata

from . import _constants
from ._constants import *  # noqa: F403 - the classic constants
from ._constants import ServiceType
from ._embedded import Counter, Daemon, DaemonError, Path, PathState, Ring, Status
from ._errors import ConnectError, ConnectionClosed, IllegalGroup, IllegalSession, MessageTooLong, error
from ._mailbox import Mailbox, Message, connect, version
from ._messages import GroupId, MembershipMsg, RegularMsg

MailboxType = Mailbox
RegularMsgType = RegularMsg
MembershipMsgType = MembershipMsg
SpreadError = error

try:
    __version__ = _metadata.version("torc-spread")
except _metadata.PackageNotFoundError:
    __version__ = "unknown"

__all__ = [
    *_constants.CLASSIC,
    "ConnectError", "ConnectionClosed", "Counter", "Daemon", "DaemonError", "GroupId", "IllegalGroup", "IllegalSession", "Mailbox",
    "MailboxType", "MembershipMsg", "MembershipMsgType", "Message", "MessageTooLong", "Path", "PathState", "RegularMsg",
    "RegularMsgType", "Ring", "ServiceType", "SpreadError", "Status", "connect", "error", "version",
]
