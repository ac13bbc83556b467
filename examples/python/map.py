"""map DAEMON NAME REPLICAS: one of so many replicas of a map; the input says `set KEY VALUE`, `get KEY`.

Every replica applies the same changes in the same order. The rules at the edges:

- Only a majority may change anything; a minority would invent a second history. It still answers, and says that it may be stale.
- After the transitional signal a change is only certain at those who come along. It waits for the next view, and counts if that
  is a majority.
- Whoever comes, one replica or a whole partition, is brought up to date before it goes on: one of those who came together tells
  what they have, and everybody takes the longest history.
"""

import sys
import threading

import spread


USAGE = "usage: map DAEMON NAME REPLICAS"
COMMANDS = "say: set KEY VALUE, or get KEY; words have 31 characters at most, a key no ="


def is_change(words):
    """Whether these words change the map. What comes from others is checked as what is typed is: nobody knows who sent it."""
    return len(words) == 3 and words[0] == "set" and "=" not in words[1] and all(len(word) < 32 for word in words)


def is_state(words, view):
    """Whether these words tell what a replica has that came to this view."""
    return words[:2] == ["state", view] and words[2:] and words[2].isdecimal() and all("=" in word for word in words[3:])


class Replica:
    def __init__(self, mailbox, replicas):
        self.mailbox, self.replicas = mailbox, replicas
        self.values, self.changes = {}, 0  # the map, and the length of its history
        self.members, self.view, self.awaited = (), None, set()
        self.waiting = []  # changes that came between views, or before everybody was up to date
        self.transition = False

    def has_majority(self):
        return 2 * len(self.members) > self.replicas

    def on_line(self, words):
        if len(words) == 2 and words[0] == "get":
            stale = "" if self.has_majority() else " (may be stale)"
            print(f"{words[1]} is {self.values.get(words[1], 'unset')}{stale}", flush=True)
        elif not is_change(words):
            print(COMMANDS, flush=True)
        elif self.has_majority():
            self.mailbox.multicast(spread.SAFE_MESS, "map", " ".join(words))
        else:
            self.refuse()

    def refuse(self):
        print(f"refused: only {len(self.members)} of {self.replicas} replicas are here", flush=True)

    def on_message(self, sender, words):
        if is_change(words) and not self.has_majority():
            self.refuse()  # it was sent while there was one
        elif is_change(words):
            self.waiting.append(words[1:])
        elif is_state(words, self.view) and sender in self.awaited:
            self.awaited.discard(sender)
            if int(words[2]) > self.changes:
                self.changes, self.values = int(words[2]), dict(word.split("=", 1) for word in words[3:])
                print(f"brought up to date: {self.changes} changes", flush=True)
        self.apply()

    def apply(self):
        """Applies what waits, unless it is not known yet whether it counts."""
        while self.waiting and not self.transition and not self.awaited:
            key, value = self.waiting.pop(0)
            self.values[key] = value
            self.changes += 1
            print(f"{key} = {value}", flush=True)

    def on_view(self, view):
        self.transition = view.is_transition
        if view.is_transition:
            print("the old view breaks", flush=True)
            return
        self.members, self.view = view.members, repr(view.group_id).split()[1]
        self.awaited.clear()
        self.apply() if self.has_majority() else self.waiting.clear()
        print(f"{len(self.members)} of {self.replicas} replicas", flush=True)
        if view.reason == spread.CAUSED_BY_JOIN:
            self.awaited.update([member for member in view.members if member != view.changed_member][:1])
        elif view.reason == spread.CAUSED_BY_NETWORK and len(view.orig_members) > 1:
            self.awaited.update(members[0] for members in view.orig_members)
        if self.mailbox.private_group in self.awaited:
            values = " ".join(f"{key}={value}" for key, value in self.values.items())
            self.mailbox.multicast(spread.SAFE_MESS, "map", f"state {self.view} {self.changes} {values}")


def read_input(mailbox):
    """Lines come to the replica as messages to itself, so that it does one thing at a time."""
    for line in sys.stdin:
        mailbox.multicast(spread.AGREED_MESS, mailbox.private_group, line.strip())
    mailbox.leave("map")


def main(daemon, name, replicas):
    with spread.connect(daemon, name) as mailbox:
        replica = Replica(mailbox, int(replicas))
        mailbox.join("map")
        threading.Thread(target=read_input, args=(mailbox,), daemon=True).start()
        for message in mailbox:
            if isinstance(message, spread.MembershipMsg):
                if message.is_self_leave:
                    break
                replica.on_view(message)
            elif message.sender == mailbox.private_group and message.groups != ("map",):
                replica.on_line(message.message.decode(errors="replace").split())
            else:
                replica.on_message(message.sender, message.message.decode(errors="replace").split())


if len(sys.argv) != 4 or not sys.argv[3].isdecimal():
    print(USAGE, file=sys.stderr)
    sys.exit(2)
try:
    main(*sys.argv[1:])
except spread.error as problem:
    sys.exit(f"map: {problem}")
