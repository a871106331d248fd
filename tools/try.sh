#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# tools/try.sh [URL...]: installs what is missing, builds the release preset, and fetches the URLs all at once; without
# any, 1,000 pages of an HTTPS origin that it starts on this machine and stops again.
set -euo pipefail
here=$(pwd)
cd "$(dirname "$0")/.."
work=''

parts=(build)
[ $# -gt 0 ] || parts+=(demo)
tools/deps.sh "${parts[@]}"

echo "try: building build/release" >&2
mkdir -p build
{
    cmake --preset release && cmake --build --preset release --target thrum_program
} >build/try.log 2>&1 || {
    tail -n 40 build/try.log >&2
    exit 1
}
thrum=$PWD/build/release/tools/thrum

# A thousand connections are more descriptors than the usual soft limit allows.
ulimit -S -n "$(ulimit -H -n)" 2>/dev/null || true

# fetch DIR ARGUMENT...: all at once, the bodies into DIR.
fetch() {
    local dir=$1 status=0
    shift
    mkdir -p "$dir"
    "$thrum" fetch --stats -o "$dir" "$@" || status=$?
    echo "try: $(find "$dir" -type f | wc -l) pages in $dir" >&2
    return $status
}

if [ $# -gt 0 ]; then
    fetch "$here/thrum-pages" -c $# "$@"
    exit
fi

stop_origin() {
    if [ -s "$work/nginx.pid" ]; then
        kill "$(<"$work/nginx.pid")" 2>/dev/null || true
    fi
    rm -rf "$work"
}
work=$(mktemp -d)
trap stop_origin EXIT
trap 'exit 130' INT TERM
tools/demo-origin.sh "$work" 1000
echo "try: fetching 1,000 pages at once from $(sed -n '1s,/[^/]*$,,p' "$work/urls")" >&2
fetch "$work/pages" -c 1000 --cacert "$work/ca.pem" -i "$work/urls"
