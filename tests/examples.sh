#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# examples.sh NAME PROGRAM: runs an example as its reader would, and looks at what it says.  One that needs no arguments
# must simply end well.
set -euo pipefail
name=$1 program=$2
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)

finish() {
    if [ -s "$work/nginx.pid" ]; then
        kill "$(<"$work/nginx.pid")"
    fi
    rm -rf "$work"
}
trap finish EXIT

# lines N PATTERN: fails unless that many lines of the output match.
lines() {
    [ "$(grep -cE "$2" "$work/out")" = "$1" ] || {
        echo "not $1 lines that match: $2"
        cat "$work/out"
        exit 1
    }
}

case $name in
fetch)
    "$root/tools/demo-origin.sh" "$work" 20
    mapfile -t urls <"$work/urls"
    SSL_CERT_FILE=$work/ca.pem "$program" "${urls[@]}" >"$work/out"
    lines 20 '^200 +[0-9]+ bytes +[0-9]+ ms https://localhost:[0-9]+/[0-9]+\.html$'
    ;;
resolve)
    "$program" localhost 127.0.0.1 >"$work/out"
    lines 1 '^localhost:.* 127\.0\.0\.1'
    lines 1 '^127\.0\.0\.1: 127\.0\.0\.1$'
    ;;
*)
    "$program" >"$work/out"
    ;;
esac
