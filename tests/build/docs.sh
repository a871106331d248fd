#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# docs.sh SOURCE-DIR CC: what the documents say of the code can be true: their links lead somewhere, the public names in them
# exist, and their pieces of C compile, as they stand or as the body of a function.
set -euo pipefail
cd "$1"
cc=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

complain() {
    echo "$1: $2"
    bad=1
}

# What the pieces use of their reader's program.
cat >"$work/reader.h" <<'END'
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/thrum.h>
#include <unistd.h>
struct part {
    int n;
};
struct job {
    int n;
};
extern struct part left, right;
int fetch(void *arg), ask(void *arg), sum(void *arg);
void use(struct job *job);
END

# compiles FILE: says nothing if it does.
compiles() {
    "$cc" -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-unused -Iinclude -fsyntax-only -x c "$1" \
        2>"$work/errors"
}

# pieces DOCUMENT: each piece of C in a file of its own, $work/piece.1 and so on.
pieces() {
    rm -f "$work"/piece.*
    awk -v to="$work/piece." '/^```c$/ { n++; inside = 1; next } /^```/ { inside = 0 } inside { print >(to n) }' "$1"
}

# A piece may use what those before it in the document define.
check_pieces() {
    local piece before=$work/before.c
    cp "$work/reader.h" "$before"
    pieces "$1"
    for piece in $(printf '%s\n' "$work"/piece.* | sort -V); do
        [ -e "$piece" ] || continue
        checked=$((checked + 1))
        cat "$before" "$piece" >"$work/file.c"
        { cat "$before" && echo 'static inline void body(void) {' && cat "$piece" && echo '}'; } >"$work/body.c"
        if compiles "$work/file.c"; then
            cp "$work/file.c" "$before"
        elif ! compiles "$work/body.c"; then
            compiles "$work/file.c" || cat "$work/errors"
            complain "$1" "piece ${piece##*.} of C does not compile"
        fi
    done
}

check_links() {
    local link
    while read -r link; do
        [ -e "$(dirname "$1")/$link" ] || complain "$1" "leads nowhere: $link"
    done < <(grep -oE '\]\([^)#]+' "$1" | cut -c 3- | grep -vE '^(https?|mailto):' || true)
}

# Of the headers and the build; upper-case ones may be from the environment.
check_names() {
    local name
    while read -r name; do
        grep -qw -- "$name" "$work/headers" || complain "$1" "no such name: $name"
    done < <(grep -oE '\bthrum_[a-z0-9_]*[a-z0-9]\b' "$1" | sort -u || true)
}

cat include/thrum/*.h cmake/*.cmake >"$work/headers"
checked=0
documents=(*.md docs/*.md docs/decisions/*.md ./*/README.md)
for document in "${documents[@]}"; do
    check_pieces "$document"
    check_links "$document"
    check_names "$document"
done
echo "${#documents[@]} documents, $checked pieces of C"
[ "$checked" -gt 0 ] && [ "$bad" = 0 ]
