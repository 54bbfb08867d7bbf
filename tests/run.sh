#!/bin/bash
# Runs every suite, one after the other, and adds up what their runners say.
# Each suite's output goes to build/check/NAME.log; the end of it is shown where one fails.
# SUITES="protocol server" runs some of them only.
set -u
cd "$(dirname "$0")/.."
logs=build/check
mkdir -p $logs
passed=0
failed=0
failures=()

# Adds up the closing lines of cmocka, prove, pg_regress and "N passed, N failed".
count() {
	awk '
		/^\[  PASSED  \] [0-9]+ test/ { p += $4 }
		/^\[  FAILED  \] [0-9]+ test/ { f += $4 }
		/^Files=[0-9]+, Tests=[0-9]+/ { split($2, t, "="); p += t[2] + 0 }
		/^All [0-9]+ tests passed/ { p += $2 }
		/^ *All [0-9]+ tests passed/ && !/^All/ { p += $2 }
		/^# All [0-9]+ tests passed/ { p += $3 }
		/^[0-9]+ passed, [0-9]+ failed/ { p += $1; f += $3 }
		END { print p + 0, f + 0 }' "$1"
}

suite() {
	local name=$1 started=$SECONDS status=0 p f
	shift
	[ -z "${SUITES:-}" ] || [[ " $SUITES " == *" $name "* ]] || return 0
	"$@" >"$logs/$name.log" 2>&1 </dev/null || status=$?
	read -r p f < <(count "$logs/$name.log")
	if [ $status -ne 0 ]; then
		[ "$f" -gt 0 ] || f=1
		failures+=("$name")
		echo "not ok - $name ($((SECONDS - started)) s): $p passed, $f failed; from the end of $logs/$name.log:"
		tail -n 60 "$logs/$name.log"
	else
		# A suite whose runner closes without a count is one test.
		[ "$p" -gt 0 ] || p=1
		echo "ok - $name: $p passed ($((SECONDS - started)) s)"
		grep -h '^# skipped\|^skipped' "$logs/$name.log" | sort -u
	fi
	passed=$((passed + p))
	failed=$((failed + f))
}

build_all() { make all && make all VARIANT=asan; }
build_clang() { tests/lib/clang_build.sh; }

suite build build_all
suite clang build_clang
suite protocol make -C tests/protocol VARIANT=asan check
suite fuzz make -C tests/fuzz smoke SECONDS=${FUZZ_SECONDS:-4}
suite peers make -C tests/peers check
suite server make -C tests/server check
suite node_agent make -C tests/node_agent check
suite regress tests/lib/regress.sh
suite extension tests/lib/prove.sh tests/extension/t
suite demo tests/lib/demo_test.sh

[ ${#failures[@]} -eq 0 ] || echo "failed: ${failures[*]}"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
