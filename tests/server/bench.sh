#!/bin/sh
# Measures the server: requests a second with sessions, and memory for each waiting request. Asserts nothing.
# Usage: bench.sh [SECONDS [CONNECTIONS [WAITERS]]]; VARIANT is plain unless set.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$here/../.." && pwd)/build/${VARIANT:-plain}
client=$build/tests/server/hdms-test-client
load=$build/tests/server/hdms-load
seconds=${1:-5}
connections=${2:-32}
waiters=${3:-8000}
dir=$(mktemp -d)
trap '"$here/start_server.sh" stop "$dir/run"; rm -rf "$dir"' EXIT
chmod 755 "$dir"

cat >"$dir/extra" <<CONF
rate_per_second = 1000000
rate_burst = 10000000
institution_rate_per_second = 1000000
institution_rate_burst = 10000000
mailbox_bytes = 10G
mailbox_envelopes = 1000000
connections = 17000
CONF
eval "$("$here/start_server.sh" start "$dir/run" "$dir/extra")"
rss() { awk '/^VmRSS/ {print $2}' "/proc/$HDMS_SERVER_PID/status"; }

"$client" new "$dir/h" institution Hospital >"$dir/id"
"$client" registration "$dir/h" | "$client" request "$dir/h" "$HDMS_URL" POST /v1/nodes body=- >/dev/null
"$HDMS_SERVER" --config "$HDMS_CONFIG" admit "$(cat "$dir/id")" >/dev/null
for node in p w; do
	"$client" new "$dir/$node" person >/dev/null
	"$client" registration "$dir/$node" voucher="$("$client" voucher "$dir/h")" | "$client" request "$dir/$node" "$HDMS_URL" POST /v1/nodes body=- >/dev/null
	"$client" session "$dir/$node" "$HDMS_URL" >/dev/null
done
"$client" session "$dir/h" "$HDMS_URL" >/dev/null
echo "load average before: $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) processors; the load generator runs on them, too"
for mode in cycle ack put fetch; do
	"$load" bench "$mode" "$HDMS_URL" "$dir/h" "$dir/p" "$connections" "$seconds" 2000
done
mkfifo "$dir/hold"
before=$(rss)
"$load" waiters "$HDMS_URL" "$dir/w" "$waiters" <"$dir/hold" >"$dir/waiters" &
holder=$!
exec 9>"$dir/hold"
while [ "$(curl -s "$HDMS_METRICS_URL" | awk '/^hdms_waiters /{print $2}')" -lt "$waiters" ]; do sleep 0.1; done
sleep 1
after=$(rss)
echo "waiters: $waiters, $before kB -> $after kB resident: $(((after - before) * 1024 / waiters)) bytes each"
"$client" envelope 500 >"$dir/e"
"$client" request "$dir/h" "$HDMS_URL" PUT "/v1/mailboxes/$("$client" id "$dir/w")/$("$client" digest "$dir/e")" body="$dir/e" type=application/jose | head -1
exec 9>&-
wait "$holder"
cat "$dir/waiters"
curl -s "$HDMS_METRICS_URL" | grep -E '^hdms_database_batch_operations_(sum|count)|^hdms_database_batch_seconds_(sum|count)'
