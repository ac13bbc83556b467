#!/bin/bash
# gallery.sh DIRECTORY   runs the programs of this directory and prints what the terminal shows, as docs/gallery.md. Needs root: the three
# daemons and their clients have a network and a /tmp of their own.
set -eu
cd "$(dirname "$0")/.."
programs=$(cd "$1" && pwd)
if [ "${2:-}" != inside ]; then
    exec unshare --net --mount "packaging/$(basename "$0")" "$programs" inside
fi
ip link set lo up
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mkdir -p /run/spread
export PATH="$programs:$PATH"
cp examples/ring.conf /tmp/ring.conf
cd /tmp

daemons=()
end() { [ ${#daemons[@]} = 0 ] || kill "${daemons[@]}" 2>/dev/null || :; }
trap end EXIT
# daemon NAME: starts one and waits until it says what it must say next.
daemon() {
    spread -c ring.conf -n "$1" > "$1.log" 2>&1 &
    daemons+=($!)
    await "$1.log" "$2"
}
await() {
    for _ in $(seq 300); do
        ! grep -q "$2" "$1" || return 0
        sleep 0.1
    done
    echo "gallery: $1 does not say $2" >&2
    cat "$1" >&2
    exit 1
}
# show COMMAND...: the command as a person types it, and what it prints.
show() {
    printf '    $ %s\n' "$*"
    { timeout 20 bash -c "$*" 2>&1 || :; } | sed -e 's/^/    /' -e 's/ *$//'
    echo
}
text() { printf '%s\n\n' "$*"; }

text '# What the terminal shows'
text '`make gallery` records this page: three daemons of `examples/ring.conf` on one machine, and the tools beside them.'

text '## A file explained'
show spread --check ring.conf

text '## A daemon starts'
daemon d1 started
daemon d2 ready
daemon d3 ready
await d1.log 'daemons=3'
show cat d1.log

text '## By hand'
text 'A script types here: `d` lets messages wait, and `r` receives one.'
show "printf 'd\nj chat\ns chat\nhello, ring\nr\nr\nq\n' | spuser -u alice -s 4803@127.77.0.2"

text '## How it is'
show spmonitor health
show spmonitor status
show spmonitor paths

text '## A network fails'
text 'A drill loses everything on network 1, and tells nobody.'
show spmonitor drill 1 on
await d2.log 'network=1.*faulty\|faulty.*network=1'
sleep 1
show 'tail -n 3 d2.log'
show "spmonitor health; echo status \$?"
show spmonitor drill 1 off
await d2.log 'probation.*network=1\|network=1.*probation'
sleep 2

text '## How fast'
text 'One run, on a machine that may do other work meanwhile. [Performance](performance.md) has measurements.'
show spflooder -s 4803@127.77.0.1 -m 10000 -b 1000

text '## A path without a ring'
sprecv -p 4900 > sprecv.out 2>&1 &
daemons+=($!)
show spsend -a 127.77.0.1 -p 4900 -n 1000
sleep 1
show cat sprecv.out

text '## What it counts'
show "spmonitor counters | head -n 40"

text '## Mistakes'
printf 'Spread_Segment 239.77.0.1:4803 {\n    alpha 10.77.0.1\n    alpha 10.77.0.2\n}\nTokenTimeot = 5\n' > wrong.conf
show cat wrong.conf
show spread --check wrong.conf
show spuser -s 4999@127.0.0.1
