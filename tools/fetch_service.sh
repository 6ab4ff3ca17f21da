#!/usr/bin/env bash
# Prints the path of a service's program that runs here, fetching Debian's package when there is none. For CI and for developers:
#   export PGCHARTER_PGBOUNCER="$(bash tools/fetch_service.sh pgbouncer)"
#   export PGCHARTER_MEMCACHED="$(bash tools/fetch_service.sh memcached)"
#   export PGCHARTER_REDIS="$(bash tools/fetch_service.sh redis-server)"
#   export PGCHARTER_NATS="$(bash tools/fetch_service.sh nats-server)"
#   export PGCHARTER_CLICKHOUSE="$(bash tools/fetch_service.sh clickhouse-server)"
#   export PGCHARTER_PGBACKREST="$(bash tools/fetch_service.sh pgbackrest)"
#   export PGCHARTER_PROMTOOL="$(bash tools/fetch_service.sh promtool)"
#   export PGCHARTER_PROMETHEUS="$(bash tools/fetch_service.sh prometheus)"
# Needs no rights and installs nothing: the package, with the libraries that a bare system lacks, is fetched and unpacked into
# ${XDG_CACHE_HOME:-~/.cache}/pgcharter/debian-NAME (as root: /var/cache/pgcharter/...); no service is started.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }
runs() { # whether it can be started, whatever it thinks of the question: without its libraries it ends in 127
    local code=0
    [ -x "$1" ] && { "$1" $asks > /dev/null 2>&1 || code=$?; } && [ "$code" -lt 126 ]
}

name="${1:-}"
case "$name" in
    pgbouncer) asks=--version packages="pgbouncer libevent-2.1-7 libc-ares2" variable=PGCHARTER_PGBOUNCER ;;
    memcached) asks=-V packages="memcached libevent-2.1-7 libsasl2-2" variable=PGCHARTER_MEMCACHED ;;
    redis-server) asks=--version packages="redis-server redis-tools libatomic1 libjemalloc2 liblzf1" variable=PGCHARTER_REDIS ;;
    nats-server) asks=--version packages=nats-server variable=PGCHARTER_NATS ;;
    clickhouse-server) asks=--help packages="" variable=PGCHARTER_CLICKHOUSE ;;
    pgbackrest) asks=version packages="pgbackrest libpq5 libbz2-1.0 liblz4-1 libssl3 libxml2 libzstd1 libicu72 libldap-2.5-0 libgssapi-krb5-2"
        variable=PGCHARTER_PGBACKREST ;;
    promtool | prometheus) asks=--version packages=prometheus variable="PGCHARTER_${name^^}" ;;
    *) say "usage: bash tools/fetch_service.sh pgbouncer|memcached|redis-server|nats-server|clickhouse-server|pgbackrest|promtool|prometheus"; exit 2 ;;
esac
for program in "$(command -v "$name" || true)" "/usr/bin/$name" "/usr/sbin/$name"; do
    if [ -n "$program" ] && runs "$program"; then echo "$program"; exit 0; fi
done
if [ "$(id -u)" = 0 ]; then home=/var/cache/pgcharter; else home="${XDG_CACHE_HOME:-$HOME/.cache}/pgcharter"; fi
target="$home/debian-$name"
program="$target/start"
if runs "$program"; then echo "$program"; exit 0; fi

for needed in apt-get dpkg-deb; do
    command -v "$needed" > /dev/null || { say "no $needed here: install $name and set $variable to its path"; exit 3; }
done
mkdir -p "$home"
chmod 755 "$home"
partial="$(mktemp -d "$home/.partial-XXXXXX")"
trap 'rm -rf "$partial"' EXIT
cd "$partial"
download() { # what is listed above, or with an empty list everything that a package needs and this system has not
    [ -n "$packages" ] || packages="$(apt-get -s install --no-install-recommends "$name" | awk '/^Inst/ { print $2 }')"
    # shellcheck disable=SC2086 # one word a package
    [ -n "$packages" ] && apt-get download $packages >&2
}
say "fetching $name into $target (once)"
if ! download; then
    if [ "$(id -u)" != 0 ] || ! { apt-get update -qq >&2 && download; }; then
        say "apt does not offer $name: install it from elsewhere and set $variable to its path"
        exit 3
    fi
fi
mkdir root
for package in *.deb; do dpkg-deb -x "$package" root; done
binary="$(cd root && find usr -path "*bin/$name")"
cat > root/start <<START
#!/bin/sh
# $name with the libraries that lie beside it.
here="\$(dirname "\$(readlink -f "\$0")")"
libraries="\$(echo "\$here"/usr/lib/*-linux-gnu*):\$(echo "\$here"/lib/*-linux-gnu*)"
export LD_LIBRARY_PATH="\$libraries\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
exec "\$here/$binary" "\$@"
START
chmod 755 root/start
chmod -R a+rX root
if ! runs root/start; then
    say "$name was fetched and does not run here: $(root/start $asks 2>&1 | head -1)"
    exit 3
fi
mv -T root "$target" 2> /dev/null || runs "$program"
echo "$program"
