#!/bin/bash
# SPDX-License-Identifier: MIT
# clang-tidy with the checks of .clang-tidy over the C code; a file in which it finds something is named.
set -euo pipefail
. tests/lint/files.bash
# shellcheck disable=SC2016 # for the inner shell
printf '%s\0' "${c_files[@]}" |
	xargs -0 -n 1 -P "$(nproc)" sh -c '
	output=$(clang-tidy --quiet "$1" -- -std=gnu11 -Iinclude -Isrc 2>&1) || { echo "$output"; exit 1; }' tidy
