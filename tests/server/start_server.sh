#!/bin/sh
# Starts a throw-away PostgreSQL and an hdms-server over it, on free ports, and stops them again.
#
#   start_server.sh start DIR [FILE]    DIR is made; FILE has further lines of configuration, which win over the usual ones
#   start_server.sh stop DIR            stops both and removes DIR
#
# start prints lines for eval: HDMS_URL, HDMS_FINGERPRINT, HDMS_CONFIG, HDMS_SERVER (the program), HDMS_SERVER_PID, HDMS_METRICS_URL,
# HDMS_DATABASE (connection string), HDMS_LOG. The program is build/$VARIANT/hdms-server; VARIANT is plain unless set.
# PostgreSQL refuses to run as root; then it runs as the user postgres.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
program=${HDMS_SERVER:-$root/build/${VARIANT:-plain}/hdms-server}
pg_bin=$(pg_config --bindir)

as_postgres() {
	if [ "$(id -u)" = 0 ]; then
		runuser -u postgres -- "$@"
	else
		"$@"
	fi
}

wait_for_file() {
	for _ in $(seq 1 300); do
		[ -s "$1" ] && return 0
		kill -0 "$2" 2>/dev/null || break
		sleep 0.1
	done
	echo "start_server.sh: the server did not start; its log:" >&2
	cat "$dir/server.log" >&2
	return 1
}

start() {
	dir=$1
	extra=${2:-}
	[ ! -e "$dir" ] || { echo "start_server.sh: \"$dir\" exists" >&2; exit 2; }
	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd)
	chmod 755 "$dir"
	mkdir "$dir/postgres"
	if [ "$(id -u)" = 0 ]; then
		chown postgres "$dir/postgres"
	fi
	(
		cd "$dir/postgres"
		as_postgres "$pg_bin/initdb" -D "$dir/postgres/data" -U postgres -A trust -E UTF8 --no-locale --no-sync >"$dir/initdb.log" 2>&1
		as_postgres sh -c "cat >>'$dir/postgres/data/postgresql.conf'" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir/postgres'
max_connections = 60
fsync = off
log_min_messages = warning
CONF
		as_postgres "$pg_bin/pg_ctl" -D "$dir/postgres/data" -l "$dir/postgres/log" -w start >/dev/null
	) || { cat "$dir/initdb.log" "$dir/postgres/log" >&2 || true; exit 1; }
	database="host=$dir/postgres user=postgres dbname=hdms"
	"$pg_bin/createdb" -h "$dir/postgres" -U postgres hdms
	{
		[ -z "$extra" ] || cat "$extra"
		while read -r key rest; do
			[ -n "$extra" ] && grep -q "^ *$key *=" "$extra" || echo "$key $rest"
		done <<CONF
name = test
database = $database
public_url = http://127.0.0.1:0
listen = 127.0.0.1:0
metrics_listen = 127.0.0.1:0
port_file = $dir/port
network_key_file = $dir/network.jwk
connections_per_address = 0
registrations_per_minute = 100000
CONF
	} >"$dir/server.conf"
	fingerprint=$("$program" --config "$dir/server.conf" init 2>"$dir/init.log") || { cat "$dir/init.log" >&2; exit 1; }
	"$program" --config "$dir/server.conf" serve >"$dir/server.log" 2>&1 </dev/null &
	pid=$!
	echo "$pid" >"$dir/server.pid"
	wait_for_file "$dir/port" "$pid"
	port=$(sed -n 1p "$dir/port")
	scheme=http
	if grep -q '^ *tls_certificate' "$dir/server.conf"; then scheme=https; fi
	for _ in $(seq 1 300); do
		curl -sfk -o /dev/null "$scheme://127.0.0.1:$port/healthz" && break
		sleep 0.1
	done
	echo "HDMS_URL='$scheme://127.0.0.1:$port'"
	echo "HDMS_METRICS_URL='http://127.0.0.1:$(sed -n 2p "$dir/port")/metrics'"
	echo "HDMS_FINGERPRINT='$fingerprint'"
	echo "HDMS_CONFIG='$dir/server.conf'"
	echo "HDMS_SERVER='$program'"
	echo "HDMS_SERVER_PID='$pid'"
	echo "HDMS_DATABASE='$database'"
	echo "HDMS_LOG='$dir/server.log'"
}

stop() {
	dir=$1
	if [ -f "$dir/server.pid" ]; then
		pid=$(cat "$dir/server.pid")
		kill "$pid" 2>/dev/null || true
		for _ in $(seq 1 100); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
	fi
	if [ -d "$dir/postgres/data" ]; then
		(cd "$dir/postgres" && as_postgres "$pg_bin/pg_ctl" -D "$dir/postgres/data" -m immediate -w stop >/dev/null 2>&1) || true
	fi
	rm -rf "$dir"
}

case "${1:-}" in
	start) [ $# -ge 2 ] || exit 2; shift; start "$@" ;;
	stop) [ $# -eq 2 ] || exit 2; stop "$2" ;;
	*) sed -n '2,10p' "$0" >&2; exit 2 ;;
esac
