#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Install what scripts/packages.txt lists and this machine lacks. Asks nothing, is silent when
# nothing is missing, and never fails: without a package, tests that need it skip.
set -u
cd "$(dirname "$0")/.." || exit 1

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "packages: this is no Debian system; install what scripts/packages.txt lists by hand." >&2
    exit 0
fi

wanted=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' scripts/packages.txt)
list_missing() {
    local have
    # shellcheck disable=SC2086
    have=$(dpkg-query -W -f='${db:Status-Abbrev}${Package}\n' $wanted 2>/dev/null |
        sed -n 's/^ii //p')
    comm -23 <(sort -u <<<"$wanted") <(sort -u <<<"$have") | tr '\n' ' '
}

missing=$(list_missing)
[ -n "$missing" ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
        echo "packages: missing, and only root may install them (tests that need them skip):" \
            "$missing" >&2
        exit 0
    fi
    as_root=(sudo -n)
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    timeout 600 "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
        -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=120 \
        "$@" </dev/null >>"$log" 2>&1
}

echo "packages: installing $missing" >&2
apt update
# shellcheck disable=SC2086
if ! apt install --no-install-recommends $missing; then
    for package in $missing; do # one that cannot be had must not keep out the others
        apt install --no-install-recommends "$package"
    done
fi
missing=$(list_missing)
if [ -n "$missing" ]; then
    echo "packages: could not be installed (tests that need them skip): $missing" >&2
    grep -m1 '^E: ' "$log" >&2
fi
exit 0
