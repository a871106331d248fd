#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# bench/fetch.sh [ROUNDS [PAGES [AT-ONCE]]]: thrum fetch against curl --parallel on the same HTTPS pages (default: 5 rounds,
# 2,000 pages, 50 at once), in turn, from an origin on this machine. Each page that each of them fetched is compared with the
# origin's. Prints the median of the rounds: seconds of the clock and of processor time, and the ratios.
#
# Needs build/release (cmake --preset release && cmake --build --preset release), curl, and what tools/deps.sh demo installs.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5} pages=${2:-2000} at_once=${3:-50}
thrum=$PWD/build/release/tools/thrum
[ -x "$thrum" ] || {
    echo "bench: build the release preset first" >&2
    exit 1
}

# In memory: making and removing thousands of files on a disk would be most of what is measured.
work=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
stop() {
    if [ -s "$work/nginx.pid" ]; then
        kill "$(<"$work/nginx.pid")" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM
tools/demo-origin.sh "$work" "$pages"
ulimit -S -n "$(ulimit -H -n)" 2>/dev/null || true

awk -v out="$work/curl" '{ printf "url = \"%s\"\noutput = \"%s/%d\"\n", $0, out, NR }' "$work/urls" >"$work/curlrc"
sums() { find "$1" -type f -exec sha256sum {} + | cut -c 1-64 | sort; }
sums "$work/root" >"$work/sums"

# run NAME COMMAND...: appends "wall cpu" to NAME.times
run() {
    local name=$1 wall user sys
    shift
    rm -rf "${work:?}/$name" && mkdir "$work/$name"
    TIMEFORMAT='%R %U %S'
    { time "$@" >/dev/null 2>"$work/$name.err"; } 2>"$work/time" || {
        cat "$work/$name.err" >&2
        exit 1
    }
    cmp -s "$work/sums" <(sums "$work/$name") || {
        echo "bench: what $name fetched is not what the origin has" >&2
        exit 1
    }
    read -r wall user sys <"$work/time"
    awk -v w="$wall" -v u="$user" -v s="$sys" 'BEGIN { print w, u + s }' >>"$work/$name.times"
}

for ((i = 0; i < rounds; i++)); do
    run thrum "$thrum" fetch -c "$at_once" --cacert "$work/ca.pem" -i "$work/urls" -o "$work/thrum"
    run curl curl -Z --parallel-max "$at_once" -s --http1.1 --cacert "$work/ca.pem" -K "$work/curlrc"
done

median() { cut -d ' ' -f "$2" "$work/$1.times" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
awk -v tw="$(median thrum 1)" -v tc="$(median thrum 2)" -v cw="$(median curl 1)" -v cc="$(median curl 2)" \
    -v n="$pages" -v c="$at_once" -v r="$rounds" 'BEGIN {
    printf "%d pages over HTTPS, %d at once, median of %d rounds, every page compared\n", n, c, r
    printf "thrum fetch      %6.3f s   %6.3f s of processor time\n", tw, tc
    printf "curl --parallel  %6.3f s   %6.3f s of processor time\n", cw, cc
    printf "ratio            %6.2f     %6.2f\n", cw / tw, cc / tc }'
