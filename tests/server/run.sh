#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The server against redis-server and against broken clients: tests/server/run.sh BUILD_DIRECTORY
# The last line is "N passed, N failed". COMMANDS= for each comparison (20000), SEED=, SERVER_TSAN= an executable
# built with ThreadSanitizer to run under load too, if there is one.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:?usage: tests/server/run.sh BUILD_DIRECTORY}
passed=0
failed=0

check() {
	local name=$1
	shift
	if "$@"; then
		echo "ok    $name"
		passed=$((passed + 1))
	else
		echo "FAIL  $name"
		failed=$((failed + 1))
	fi
}

for policy in cgc manual bdwgc; do
	check "$policy: same replies as redis-server" \
		timeout 300 python3 tests/server/compare.py "$build/$policy-server" "${COMMANDS:-20000}" ${SEED:+"$SEED"}
	check "$policy: what users expect" env SERVER="$build/$policy-server" \
		timeout 300 python3 tests/server/test_server.py "$build"
done
check "cgc: nothing is left after load, redis-benchmark and graphs that fall apart" \
	timeout 300 python3 tests/server/load.py --seconds 10 --benchmark ${SEED:+--seed "$SEED"} "$build/cgc-server"
check "cgc: nothing is left after FLUSHALL of many keys" \
	env KEYS=200000 SECONDS_IDLE=0.5 timeout 300 python3 tests/server/flushall.py "$build/cgc-server"
if [ -n "${SERVER_TSAN:-}" ]; then
	check "cgc: no race under load" timeout 600 python3 tests/server/load.py --seconds 10 ${SEED:+--seed "$SEED"} "$SERVER_TSAN"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
