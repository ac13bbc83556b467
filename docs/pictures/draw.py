#!/usr/bin/env python3
"""Draws the pictures of the documents: `python3 docs/pictures/draw.py` writes them anew beside this file.

Every picture has the same parts: daemons are boxes, networks are lines below them, and packets are numbered discs on the
line from a daemon to a network. Colours follow the reader's light or dark mode.
"""

from pathlib import Path

STYLE = """<style>
svg { --ink: #24292f; --soft: #6e7781; --paper: #ffffff; --box: #f0f4f8; --good: #1a7f64; --bad: #cf222e; --idle: #8c959f; --disc: #0969da; }
@media (prefers-color-scheme: dark) {
svg { --ink: #e6edf3; --soft: #9198a1; --paper: #0d1117; --box: #1c2430; --good: #3fb98f; --bad: #ff6b6b; --idle: #656c76; --disc: #58a6ff; } }
text { font: 14px system-ui, sans-serif; fill: var(--ink); text-anchor: middle; }
text.soft { fill: var(--soft); font-size: 12px; } text.left { text-anchor: start; } text.disc { fill: var(--paper); font-size: 11px; font-weight: bold; }
rect.paper { fill: var(--paper); } rect.box { fill: var(--box); stroke: var(--ink); } rect.dead { stroke: var(--bad); stroke-dasharray: 4 3; }
line { stroke-width: 2; } .good { stroke: var(--good); } .bad { stroke: var(--bad); } .idle { stroke: var(--idle); stroke-dasharray: 5 4; }
circle.disc { fill: var(--disc); } circle.lost { fill: var(--bad); } path.arrow { fill: none; stroke: var(--disc); stroke-width: 2; marker-end: url(#head); } marker path { fill: var(--disc); }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>"""


class Picture:
    """One picture, built from left to right and top to bottom."""

    def __init__(self, width, height, title):
        self.width, self.height, self.title, self.parts = width, height, title, []

    def text(self, x, y, words, kind=""):
        self.parts.append(f'<text x="{x}" y="{y}" class="{kind}">{words}</text>')

    def line(self, x1, y1, x2, y2, kind="good"):
        self.parts.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="{kind}"/>')

    def box(self, x, y, width, height, words, under="", kind=""):
        self.parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" class="box {kind}"/>')
        self.text(x + width / 2, y + (20 if under else height / 2 + 5), words)
        if under:
            self.text(x + width / 2, y + 36, under, "soft")

    def disc(self, x, y, words, kind="disc"):
        self.parts.append(f'<circle cx="{x}" cy="{y}" r="9" class="{kind}"/>')
        self.text(x, y + 4, words, "disc")

    def cross(self, x, y):
        self.line(x - 7, y - 7, x + 7, y + 7, "bad")
        self.line(x - 7, y + 7, x + 7, y - 7, "bad")

    def arrow(self, path):
        self.parts.append(f'<path d="{path}" class="arrow"/>')

    def write(self, name):
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" role="img" aria-label="{self.title}">'
        paper = f'<rect class="paper" width="{self.width}" height="{self.height}"/>'
        lines = [head, f"<title>{self.title}</title>", STYLE, paper, *self.parts, "</svg>", ""]
        (Path(__file__).parent / f"{name}.svg").write_text("\n".join(lines))


