#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# listed.sh SOURCE-DIR: fails on a source file that no CMakeLists.txt names: it would be built by nobody, and a test in it
# never run.
set -euo pipefail
cd "$1"
bad=0

# named FILE LIST PATTERN: the list has a line that matches.
named() {
    grep -qE "$3" "$2" && return
    echo "$1 is not in $2"
    bad=1
}

for file in exec/*.c io/*.c dns/*.c tls/*.c http/*.c examples/*.c bench/*.c tools/*.c tools/*/*.c \
    tests/*/*.c tests/support/self/*.c; do
    base=$(basename "$file" .c)
    case $file in
    tests/support/*/*.c) named "$file" tests/CMakeLists.txt "thrum_add_test\(support ${base#test_} " ;;
    tests/support/*.c) named "$file" tests/CMakeLists.txt "support/$base\.c\b" ;;
    tests/fuzz/*.c) named "$file" tests/fuzz/CMakeLists.txt "\b${base#fuzz_}\b" ;;
    tests/*/*.c)
        layer=$(basename "$(dirname "$file")")
        named "$file" tests/CMakeLists.txt "thrum_add_test\($layer ${base#test_} "
        ;;
    tools/*/*.c) named "$file" tools/CMakeLists.txt "\b${file#tools/}" ;;
    examples/*.c) named "$file" examples/CMakeLists.txt "\b$base\b" ;;
    *) named "$file" "${file%%/*}/CMakeLists.txt" "\b$base\.c\b" ;;
    esac
done
exit $bad
