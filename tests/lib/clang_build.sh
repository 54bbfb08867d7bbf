#!/bin/bash
# Compiles every source with clang -Wall -Wextra -Werror (gcc builds the rest of the suite).
set -eu
cd "$(dirname "$0")/../.."
server_includes=$(${PG_CONFIG:-pg_config} --includedir-server)
includes="-Iprotocol -Iextension -Iserver -Ibuild/plain/server -Inode_agent -isystem $server_includes -isystem $(${PG_CONFIG:-pg_config} --includedir)"
git ls-files 'protocol/*.c' 'extension/*.c' 'server/*.c' 'node_agent/*.c' |
	xargs -P 2 -n 8 clang -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-declaration-after-statement -fsyntax-only $includes
echo "1 passed, 0 failed"
