"""paths CONFIGURATION NAME: be a daemon of a ring and show how the others are heard on each network.

The input may say `cut N` and `heal N` for a failure drill on network N; its end is the end of the daemon.
"""

import sys
import threading

import spread


def obey(daemon):
    for line in sys.stdin:
        order, _, network = line.strip().partition(" ")
        if order not in ("cut", "heal") or not network.isdecimal():
            print("say: cut N, or heal N", flush=True)
            continue
        try:
            daemon.drill(int(network), order == "cut")
        except spread.DaemonError as problem:
            print(problem, flush=True)
    daemon.stop()


def main(configuration, name):
    try:
        daemon = spread.Daemon(configuration, name)
    except spread.DaemonError as problem:
        sys.exit(f"paths: {problem}")
    threading.Thread(target=obey, args=(daemon,), daemon=True).start()
    try:
        for path in daemon.path_events():
            print(f"{path.daemon} on network {path.network}: {path.state.name.lower()}", flush=True)
    except spread.DaemonError:
        pass  # it was stopped


if len(sys.argv) != 3:
    print("usage: paths CONFIGURATION NAME", file=sys.stderr)
    sys.exit(2)
main(*sys.argv[1:])
