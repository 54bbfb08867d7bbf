#!/bin/bash
# TLS: a server is believed only with a certificate that the device's own authorities signed, for the name it is called by.
set -u
cd "$(dirname "$0")" && . ./tap.sh
if [ ! -x "$root/build/${SERVER_VARIANT:-plain}/hdms-server" ]; then
	echo "1..0 # skipped: hdms-server is not built"
	exit 0
fi
institution=
cleanup() {
	[ -z "$institution" ] || kill "$institution" 2>/dev/null
	sh "$root/tests/server/start_server.sh" stop "$work/server" >/dev/null 2>&1
	rm -rf "$work"
}
trap cleanup EXIT
printf 'correct horse battery\n' >"$work/pass"

# An authority and a certificate for 127.0.0.1 and for nothing else.
(
	cd "$work"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=Test -days 2 \
		-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=server
	printf 'subjectAltName=IP:127.0.0.1\n' >ext
	openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile ext
) >/dev/null 2>&1
printf 'public_url = https://127.0.0.1:0\ntls_certificate = %s\ntls_key = %s\n' "$work/server.pem" "$work/server.key" >"$work/tls.conf"
server_start "$work/server" "$work/tls.conf"
institution_start "$work/server" "$work/ca.pem"

home=
node() { "$BUILD/hdms-node" --home "$home" --passphrase-file "$work/pass" "$@"; }
try() { # what, further settings
	home=$work/$1
	node init >/dev/null
	printf 'pair_timeout = 4s\nretry_initial = 100ms\nretry_max = 1s\n%s\n' "$2" >"$home/config"
	invite
}

try unknown ""
node pair "$uri" >/dev/null 2>"$work/err"; ok $(($? != 1 || $(wc -l <"$work/err") != 1)) "a certificate of an unknown authority is refused"
grep -qi certificate "$work/err"; ok $? "and that is what the person is told"
try right "ca_file = $work/ca.pem"
node pair "$uri" >/dev/null; ok $? "a certificate of a known authority is accepted"
try name "ca_file = $work/ca.pem"
node pair "$(echo "$uri" | sed 's/127\.0\.0\.1/localhost/')" >/dev/null 2>"$work/err"; ok $(($? != 1)) "a certificate for another name is refused"
try plain ""
node pair "$(echo "$uri" | sed 's/https%3A%2F%2F127\.0\.0\.1/http%3A%2F%2Fhdms.example/')" >/dev/null 2>"$work/err"
ok $(($? != 1)) "a server by plain HTTP on another machine is refused"
grep -q "https" "$work/err"; ok $? "and the person is told why"
done_testing
