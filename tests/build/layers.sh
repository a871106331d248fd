#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# layers.sh [SOURCE-DIR]: fails on an include that points up or sideways, on a public header that includes a private
# one, and on <stdatomic.h> outside exec/atomic.h in exec and io.  Without SOURCE-DIR it tests itself.
set -euo pipefail

# Each layer, and what its files may include beside their own.
declare -A below=(
    [exec]=""
    [io]="exec"
    [dns]="exec io"
    [tls]="exec io"
    [http]="exec io dns tls"
    [tools]="exec io dns tls http"
)

sources() { find "$@" -name '*.[chS]' -type f 2>/dev/null || true; }

# includes FILE...: "file:line:directory" of each include of a file that lies in a directory of this tree
includes() {
    local dirs='exec|io|dns|tls|http|tools|tests|support|bench|examples'
    grep -HnoE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($dirs)/" "$@" /dev/null |
        sed -E 's/^([^:]*:[0-9]+):.*[<"]([a-z]+)\/$/\1:\2/' || true
}

check() {
    local layer file line target bad=0
    local -a files
    cd "$1"
    for layer in "${!below[@]}"; do
        mapfile -t files < <(sources "$layer")
        while IFS=: read -r file line target; do
            [[ " $layer ${below[$layer]} " == *" $target "* ]] && continue
            echo "$file:$line: $layer may not include \"$target/...\""
            bad=1
        done < <(includes "${files[@]}")
    done

    while IFS=: read -r file line target; do
        echo "$file:$line: a public header includes \"$target/...\""
        bad=1
    done < <(mapfile -t files < <(sources include) && includes "${files[@]}")

    mapfile -t files < <(sources exec io | grep -vx exec/atomic.h)
    if grep -Hn 'stdatomic\.h' "${files[@]}" /dev/null; then
        echo "exec and io use atomics through exec/atomic.h alone"
        bad=1
    fi
    return $bad
}

# refuses FILE TEXT: a tree with that one file is found bad.
refuses() {
    local tree
    tree=$(mktemp -d)
    mkdir -p "$tree/$(dirname "$1")"
    printf '%s\n' "$2" >"$tree/$1"
    if (check "$tree" >/dev/null); then
        echo "layers.sh lets pass: $2 in $1"
        failed=1
    fi
    rm -rf "$tree"
}

if [ $# -gt 0 ]; then
    check "$1"
    exit
fi
failed=0
refuses exec/task.c '#include "io/loop.h"'
refuses io/loop.c '#include "tls/conn.h"'
refuses tls/conn.c '  # include "dns/cache.h"'
refuses dns/cache.h '#include "tls/conn.h"'
refuses http/client.c '#include "tools/common/out.h"'
refuses http/client.c '#include <tools/common/out.h>'
refuses http/client.c '#include "tests/support/util.h"'
refuses include/thrum/http.h '#include "http/client.h"'
refuses exec/task.c '#include <stdatomic.h>'
refuses io/loop.h '#include <stdatomic.h>'
exit $failed
