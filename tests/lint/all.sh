#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs every check in this directory, from the top of the source tree; fails if one of them does.
set -u
cd "$(dirname "$0")/../.." || exit 1
failed=0
for check in tests/lint/*.sh tests/lint/*.py; do
	[ "$check" = tests/lint/all.sh ] && continue
	if "$check"; then
		echo "ok    $check"
	else
		echo "FAIL  $check"
		failed=$((failed + 1))
	fi
done
[ "$failed" = 0 ] || { echo "lint: $failed checks failed" >&2; exit 1; }
