#!/bin/bash
# Warnings of clang as errors (gcc's stop the build), cppcheck and clang-tidy over all C sources.
set -eu
cd "$(dirname "$0")/.."
failed=0
tests/lib/clang_build.sh || failed=1
cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 \
	'-Djson_array_foreach(array,index,value)=for (index = 0; (value = json_array_get(array, index)) != 0; index++)' \
	'-Djson_object_foreach(object,key,value)=for (key = 0; (value = json_object_get(object, key)) != 0;)' \
	--suppress=IOWithoutPositioning:node_agent/cli/init.c --suppress=arrayIndexOutOfBoundsCond:node_agent/cli/init.c \
	--suppress=varFuncNullUB --suppress=missingIncludeSystem --suppress=missingInclude -Iprotocol $(git ls-files 'protocol/*.c' 'server/*.c' 'node_agent/*.c') || failed=1
# The analyzer does not know that an array of jansson has as many elements as it says: its null dereferences are left out.
clang-tidy --quiet --checks='-*,clang-analyzer-*,-clang-analyzer-security.insecureAPI.*,-clang-analyzer-core.NullDereference,-clang-analyzer-core.NonNullParamChecker,bugprone-infinite-loop' \
	--warnings-as-errors='*' $(git ls-files 'protocol/*.c') -- -std=gnu11 -D_GNU_SOURCE -Iprotocol 2>/dev/null || failed=1
[ $failed -eq 0 ] && echo "lint: clean"
exit $failed
