#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Several of each fuzzing program at once for DURATION seconds: tests/fuzz/run.sh BUILD_DIRECTORY PAIRS
# Without SEED each has one of its own. Says how many operations all of them did; the output of those that fail is shown.
set -u
directory=$1
pairs=$2
log=$directory/fuzz/log
rm -rf "$log"
mkdir -p "$log"

names=() processes=()
for ((i = 0; i < pairs; i++)); do
	for program in fuzz_one fuzz_many; do
		# shellcheck disable=SC2086 # RUN is words
		ARTIFACTS=$directory/fuzz ${RUN:-} "$directory/fuzz/$program" > "$log/$program.$i" 2>&1 &
		names+=("$program.$i") processes+=("$!")
	done
done

failed=0
for ((i = 0; i < ${#names[@]}; i++)); do
	if ! wait "${processes[i]}"; then
		failed=$((failed + 1))
		echo "FAIL  ${names[i]}"
		tail -n 60 "$log/${names[i]}" | sed 's/^/  /'
	fi
done
sed -nE 's/^(fuzz_[a-z]+): ok: ([0-9]+) operations, ([0-9]+) programs, ([0-9]+) quiet points.*/\1 \2 \3 \4/p' "$log"/* |
	awk -v failed="$failed" '{ operations += $2; programs += $3; quiet += $4 }
		END { printf "fuzz: %d operations in %d programs, compared at %d quiet points; %d processes failed\n",
			operations, programs, quiet, failed }'
[ "$failed" -eq 0 ]
