#!/usr/bin/env bash
# Prints the path of a Memcached that runs here, fetching Debian's package when there is none. For CI and for developers:
#   export PGCHARTER_MEMCACHED="$(bash tools/fetch_memcached.sh)"
# Needs no rights and installs nothing: the package, with the libraries that a bare system lacks, is fetched and unpacked into
# ${XDG_CACHE_HOME:-~/.cache}/pgcharter/debian-memcached-with-libraries (as root: /var/cache/pgcharter/...); no service is started.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }
runs() { [ -x "$1" ] && "$1" -V > /dev/null 2>&1; }

for program in "$(command -v memcached || true)" /usr/bin/memcached; do
    if [ -n "$program" ] && runs "$program"; then echo "$program"; exit 0; fi
done
if [ "$(id -u)" = 0 ]; then home=/var/cache/pgcharter; else home="${XDG_CACHE_HOME:-$HOME/.cache}/pgcharter"; fi
target="$home/debian-memcached-with-libraries"
program="$target/memcached"
if runs "$program"; then echo "$program"; exit 0; fi

for needed in apt-get dpkg-deb; do
    command -v "$needed" > /dev/null || { say "no $needed here: install Memcached and set PGCHARTER_MEMCACHED to its path"; exit 3; }
done
mkdir -p "$home"
chmod 755 "$home"
partial="$(mktemp -d "$home/.partial-XXXXXX")"
trap 'rm -rf "$partial"' EXIT
cd "$partial"
packages="memcached libevent-2.1-7 libsasl2-2"
say "fetching $packages into $target (once)"
# shellcheck disable=SC2086 # one word a package
if ! apt-get download $packages >&2; then
    if [ "$(id -u)" != 0 ] || ! { apt-get update -qq >&2 && apt-get download $packages >&2; }; then
        say "apt does not offer $packages: install Memcached from elsewhere and set PGCHARTER_MEMCACHED to its path"
        exit 3
    fi
fi
mkdir root
for package in *.deb; do dpkg-deb -x "$package" root; done
cat > root/memcached <<'START'
#!/bin/sh
# Memcached with the libraries that lie beside it.
here="$(dirname "$(readlink -f "$0")")"
libraries="$(echo "$here"/usr/lib/*-linux-gnu*)"
LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$here/usr/bin/memcached" "$@"
START
chmod 755 root/memcached
chmod -R a+rX root
if ! runs root/memcached; then
    say "Memcached was fetched and does not run here: $(root/memcached -V 2>&1 | head -1)"
    exit 3
fi
mv -T root "$target" 2> /dev/null || runs "$program"
echo "$program"
