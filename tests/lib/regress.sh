#!/bin/bash
# Runs pg_regress (sql/, expected/) in a temporary cluster of the copied PostgreSQL tree.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
bin=$("$top/tests/lib/pgtree.sh")
as_postgres=()
work=$(mktemp -d)
if [ "$(id -u)" -eq 0 ]; then
	as_postgres=(setpriv --reuid postgres --regid postgres --init-groups)
	chown postgres "$work"
fi
cd "$work"
trap '"${as_postgres[@]}" "$bin/pg_ctl" -D "$work/data" -m immediate -s stop >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
"${as_postgres[@]}" "$bin/initdb" -D "$work/data" -A trust -U postgres --no-sync -E UTF8 --locale=C.UTF-8 >/dev/null
"${as_postgres[@]}" "$bin/pg_ctl" -D "$work/data" -l "$work/log" -w -s \
	-o "-c listen_addresses='' -c unix_socket_directories='$work' -c port=5432" start
regress=$(find "${bin%/bin}" -name pg_regress -type f | head -n 1)
tests=$(cd "$top/sql" && ls *.sql | sed 's/\.sql$//')
mkdir "$work/out"
cp -r "$top/sql" "$top/expected" "$work/"
[ ! -d "$top/tests/data" ] || { mkdir "$work/tests" && cp -r "$top/tests/data" "$work/tests/"; }
[ ${#as_postgres[@]} -eq 0 ] || chown -R postgres "$work/out" "$work/sql" "$work/expected"
"${as_postgres[@]}" "$regress" --inputdir="$work" --outputdir="$work/out" --bindir="$bin" --host="$work" --port=5432 --user=postgres \
	--dbname=regression --encoding=UTF8 $tests || {
	cat "$work/out/regression.diffs"
	exit 1
}