def networks(name, title, daemons, lines, packets=(), cuts=(), dead=(), crossed=(), ring=False, notes=()):
    """Daemons above networks.

    lines: for each network its words and its state. packets: (daemon, network, number, state). cuts: (daemon, network) or a
    network alone. dead: daemons that do not run. crossed: daemons whose two cables are exchanged. ring: the token's way is
    shown. notes: lines of text below.
    """
    step, top, gap = 150, 30, 50
    width = 130 + step * len(daemons)
    first = top + 50 + gap
    height = first + gap * len(lines) + 22 * len(notes) + 4
    picture = Picture(width, height, title)

    def column(daemon, network):
        return 120 + step * daemon + 20 + 70 * network / max(1, len(lines) - 1)

    for network, (words, state) in enumerate(lines):
        y = first + gap * network
        picture.text(10, y + 5, words, "left")
        picture.line(100, y, width - 20, y, state)
        for daemon in range(len(daemons)):
            socket = 1 - network if daemon in crossed else network
            picture.line(column(daemon, socket), top + 50, column(daemon, network), y, "bad" if daemon in crossed else state)
    for daemon, words in enumerate(daemons):
        picture.box(120 + step * daemon, top, 110, 50, words, kind="dead" if daemon in dead else "")
    for daemon, network, number, state in packets:
        picture.disc(column(daemon, network), top + 50 + 22, number, state)
    for cut in cuts:
        daemon, network = cut if isinstance(cut, tuple) else (None, cut)
        y = first + gap * network
        x = width - 50 if daemon is None else column(daemon, network)
        picture.cross(x, y if daemon is None else y - 20)
    if ring:
        for daemon in range(len(daemons) - 1):
            picture.arrow(f"M{230 + step * daemon} {top + 25} h{step - 112}")
        last = 175 + step * (len(daemons) - 1)
        picture.arrow(f"M{last} {top} C{last} 6 175 6 175 {top - 2}")
    for row, words in enumerate(notes):
        picture.text(10, first + gap * len(lines) - 12 + 22 * row, words, "left soft")
    picture.write(name)


ALPHA, BETA, GAMMA = range(3)
THREE = ["alpha", "beta", "gamma"]


def everywhere(number, network, state="disc", daemons=range(3)):
    return [(daemon, network, number, state) for daemon in daemons]


def main():
    networks("two-networks", "One ring on two networks; one network fails and nobody notices", THREE,
             [("network 0", "good"), ("network 1", "bad")], everywhere("7", 0), cuts=[1], ring=True,
             notes=["The token goes round. alpha sends packet 7 on both networks. Network 1 is cut.", "The copy on network 0 is already there: no delay, no loss, no membership message."])
    networks("policy-active", "Policy active: every packet on every network", THREE,
             [("network 0", "good"), ("network 1", "good")], everywhere("7", 0) + everywhere("7", 1),
             notes=["Every packet travels on every network. The first copy counts."])
    networks("policy-active-2", "Policy active 2: every packet on two of three networks", THREE,
             [("network 0", "good"), ("network 1", "good"), ("network 2", "idle")], everywhere("7", 0) + everywhere("7", 1),
             notes=["Every packet travels on two healthy networks. The third carries data when one of them fails."])
    networks("policy-passive", "Policy passive: packets take the networks in turn", THREE,
             [("network 0", "good"), ("network 1", "good")], everywhere("7", 0) + everywhere("8", 1),
             notes=["Packet 7 travels on network 0, packet 8 on network 1: the capacities add up.", "Tokens still travel on both."])
    networks("policy-primary", "Policy primary: one network carries, the other stands by", THREE,
             [("network 0", "good"), ("network 1", "idle")], everywhere("7", 0),
             notes=["The healthy network of the highest priority carries the data. The other one stands by."])
    networks("fault-network", "A whole network fails", THREE,
             [("network 0", "good"), ("network 1", "bad")], everywhere("7", 0), cuts=[1],
             notes=["Every path on network 1 is faulty. All packets that matter arrive on network 0."])
    networks("fault-cable", "One daemon loses one cable", THREE,
             [("network 0", "good"), ("network 1", "good")], everywhere("7", 0) + everywhere("7", 1, daemons=[ALPHA, BETA]),
             cuts=[(GAMMA, 1)], notes=["gamma hears only network 0. The others go on to use both between themselves."])
    networks("fault-crosswise", "Two daemons have no network in common; a third relays", THREE,
             [("network 0", "good"), ("network 1", "good")],
             [(ALPHA, 0, "7", "disc"), (BETA, 0, "7", "disc"), (BETA, 1, "7", "disc"), (GAMMA, 1, "7", "disc")],
             cuts=[(ALPHA, 1), (GAMMA, 0)],
             notes=["alpha has only network 0 and gamma only network 1.", "beta hears both and relays between them."])
    networks("fault-one-way", "A path that works in one direction", THREE,
             [("network 0", "good"), ("network 1", "good")],
             [(ALPHA, 0, "7", "disc"), (BETA, 0, "7", "disc"), (GAMMA, 0, "7", "disc"), (ALPHA, 1, "7", "lost"), (BETA, 1, "7", "disc")],
             notes=["gamma does not hear alpha on network 1, though alpha hears gamma.", "gamma's reports say so, and alpha knows that its own path is bad."])
    networks("fault-daemon", "A daemon ends", THREE, [("network 0", "good"), ("network 1", "good")],
             dead=[GAMMA], notes=["gamma's process ends. No network can mask that: the others form a ring of two,", "and their clients get a membership message."])
    networks("fault-frames", "A switch drops long frames", THREE,
             [("network 0", "good"), ("network 1", "good")], everywhere("7", 0) + [(ALPHA, 1, "7", "disc"), (BETA, 1, "7", "lost"), (GAMMA, 1, "7", "lost")],
             notes=["A switch of network 1 drops frames that are longer than 1514 bytes, and tells nobody.", "Probes of each length show what passes. Packets become that short."])
    networks("fault-crossed", "Two cables of one daemon are exchanged", THREE,
             [("network 0", "good"), ("network 1", "good")], everywhere("7", 0, daemons=[ALPHA, BETA]) + everywhere("7", 1, daemons=[ALPHA, BETA]), crossed=[GAMMA],
             notes=["gamma's packets of network 0 arrive on the others' sockets of network 1.", "Nothing is lost while all works, and the log names the networks."])
    networks("fault-clone", "A machine was copied, and both copies run", ["alpha", "beta", "alpha"],
             [("network 0", "good"), ("network 1", "good")], [(0, 0, "7", "disc"), (1, 0, "7", "disc"), (0, 1, "7", "disc"), (1, 1, "7", "disc")], dead=[2],
             notes=["Two machines have the same file and the same address.", "One of them is heard; the other one finds out and stands aside."])
    ring_picture()
    views_picture()
    signal_picture()


