#!/bin/bash
# hdms-node against a real server and a simulated institution: what a person types, and what may happen to the service.
set -u
cd "$(dirname "$0")" && . ./tap.sh
if [ ! -x "$root/build/${SERVER_VARIANT:-plain}/hdms-server" ]; then
	echo "1..0 # skipped: hdms-server is not built"
	exit 0
fi
service=
institution=
cleanup() {
	[ -z "$service" ] || kill -9 "$service" 2>/dev/null
	[ -z "$institution" ] || kill "$institution" 2>/dev/null
	sh "$root/tests/server/start_server.sh" stop "$work/server" >/dev/null 2>&1
	rm -rf "$work"
}
trap cleanup EXIT

home=$work/home
printf 'correct horse battery\n' >"$work/pass"
node() { "$BUILD/hdms-node" --home "$home" "$@"; }
node_alone() { node --passphrase-file "$work/pass" "$@"; }
service_start() {
	"$BUILD/hdms-node" --home "$home" --passphrase-file "$work/pass" run 2>>"$work/service.log" &
	service=$!
	eventually node status
}
count_of() { node --json records --all | tr '{' '\n' | grep -c "\"status\":\"$1\""; }
has() { [ "$(count_of "$1")" -ge "$2" ]; }

server_start "$work/server"
institution_start "$work/server"

# --- commands ---

node frobnicate >/dev/null 2>"$work/err"; ok $(($? != 2)) "an unknown command is a usage error"
node reject 1 >/dev/null 2>"$work/err"; ok $(($? != 2)) "a rejection without a reason is a usage error"
node_alone inbox >/dev/null 2>"$work/err"; ok $(($? != 1 || $(wc -l <"$work/err") != 1)) "without a home a command fails with one line"
node_alone init --json --seed-file "$work/seed" >"$work/out" 2>&1; ok $? "init makes a home"
[ "$(stat -c %a "$work/seed")" = 600 ] && [ "$(wc -w <"$work/seed")" = 24 ]; ok $? "the recovery seed is in a file for its owner alone"
grep -q "$(cut -c1-20 "$work/seed")" "$work/out"; ok $(($? == 0)) "the seed is not printed"
printf 'wrong horse battery\n' >"$work/wrong"
node --passphrase-file "$work/wrong" inbox >/dev/null 2>"$work/err"; ok $(($? != 1 || $(wc -l <"$work/err") != 1)) "a wrong passphrase is refused with one line"

printf 'notary_patience = 400ms\nresend_initial = 2s\nretry_initial = 50ms\nretry_max = 1s\npoll_wait = 5s\npair_timeout = 20s\n' >"$home/config"
node_alone pair "hdms:pair?v=1" >/dev/null 2>"$work/err"; ok $(($? != 2)) "a broken pairing code is a usage error"
invite; ok $? "the institution invites"
echo "$uri" | node_alone pair - >"$work/out" 2>"$work/err"; ok $? "pairing works without the service"
service_start; ok $? "the service runs"
node_alone kit --out "$work/kit"; ok $? "the kit is written beside the service, for the passphrase"
[ "$(stat -c %a "$work/kit")" = 600 ] && [ "$(grep -oE '[0-9]+\. [a-z]+' "$work/kit" | sed 's/.*\. //' | xargs)" = "$(cat "$work/seed")" ] && grep -q "^network   $(echo "$uri" | sed -n 's/.*network=\([^&]*\).*/\1/p')" "$work/kit"
ok $? "it has the words, and the network of the pairing code"
node_alone kit --qr | grep -q "▀"; ok $? "and a picture for a camera"
[ "$(stat -c %a "$home/socket")" = 600 ]; ok $? "its socket is for its owner alone"
node_alone run >/dev/null 2>"$work/err"; ok $(($? != 1)) "a second service is refused"

