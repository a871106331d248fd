#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# tools/test.sh [ctest arguments]: installs what the tests need, builds, runs them.  Two examples:
#
#   tools/test.sh -R exec           tests whose name holds "exec"
#   THRUM_PRESET=tsan tools/test.sh -L stress
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${THRUM_PRESET:-dev}

parts=(build test)
case $preset in clang | fuzz) parts+=(check) ;; aarch64) parts+=(cross) ;; esac
tools/deps.sh "${parts[@]}"

cmake --preset "$preset" >build/configure.log 2>&1 || {
    cat build/configure.log >&2
    exit 1
}
cmake --build --preset "$preset"
exec ctest --preset "$preset" "$@"
