"""What a mailbox receives, as values: they do not change, compare by content, and can be matched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Optional, TypeVar

from ._constants import ServiceType

#: Names are str, or bytes on a mailbox that was opened with bytes.
Text = TypeVar("Text", str, bytes)


@dataclass(frozen=True)
class GroupId:
    """The identity of a view: equal for the same view, and good for nothing else."""

    numbers: tuple[int, int, int]

    def __repr__(self) -> str:
        return "<group_id {:08X}:{:08X}:{:08X}>".format(*(number & 0xFFFFFFFF for number in self.numbers))


@dataclass(frozen=True)
class RegularMsg(Generic[Text]):
    """A message that somebody sent."""

    #: The private group of the sender.
    sender: Text
    #: The groups it was sent to.
    groups: tuple[Text, ...]
    #: The body.
    message: bytes
    #: The sender's number for it.
    msg_type: int = 0
    #: Not 0 if the sender's byte order is another one.
    endian: int = 0
    #: What it was sent with.
    service_type: ServiceType = field(default=ServiceType.RELIABLE)


@dataclass(frozen=True)
class MembershipMsg(Generic[Text]):
    """A change of a group's members, or the sign that one is about to come (reason 0)."""

    #: The group.
    group: Text
    #: The view's identity. A transitional message has that of the view it ends.
    group_id: GroupId
    #: The members of the view, in one order everywhere.
    members: tuple[Text, ...]
    #: One of CAUSED_BY_*, or 0 for a transitional message.
    reason: int
    #: Who joined, left or disconnected; otherwise empty.
    changed_member: Text
    #: Those who came into the view together with the receiver; for a join, leave or disconnect who did it.
    extra: tuple[Text, ...] = ()
    #: All sets that came together, or None if the message is no view.
    orig_members: Optional[tuple[tuple[Text, ...], ...]] = None
    #: REG_MEMB_MESS, TRANSITION_MESS, or 0 if the receiver itself has left.
    msg_subtype: int = 0

    @property
    def is_transition(self) -> bool:
        """Whether the old view can no longer keep its full promises; the next one follows."""
        return self.reason == 0

    @property
    def is_self_leave(self) -> bool:
        """Whether the receiver has left the group."""
        return self.reason != 0 and self.msg_subtype == 0
