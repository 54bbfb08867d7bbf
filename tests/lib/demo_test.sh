#!/bin/bash
# The acts of the demo, as a person would run them: the last line counts what happened, and nothing is left running or lying about.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

check() {
	if eval "$2"; then
		passed=$((passed + 1))
		echo "ok - $1"
	else
		failed=$((failed + 1))
		echo "not ok - $1"
	fi
}

mkdir "$work/tmp"
chmod 711 "$work" "$work/tmp"
# One act: how its last line must read.
act() {
	local expected=$2 status=0 last
	ACT=$1 TMPDIR=$work/tmp DATA= KEEP= "$top/demo/demo.sh" >"$work/out" 2>&1 || status=$?
	cat "$work/out"
	last=$(tail -n 1 "$work/out")
	check "the act $1 ends with success" "[ $status -eq 0 ]"
	check "its last line says how it ended" '[[ $last =~ $expected ]]'
	check 'its folder is gone' '[ -z "$(ls -A "$work/tmp")" ]'
	check 'no process of it is left' '! pgrep -f "$work/tmp" >/dev/null'
}

act store '^demo: [1-9][0-9]* records committed and verified on both sides, 1 rejected, 1 amended, 0 failed$'
act trust '^trust: 7 attacks, 7 detected, 4 repaired, 0 missed$'
check 'an act that is not there is refused' '! ACT=none "$top/demo/demo.sh" 2>/dev/null'
check 'a folder that is not there is refused' '! DATA=$work/none "$top/demo/demo.sh" 2>/dev/null'
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
