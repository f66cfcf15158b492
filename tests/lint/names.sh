#!/bin/bash
# SPDX-License-Identifier: MIT
# A file is named after its idea, and the library keeps to its prefix.
set -euo pipefail
. tests/lint/files.bash
bad=0
complain() {
	echo "$1"
	bad=1
}
for file in "${code_files[@]}"; do
	case $(basename "${file%.*}") in
	*misc* | *util* | *common* | *helper*) complain "$file:1: say in the name what the file is for" ;;
	esac
done
# Symbols other files can see: one object per source, so the message can name it.
for source in src/*.c; do
	object=build/release/obj/${source%.c}.o
	for symbol in $(nm --defined-only --extern-only --format=posix "$object" | cut -d' ' -f1); do
		case $symbol in
		cgc_*) ;;
		*)
			line=$(grep -nm1 "\b$symbol\b" "$source" | cut -d: -f1 || true)
			complain "$source:${line:-1}: $symbol is visible outside: static, or named cgc_"
			;;
		esac
	done
done
# The shared library exports what the headers declare, and nothing else.
exported=$(nm --dynamic --defined-only --format=posix build/release/libcgc.so |
	awk '$2 != "A" { sub(/@.*/, "", $1); print $1 }' | sort)
declared=$(grep -hoP '^(extern )?CGC_API\b[^(;=]*?\bcgc_\w+(?=\(|;| __attribute__)' include/cgc.h include/cgc/fast.h |
	grep -oE 'cgc_[a-z0-9_]+$' | sort)
difference=$(diff <(echo "$declared") <(echo "$exported")) || true
while read -r side symbol; do
	case $side in
	'<') complain "include/cgc.h:1: $symbol is declared CGC_API but not in libcgc.so" ;;
	'>') complain "src/cgc.map:1: $symbol is in libcgc.so but not declared CGC_API" ;;
	esac
done <<<"$difference"
exit $bad