say issue 2; hear issued
eventually has asked 2; ok $? "records wait for the person, and commands go through the service without a passphrase"
node inbox | grep -q "Blood pressure"; ok $? "the inbox shows what they are"
node accept 1; ok $? "one is accepted"
node reject 2 --reason "not mine"; ok $? "one is rejected"
node accept 2 2>/dev/null; ok $(($? != 1)) "a decision is final"
say committed 1; hear committed; ok $? "the institution commits the one"
say rejected 1; hear rejected; ok $? "and knows the other's rejection"
eventually has final 1; ok $? "the accepted one is final on the device"
node verify 1 >"$work/out"; ok $? "it verifies"
node --json show 1 | grep -q '"value":7.10'; ok $? "its content keeps its digits"
node export 1 --out "$work/evidence.json"; ok $? "its evidence is exported"
node policy 1 accept >/dev/null; ok $? "the policy is set"
say issue 1; say committed 2; hear committed; ok $? "what comes now is accepted without asking"
say amend; say committed 4; hear committed
eventually has superseded 2; ok $? "an amended version takes the place of the one before"

# --- a notary that says nothing ---

say mute 1; say issue 1; hear issued
eventually has notarising 1
say mute 0; say committed 5; hear committed; ok $? "a silent notary is got over"

# --- killed, again and again ---

say resend
say issue 40; hear issued
for i in $(seq 1 12); do
	read -rt 0.0$((RANDOM % 9 + 1)) <&9
	kill -9 "$service"; wait "$service" 2>/dev/null
	service_start
done
# Two kills may have met the same message: then it was put aside, which is for the person to see and to undo.
calm() { node --json status | grep -q '"inbox":0'; }
eventually calm; node retry >/dev/null
say committed 45; hear committed; ok $? "after twelve kills every record is committed"
eventually has final 43; ok $? "and final on the device"
eventually bash -c "'$BUILD/hdms-node' --home '$home' --json status | grep -q '\"outbox\":0,\"inbox\":0,\"quarantined\":0'"; ok $? "nothing is left over and nothing was put aside"

# --- the server restarts, and forgets ---

port=${HDMS_URL##*:}
kill "$HDMS_SERVER_PID"; eventually bash -c "! kill -0 $HDMS_SERVER_PID"
tables=$(psql -XAtq "$HDMS_DATABASE" -c "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename ~ 'node|mailbox|envelope|session|voucher|notar'")
psql -Xq "$HDMS_DATABASE" -c "TRUNCATE $tables CASCADE" 2>"$work/err"
sed -e "s/^listen *=.*/listen = 127.0.0.1:$port/" -e "s/^public_url *=.*/public_url = http:\/\/127.0.0.1:$port/" "$HDMS_CONFIG" >"$work/server/again.conf"
"$HDMS_SERVER" --config "$work/server/again.conf" serve >>"$HDMS_LOG" 2>&1 &
echo $! >"$work/server/server.pid"
eventually curl -sf "$HDMS_URL/healthz"
say register; say issue 1; hear issued
eventually grep -q "registered again" "$work/service.log"; ok $? "a server that lost everything is registered with again by the membership"
say resend
say committed 46; hear committed; ok $? "and records go on"

kill "$service"; wait "$service"; ok $? "the service ends when it is told to"
service=
grep -qE "7\.10|Blood|correct horse|$(cut -c1-20 "$work/seed")" "$work/service.log"; ok $(($? == 0)) "its log says nothing about health, and no secret"
node_alone verify 1 >/dev/null; ok $? "without the service the passphrase opens the home"

# --- clocks, RSA, false fingerprints ---

invite; "$OUT/fake_clock" "$work/ahead" 7200 "$uri" | grep -q '"clock_offset_seconds":-7[12]'; ok $? "a clock two hours ahead is corrected by the server's"
invite; "$OUT/fake_clock" "$work/behind" -90000 "$uri" >/dev/null; ok $? "a clock a day behind as well"
home=$work/rsa
node_alone init --suite rsa >/dev/null && printf 'policy = accept\n' >"$home/config"
invite; node_alone pair "$uri" >/dev/null; ok $? "a node with RSA keys pairs"
say issue 1
service_start; say committed 47; hear committed; ok $? "and stores records"
kill "$service"; wait "$service"; service=
home=$work/false
node_alone init >/dev/null
invite; node_alone pair "$(echo "$uri" | sed 's/network=..../network=AAAA/')" >/dev/null 2>"$work/err"
ok $(($? != 1)) "a server of another network than the code's is refused"
grep -q "network is not the one" "$work/err"; ok $? "and the person is told why"
invite; node_alone pair "$(echo "$uri" | sed 's/secret=......../secret=AAAAAAAA/')" >/dev/null 2>"$work/err"
ok $(($? != 1)) "a wrong secret is refused by the institution"
done_testing
