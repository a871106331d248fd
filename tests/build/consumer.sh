#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# consumer.sh BUILD-DIR CC CXX: installs a build, moves it, and builds and runs programs against what was installed:
# C by pkg-config, shared and static; C++ by find_package, shared, static and one layer alone.
set -euo pipefail
build=$1 cc=$2 cxx=$3
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step() { printf -- '-- %s\n' "$*"; }

step "install, then move: nothing may point back"
cmake --install "$build" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/prefix"
prefix=$work/prefix
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name thrum.pc)")
export PKG_CONFIG_PATH
LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
export LD_LIBRARY_PATH

step "libthrum.so exports thrum_ names and no others"
ours='^thrum_'
if grep -q '^THRUM_DEBUG_LOCKS:BOOL=ON$' "$build/CMakeCache.txt"; then # exec/heldlock.c stands before the C library
    ours='^(thrum_|pthread_mutex_|pthread_rwlock_|pthread_spin_|mtx_)'
fi
foreign=$(nm -D --defined-only "$LD_LIBRARY_PATH/libthrum.so" | awk -v ours="$ours" '$3 !~ ours { print $3 }')
[ -z "$foreign" ] || {
    printf 'exported: %s\n' "$foreign"
    exit 1
}

step "C by pkg-config, shared"
read -ra flags <<<"$(pkg-config --cflags --libs thrum)"
"$cc" -std=c17 -Wall -Wextra -Wpedantic -Werror "$here/consumer/consumer.c" "${flags[@]}" -o "$work/shared"
"$work/shared"

step "C by pkg-config, static"
read -ra flags <<<"$(pkg-config --static --cflags --libs thrum | sed 's/-lthrum /-l:libthrum.a /')"
"$cc" -std=c17 -Wall -Wextra -Wpedantic -Werror "$here/consumer/consumer.c" "${flags[@]}" -o "$work/static"
env -u LD_LIBRARY_PATH "$work/static"

step "C++ by find_package"
cmake -G Ninja -S "$here/consumer" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_COMPILER="$cxx" \
    >/dev/null
cmake --build "$work/cmake" >/dev/null
for program in with_thrum with_thrum_static with_exec; do
    "$work/cmake/$program"
done

step "the program"
env -u LD_LIBRARY_PATH "$prefix/bin/thrum" --version
