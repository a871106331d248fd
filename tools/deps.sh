#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs what thrum needs and does not have; the other scripts call it.  Safe to run again, and quick then.
#
#   tools/deps.sh [PART...]        parts: build (default), demo, test, check, cross
#
#   build  compiler, CMake, c-ares, zlib, mbedTLS        check  clang, its tools, cppcheck, shellcheck
#   demo   the HTTPS origin of tools/try.sh              cross  aarch64 compiler, emulator, cmocka
#   test   cmocka and the servers that tests start
#
# Packages come from the system's package manager.  Where the release's mbedTLS is older than 3.6 (Debian 12),
# the next release's is unpacked into $THRUM_PREFIX (build/prefix in the source tree if unset), which CMake
# looks at first; the system's own package state is not touched by that.
#
# THRUM_SKIP_DEPS=1 says that everything is there already (systems this script does not know).
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
prefix=${THRUM_PREFIX:-$root/build/prefix}
log=$root/build/deps.log
next_release=trixie # where Debian 12 takes mbedTLS from
parts=" ${*:-build} "

say() { printf 'deps: %s\n' "$*" >&2; }
die() {
    say "$@"
    exit 1
}
wants() { [[ $parts == *" $1 "* ]]; }

for part in $parts; do
    case $part in
    build | demo | test | check | cross) ;;
    *) die "unknown part '$part' (build, demo, test, check, cross)" ;;
    esac
done
[ "${THRUM_SKIP_DEPS:-0}" != 1 ] || exit 0

# ------------------------------------------------------------------ the system

os_field() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" /etc/os-release 2>/dev/null || true; }
system=$(os_field ID)-$(os_field VERSION_ID)
release=$(os_field VERSION_CODENAME)

unknown_system() {
    cat >&2 <<TEXT
deps: this script knows Debian 12 and 13, and this system is neither ($system).
Please install with the system's own package manager:
  to build   a C17 compiler, CMake >= 3.25, Ninja, pkg-config,
             c-ares >= 1.18, zlib, mbedTLS >= 3.6 with threading, all with headers
  the demo   nginx, openssl, CA certificates
  tests      cmocka >= 1.1.5, a C++ compiler, nginx, unbound, openssl, curl
  checks     clang with its sanitizer runtimes, clang-format, clang-tidy, cppcheck, shellcheck
  cross      an aarch64 compiler, qemu-user, cmocka for aarch64
and run this again with THRUM_SKIP_DEPS=1 in the environment.
TEXT
    exit 1
}

case $system in
debian-12) llvm=14 mbedtls=() ;;
debian-13) llvm=19 mbedtls=(libmbedtls-dev) ;;
*) unknown_system ;;
esac

# ------------------------------------------------------------------ packages

packages=(gcc libc6-dev cmake ninja-build pkg-config libc-ares-dev zlib1g-dev "${mbedtls[@]}")
wants demo && packages+=(nginx-light openssl ca-certificates)
wants test && packages+=(g++ libcmocka-dev nginx-light unbound openssl curl ca-certificates)
wants check && packages+=(clang "libclang-rt-$llvm-dev" clang-format clang-tidy cppcheck shellcheck)
wants cross && packages+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "not root and no sudo; as root, run: $*"
    fi
}

apt_system() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Use-Pty=0 "$@" </dev/null >"$log" 2>&1 && return
    tail -n 20 "$log" >&2
    die "apt-get $1 failed; all of its output is in $log"
}

# The packages of nginx and unbound start a daemon, now and at each boot.  Ours are started by whoever needs one.
policy=/usr/sbin/policy-rc.d
forbid_services() {
    [ -e $policy ] && return
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
    trap 'as_root rm -f $policy' EXIT
}

disable_services() {
    local service
    command -v systemctl >/dev/null || return 0
    for service in "$@"; do
        as_root systemctl --quiet disable "$service" 2>/dev/null || say "$service stays enabled at boot"
    done
}

install_missing() {
    local package missing=() services=()
    for package in $(printf '%s\n' "${packages[@]}" | sort -u); do
        is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    say "installing ${missing[*]}"
    for package in nginx unbound; do
        [[ " ${missing[*]} " != *" $package"* ]] || is_installed "$package" || services+=("$package")
    done
    [ ${#services[@]} = 0 ] || forbid_services
    apt_system update
    apt_system install -y --no-install-recommends "${missing[@]}"
    if [ ${#services[@]} -gt 0 ]; then
        disable_services "${services[@]}"
        as_root rm -f $policy
        trap - EXIT
    fi
}

# ------------------------------------------------------------------ private prefixes

# Where the machine itself gets its release from: "URI" of the main archive, whatever the format of its sources.
archive_uri() {
    # shellcheck disable=SC2016 # apt-get fills these in
    apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk -v codename="$release" '$1 == "Debian" && $2 == codename && $3 == "main" { print $4; exit }'
}

# unpack_packages DIR ARCH SUITE NAME-PATTERN PACKAGE: unpacks the package and those of its dependencies whose name
# fits the pattern into DIR.  All state of apt is DIR's own; signatures are checked with the system's keyring.
unpack_packages() {
    local dir=$1 arch=$2 suite=$3 pattern=$4 package=$5 work uri names deb
    [ ! -e "$dir/complete" ] || return 0

    uri=$(archive_uri)
    if [ -z "$uri" ]; then # no index yet, as on a fresh machine
        apt_system update
        uri=$(archive_uri)
    fi
    [ -n "$uri" ] || die "apt has no source of Debian's main archive, and $package ($suite) comes from there"

    say "unpacking $package ($suite, $arch) into $dir"
    work=$dir.work
    rm -rf "$work" "$dir"
    mkdir -p "$work"/state/lists/partial "$work"/cache/archives/partial "$work"/debs "$work"/root
    : >"$work/status"
    echo "deb [arch=$arch signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" \
        >"$work/sources.list"
    cat >"$work/apt.conf" <<CONF
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Architecture "$arch";
#clear APT::Architectures;
APT::Sandbox::User "";
Acquire::Languages "none";
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$work/state";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
CONF
    apt-get -qq -c "$work/apt.conf" update || die "the archive at $uri has no suite $suite"
    names=$(apt-cache -c "$work/apt.conf" depends --recurse --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances "$package" | grep -E "^$pattern" | sort -u)
    # shellcheck disable=SC2086 # one word a package
    (cd "$work/debs" && apt-get -qq -c "$work/apt.conf" download $names) || die "cannot download $names"
    for deb in "$work"/debs/*.deb; do
        dpkg-deb -x "$deb" "$work/root"
    done
    (cd "$work/debs" && ls) >"$work/root/complete"
    mv "$work/root" "$dir"
    rm -rf "$work"
}

# ------------------------------------------------------------------ all of it

mkdir -p "$root/build"
exec 9>"$root/build/.deps.lock" # two runs at once: the second finds everything done
flock 9
install_missing
if [ ${#mbedtls[@]} = 0 ]; then
    unpack_packages "$prefix" "$(dpkg --print-architecture)" $next_release libmbed libmbedtls-dev
fi
if wants cross; then
    unpack_packages "$prefix-arm64" arm64 "$release" libcmocka libcmocka-dev
fi
