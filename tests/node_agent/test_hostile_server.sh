#!/bin/bash
# A server that sends garbage, too much, too slowly or nothing harms nobody: the command ends in time, with one line, in little memory.
set -u
cd "$(dirname "$0")" && . ./tap.sh
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
printf 'correct horse battery\n' >"$work/pass"
"$BUILD/hdms-node" --home "$work/home" --passphrase-file "$work/pass" init >/dev/null
printf 'pair_timeout = 3s\nretry_initial = 100ms\nrequest_timeout = 1s\n' >"$work/home/config"
for mode in garbage truncated endless huge headers slow silent html wrong-json redirect; do
	rm -f "$work/uri"
	"$OUT/fake_server" $mode >"$work/uri" &
	server=$!
	eventually grep -qs uri "$work/uri"
	uri=$(sed -n 's/uri //p' "$work/uri")
	/usr/bin/env bash -c 'ulimit -v '"${LIMIT:-1000000}"'; exec timeout 30 "$@"' - "$BUILD/hdms-node" --home "$work/home" --passphrase-file "$work/pass" pair "$uri" >"$work/out" 2>"$work/err"
	status=$?
	ok $((status != 1 || $(wc -l <"$work/err") != 1)) "a server that is $mode: the pairing fails with one line, in time"
	[ $status = 1 ] || sed 's/^/# /' "$work/err"
	kill "$server"; wait "$server" 2>/dev/null
	server=
done
done_testing
