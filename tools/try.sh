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
    cmake --preset release -DTHRUM_TESTS=OFF && cmake --build --preset release --target thrum_program
} >build/try.log 2>&1 || {
    tail -n 40 build/try.log >&2
    exit 1
}
thrum=$PWD/build/release/tools/thrum

# A thousand connections are more descriptors than the usual soft limit allows.
ulimit -S -n "$(ulimit -H -n)" 2>/dev/null || true

if [ $# -gt 0 ]; then
    mkdir -p "$here/thrum-pages"
    status=0
    "$thrum" fetch --stats -c $# -o "$here/thrum-pages" "$@" || status=$?
    echo "try: the pages are in $here/thrum-pages" >&2
    exit $status
fi

stop_origin() {
    if [ -s "$work/nginx.pid" ]; then
        kill "$(<"$work/nginx.pid")" 2>/dev/null || true
    fi
    rm -rf "$work"
}
sums() { find "$1" -type f -exec sha256sum {} + | cut -c 1-64 | sort; }

work=$(mktemp -d)
trap stop_origin EXIT
trap 'exit 130' INT TERM
tools/demo-origin.sh "$work" 1000
echo "try: fetching 1,000 pages at once from $(sed -n '1s,/[^/]*$,,p' "$work/urls")" >&2
mkdir "$work/pages"
"$thrum" fetch --stats -c 1000 --cacert "$work/ca.pem" -i "$work/urls" -o "$work/pages"
cmp <(sums "$work/root") <(sums "$work/pages") || {
    echo "try: what was fetched is not what the origin has" >&2
    exit 1
}
echo "try: every page is, byte for byte, the origin's" >&2
