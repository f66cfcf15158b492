#!/bin/bash
# SPDX-License-Identifier: MIT
# What is left to do belongs into the issue tracker, not into the code.
set -euo pipefail
. tests/lint/files.bash
marks='FIX''ME|TO''DO|XX''X'
if grep -nEw "$marks" "${code_files[@]}" "${script_files[@]}" Makefile src/cgc.map |
	sed -E 's/^([^:]*:[0-9]+):.*/\1: a mark for later: do it now or open an issue/' | grep .; then
	exit 1
fi
