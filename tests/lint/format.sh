#!/bin/bash
# SPDX-License-Identifier: MIT
# .clang-format decides how code looks; `make format` obeys it.
set -euo pipefail
. tests/lint/files.bash
output=$(clang-format --dry-run -Werror --fno-color-diagnostics "${code_files[@]}" 2>&1) && exit
echo "$output" |
	sed -nE 's/^([^:]+:[0-9]+):[0-9]+: error: .*/\1: not as .clang-format wants it; try make format/p' | grep . ||
	echo "$output"
exit 1
