"""The one exception of the classic module, with a subclass for each reason to tell apart."""

from __future__ import annotations

from . import _constants as constants
from ._library import ffi, has, lib


class error(Exception):  # noqa: N801 - the classic name
    """What went wrong: args are (number, text), or a text alone where there is no number."""

    @property
    def number(self) -> int | None:
        """The classic code, if there is one."""
        return self.args[0] if len(self.args) == 2 else None

    def __str__(self) -> str:
        return f"{self.args[1]} ({self.args[0]})" if len(self.args) == 2 else super().__str__()


class ConnectError(error):
    """No session was opened."""


class ConnectionClosed(error):
    """The connection to the daemon is lost."""


class IllegalSession(error):
    """The library does not know the mailbox."""


class IllegalGroup(error):
    """A group's name is not allowed."""


class MessageTooLong(error):
    """Body and groups together are longer than a message may be."""

    #: The most bytes of body and group names, 32 for each name, if it is known.
    limit: int | None = None

    @classmethod
    def above(cls, limit: int) -> MessageTooLong:
        """The exception that says the limit, and what raises it."""
        raised = cls(
            constants.MESSAGE_TOO_LONG,
            f"the message is too long: body and group names, 32 bytes for each name, may have {limit} bytes here; "
            "MaxMessageSize in the daemon's configuration raises that, or the environment variable SPREAD_MAX_MESSAGE "
            "where the daemon does not tell its limit",
        )
        raised.limit = limit
        return raised


_KINDS: dict[int, type[error]] = {
    **dict.fromkeys(range(constants.REJECT_VERSION, 0), ConnectError),
    constants.REJECT_AUTH: ConnectError,
    constants.CONNECTION_CLOSED: ConnectionClosed,
    constants.NET_ERROR_ON_SESSION: ConnectionClosed,
    constants.ILLEGAL_SESSION: IllegalSession,
    constants.ILLEGAL_GROUP: IllegalGroup,
    constants.MESSAGE_TOO_LONG: MessageTooLong,
}


def failure(number: int) -> error:
    """The exception for a classic code."""
    text = ffi.string(lib.SP_strerror(number)).decode() if has("SP_strerror") else f"error {number}"
    return _KINDS.get(number, error)(number, text)
