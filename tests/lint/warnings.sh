#!/bin/bash
# SPDX-License-Identifier: MIT
# No warning from gcc nor from clang, with the flags of the build (the Makefile hands them over). clang also
# finds operators on atomic variables, whose order nobody wrote down: -Watomic-implicit-seq-cst.
set -euo pipefail
. tests/lint/files.bash
read -ra flags <<<"${LINT_FLAGS:?run this through make lint}"
read -ra cxx_flags <<<"${LINT_CXX_FLAGS-}"
status=0
check() {
	[ ${#files[@]} = 0 ] && return
	printf '%s\0' "${files[@]}" | xargs -0 -r -n 4 -P "$(nproc)" "$@" -fsyntax-only -Werror || status=1
}
files=("${c_files[@]}")
check gcc -std=gnu11 "${flags[@]}"
check clang -std=gnu11 "${flags[@]}" -Watomic-implicit-seq-cst -Wno-unknown-warning-option
files=(src/*.c)
check gcc -std=gnu11 "${flags[@]}" -Wconversion
files=("${cc_files[@]}")
check g++ -std=gnu++20 "${cxx_flags[@]}"
exit $status
