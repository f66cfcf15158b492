#!/bin/bash
# SPDX-License-Identifier: MIT
# A file is one idea: at most 500 lines of 120 columns (a tab counts 8), no trailing blanks, licence first.
set -euo pipefail
. tests/lint/files.bash
LC_ALL=C.UTF-8 awk '
function complain(line, reason) { printf "%s:%d: %s\n", FILENAME, line, reason; bad = 1 }
function width(text,   count, i, character) {
	for (i = 1; i <= length(text); i++) {
		character = substr(text, i, 1)
		count = character == "\t" ? count - count % 8 + 8 : count + 1
	}
	return count
}
FNR == 501 { complain(501, "more than 500 lines: two ideas?") }
FNR == 1 && !/SPDX-License-Identifier: MIT/ { complain(1, "the first line must have SPDX-License-Identifier: MIT") }
length($0) > 15 && width($0) > 120 { complain(FNR, "more than 120 columns") }
/[ \t]$/ { complain(FNR, "trailing blank") }
END { exit bad }' "${code_files[@]}"
