#!/usr/bin/env bash
# Prints the bin folder of a PostgreSQL 15 that runs here, fetching Debian's package when there is none. For CI and for developers:
#   export PGCHARTER_PG_BIN="$(bash tools/fetch_postgresql_15.sh)"
# With it come the extensions plpgsql_check, pgaudit, hypopg, pg_partman and pg_repack, which tests of stored code, of the audit, of index advice,
# of partitions and of upkeep need; a PostgreSQL 15 of the system that lacks one is passed over, unless there is nothing else.
# Needs no rights: the packages (as root also the libraries they lack) are fetched and unpacked into
# ${XDG_CACHE_HOME:-~/.cache}/pgcharter/debian-postgresql-15-operated (as root: /var/cache/pgcharter/...); no server is installed.
# Debian 12 carries version 15; elsewhere point PGCHARTER_PG_BIN to your own.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }
runs() { [ -x "$1/postgres" ] && "$1/postgres" --version 2>/dev/null | grep -q ' 15\.'; }
has() { [ -e "$1/../../../share/postgresql/15/extension/$2.control" ] || [ -e "$1/../share/extension/$2.control" ]; }
extended() { for extension in plpgsql_check pgaudit hypopg pg_partman pg_repack; do has "$1" $extension || return 1; done; }

system=""
for bin in /usr/lib/postgresql/15/bin /usr/pgsql-15/bin; do
    if runs "$bin" && extended "$bin"; then echo "$bin"; exit 0; fi
    if [ -z "$system" ] && runs "$bin"; then system="$bin"; fi
done
unextended() {
    [ -n "$system" ] || exit 3
    say "$1; $system lacks an extension of plpgsql_check, pgaudit, hypopg, pg_partman, pg_repack"
    echo "$system"
    exit 0
}

if [ "$(id -u)" = 0 ]; then home=/var/cache/pgcharter; else home="${XDG_CACHE_HOME:-$HOME/.cache}/pgcharter"; fi
target="$home/debian-postgresql-15-operated"
bin="$target/usr/lib/postgresql/15/bin"
if runs "$bin"; then echo "$bin"; exit 0; fi

for program in apt-get dpkg-deb; do
    command -v "$program" > /dev/null || unextended "no $program here: install PostgreSQL 15 and set PGCHARTER_PG_BIN to its bin folder"
done
mkdir -p "$home"
chmod 755 "$home"
partial="$(mktemp -d "$home/.partial-XXXXXX")"
trap 'rm -rf "$partial"' EXIT
cd "$partial"
packages="postgresql-15 postgresql-client-15 postgresql-15-plpgsql-check postgresql-15-pgaudit"
packages="$packages postgresql-15-hypopg postgresql-15-partman postgresql-15-repack"
say "fetching $packages into $target (once)"
# shellcheck disable=SC2086 # one word a package
if ! apt-get download $packages >&2; then
    if [ "$(id -u)" != 0 ] || ! { apt-get update -qq >&2 && apt-get download $packages >&2; }; then
        unextended "apt does not offer $packages: install PostgreSQL 15 from elsewhere and set PGCHARTER_PG_BIN to its bin folder"
    fi
fi
mkdir root
for package in *.deb; do dpkg-deb -x "$package" root; done
libraries="libpq5 libicu72 libxml2 libxslt1.1 libldap-2.5-0 libssl3 liblz4-1 libzstd1 libgssapi-krb5-2 libsystemd0 libreadline8"
missing() { ldd root/usr/lib/postgresql/15/bin/postgres root/usr/lib/postgresql/15/bin/psql | awk '/not found/ {print $1}' | sort -u | tr '\n' ' '; }
if [ -n "$(missing)" ] && [ "$(id -u)" = 0 ]; then
    # shellcheck disable=SC2086 # one word a package
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $libraries >&2 || true
fi
if [ -n "$(missing)" ]; then
    say "PostgreSQL 15 was fetched but lacks shared libraries: $(missing)"
    unextended "remedy, as root: apt-get install -y $libraries"
fi
chmod -R a+rX root
mv -T root "$target" 2> /dev/null || runs "$bin"
echo "$bin"
