#!/bin/bash
# SPDX-License-Identifier: MIT
# Every script through shellcheck.
set -euo pipefail
. tests/lint/files.bash
shellcheck --format=gcc -e SC1091 "${script_files[@]}" tests/lint/files.bash
