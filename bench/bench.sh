#!/bin/bash
# make bench: measures everything and prints one table; build/bench has it as JSON and as a chart.
# ONLY="issue system" runs some parts: micro issue system notary latency disk device waiting growth trust.
# Sizes: RECORDS (a hospital issues), DEVICES, NOTARISE, DEVICE_RECORDS, WAITERS, GROWTH (states in the larger ledger, default 100,000),
# TRUST (states to verify, 20,000), LEAVES (of the log that proofs are made from, 10,000,000).
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$top/build/bench"
cc -std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -I"$top/protocol" -o "$top/build/bench/micro" "$top/bench/micro.c" \
	"$top/build/plain/libhdms_protocol.a" -ljose -ljansson -lcrypto -lpthread
cc -std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -isystem "$(pg_config --includedir)" -o "$top/build/bench/emr" "$top/bench/emr.c" -lpq
cc -std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -I"$top/protocol" -o "$top/build/bench/seed" "$top/bench/seed.c" \
	"$top/build/plain/libhdms_protocol.a" -ljansson -lcrypto
cc -std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -I"$top/protocol" -o "$top/build/bench/trust" "$top/bench/trust.c" \
	"$top/build/plain/libhdms_protocol.a" -ljansson -lcrypto
make -s -C "$top/tests/flow"
make -s -C "$top/tests/server" all
perl -I "$top/tests/lib" -I "$top/tests/flow" "$top/bench/bench.pl" "$top/build/bench" | perl "$top/bench/report.pl" "$top/build/bench"
echo "written: build/bench/bench.json, build/bench/bench.svg"
