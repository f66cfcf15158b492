#!/bin/bash
# SPDX-License-Identifier: MIT
# .clang-format decides how code looks; `make format` obeys it.
set -euo pipefail
. tests/lint/files.bash
clang-format --dry-run -Werror "${code_files[@]}"
