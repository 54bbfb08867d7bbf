#!/bin/bash
# Warnings of clang as errors (gcc's stop the build), cppcheck and clang-tidy over all C sources. A few minutes; the last line says "lint: clean".
set -eu
cd "$(dirname "$0")/.."
export PG_CONFIG=${PG_CONFIG:-pg_config}
failed=0

step() { printf '%4d s  %s\n' "$SECONDS" "$1"; }

step 'clang warnings'
tests/lib/clang_build.sh || failed=1

step 'cppcheck'
cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 \
	'-Djson_array_foreach(array,index,value)=for (index = 0; (value = json_array_get(array, index)) != 0; index++)' \
	'-Djson_object_foreach(object,key,value)=for (key = 0; (value = json_object_get(object, key)) != 0;)' \
	--suppress=IOWithoutPositioning:node_agent/cli/init.c --suppress=arrayIndexOutOfBoundsCond:node_agent/cli/init.c \
	--suppress=varFuncNullUB --suppress=missingIncludeSystem --suppress=missingInclude -Iprotocol $(git ls-files 'protocol/*.c' 'server/*.c' 'node_agent/*.c') || failed=1

# What the analyzer says of one file alone has to be true. It does not know that an array of jansson has as many elements as it says (null
# dereferences), does not see from the second file of a run on that va_start() was called, and calloc() of nothing is defined; the order of members
# is for the reader. Server and device keep lists whose elements leave them when they are freed, and take results from functions of other files that
# are only OK when the result is there: it believes neither. After so many nodes of a function's graph it finds hardly anything more: with
# its own limit it takes five times as long.
checks='-*,clang-analyzer-*,bugprone-infinite-loop,bugprone-suspicious-memset-usage,bugprone-too-small-loop-variable'
checks+=',bugprone-misplaced-widening-cast,bugprone-suspicious-semicolon,bugprone-undefined-memory-manipulation'
without='security.insecureAPI.* core.NullDereference core.NonNullParamChecker valist.* optin.*'
depth='-Xclang -analyzer-config -Xclang max-nodes=30000'

# tidy PATTERN WITHOUT OPTION...: two at a time; what is said about our own lines, and the path that leads there, goes to stdout.
tidy() {
	local pattern=$1 selected=$checks one
	for one in $without $2; do
		selected+=",-clang-analyzer-$one"
	done
	shift 2
	step "clang-tidy $pattern"
	git ls-files "$pattern" | xargs -P 2 -n 4 sh -c '
		checks=$1 options=$2; shift 2
		clang-tidy --quiet --checks="$checks" --warnings-as-errors="*" "$@" -- $options 2>/dev/null' tidy "$selected" "-std=gnu11 -D_GNU_SOURCE -DHDMS_VERSION=\"0\" -Iprotocol $depth $*" || failed=1
}
set -f
tidy 'protocol/*.c' ''
tidy 'server/*.c' 'unix.Malloc' -Iserver -Ibuild/plain/server -isystem "$($PG_CONFIG --includedir)"
tidy 'node_agent/*.c' 'unix.Malloc core.UndefinedBinaryOperatorResult core.CallAndMessage deadcode.DeadStores' -Inode_agent
tidy 'extension/*.c' '' -Iextension -isystem "$($PG_CONFIG --includedir-server)"

step 'done'
if [ $failed -ne 0 ]; then
	echo 'lint: see above'
	exit 1
fi
echo 'lint: clean'
