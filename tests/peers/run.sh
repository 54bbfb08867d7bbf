#!/bin/bash
# Runs the comparisons with other implementations; each prints TAP, the last line adds them up.
# Those that need npm packages are skipped, and say so, where the packages cannot be had.
set -u
cd "$(dirname "$0")"
passed=0
failed=0

# tap NAME COMMAND ...: shows a test's TAP and counts its outermost results.
tap() {
	local name=$1 output status=0
	shift
	output=$("$@" 2>&1) || status=$?
	echo "# $name"
	echo "$output"
	local p f
	p=$(grep -c '^ok ' <<<"$output")
	f=$(grep -c '^not ok ' <<<"$output")
	[ $status -eq 0 ] || [ "$f" -gt 0 ] || f=1
	passed=$((passed + p))
	failed=$((failed + f))
}

tap "Debian's jose" ./jose_cli.sh

# npm writes the hidden lockfile when it is done, so it tells which lockfile the packages belong to.
if ! command -v npm >/dev/null; then
	echo "skipped: npm is not installed, so nothing was compared with npm packages"
elif [ package-lock.json -nt node_modules/.package-lock.json ] && ! npm ci --no-audit --no-fund; then
	echo "skipped: the npm packages cannot be installed, so nothing was compared with them"
else
	for script in *.mjs; do
		tap "$script" node --test --test-reporter=tap "$script"
	done
fi

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
