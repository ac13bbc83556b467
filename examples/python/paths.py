"""paths CONFIGURATION NAME: be a daemon of a ring and show how the others are heard on each network.

The input may say `cut N` and `heal N` for a failure drill on network N; its end is the end of the daemon.
"""

import sys
import threading

import spread


def obey(daemon):
    for line in sys.stdin:
        order, network = line.split()
        daemon.drill(int(network), order == "cut")
    daemon.stop()


def main(configuration, name):
    daemon = spread.Daemon(configuration, name)
    threading.Thread(target=obey, args=(daemon,), daemon=True).start()
    try:
        for path in daemon.path_events():
            print(f"{path.daemon} on network {path.network}: {path.state.name.lower()}", flush=True)
    except spread.DaemonError:
        pass  # it was stopped


main(*sys.argv[1:])