def ring_picture():
    picture = Picture(560, 250, "Clients send to their daemon; the ring gives every message a number; every client gets the same order")
    for place, name in enumerate(THREE):
        x = 40 + 180 * place
        picture.box(x, 30, 110, 34, "client")
        picture.box(x, 120, 110, 50, name, "daemon")
        picture.line(x + 55, 64, x + 55, 120, "good")
    picture.arrow("M150 145 L218 145")
    picture.arrow("M330 145 L398 145")
    picture.arrow("M455 172 C455 230 95 230 95 174")
    picture.text(275, 205, "token: who holds it gives the next numbers", "soft")
    picture.disc(95, 95, "7")
    picture.disc(275, 95, "7")
    picture.disc(455, 95, "7")
    picture.text(275, 20, "every client gets packet 7 after 6 and before 8", "soft")
    picture.write("ring")


def views_picture():
    picture = Picture(620, 250, "What clients see of a partition and of its end")
    rows = [("client at alpha", 60), ("client at beta", 120), ("client at gamma", 180)]
    for words, y in rows:
        picture.text(10, y + 5, words, "left")
        picture.line(130, y, 600, y, "idle")
    for x, words in [(130, "{a b g}"), (300, "partition"), (470, "merge")]:
        picture.line(x, 30, x, 210, "bad" if x == 300 else "good")
        picture.text(x, 22, words, "soft")
    for y, first, second in [(60, "{a b}", "{a b g}"), (120, "{a b}", "{a b g}"), (180, "{g}", "{a b g}")]:
        for x, words in [(300, first), (470, second)]:
            picture.box(x + 12, y - 15, 76, 30, words)
    picture.text(130, 236, "Each change is one membership message.", "left soft")
    picture.write("views")


def signal_picture():
    picture = Picture(620, 250, "The transitional signal comes before a message that a lost daemon may not have")
    rows = [("client at alpha", 60), ("client at beta", 120), ("client at gamma", 180)]
    for words, y in rows:
        picture.text(10, y + 5, words, "left")
        picture.line(130, y, 280 if y == 180 else 600, y, "idle")
        picture.disc(170, y, "6")
        picture.disc(220, y, "7")
    picture.cross(280, 180)
    picture.text(280, 205, "gamma fails", "soft")
    for y in (60, 120):
        picture.box(330, y - 15, 70, 30, "signal")
        picture.disc(440, y, "8")
        picture.box(490, y - 15, 76, 30, "{a b}")
    picture.text(255, 22, "safe: everybody has it", "soft")
    picture.text(440, 22, "safe: alpha and beta have it", "soft")
    picture.text(130, 236, "Nobody can know whether gamma received message 8.", "left soft")
    picture.write("signal")


if __name__ == "__main__":
    main()
