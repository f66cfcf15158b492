#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Checks the models of the protocol with spin: tests/model/run.sh [--deep] [NAME...]
#
# The head comment of a model has lines of these forms; the text after the colon goes to the report.
#     HOLDS: -DNAME=VALUE... : what these bounds cover      verified exhaustively, or wrong
#     DEEP: -DNAME=VALUE... : what these bounds cover       the same, only with --deep
#     BREAKS: -DNAME=VALUE... : what is left out            an assertion must fail; an invalid end state counts only if
#                                                           the text says "end state"
# A search that ends early (depth, memory, time) proves nothing and is wrong. Lines that no HOLDS
# configuration of a model reaches are listed, and fail nothing.
#
# MODEL_JOBS (2; with --deep 1), MODEL_MEMORY (MB for each job, 1400; with --deep 9000), MODEL_SECONDS (of processor time for each search, 400;
# with --deep 3600), MODEL_DEPTH (steps, 2000000).
set -u
cd "$(dirname "$0")" || exit 1
here=$PWD
build=$(cd ../.. && pwd)/build/model

deep=0
names=()
for argument; do
	case $argument in
	--deep) deep=1 ;;
	-*) echo "usage: tests/model/run.sh [--deep] [NAME...]" >&2; exit 1 ;;
	*) names+=("$(basename "$argument" .pml)") ;;
	esac
done
if [ "${#names[@]}" -eq 0 ]; then
	for file in *.pml; do
		[ -e "$file" ] && names+=("${file%.pml}")
	done
fi
jobs=${MODEL_JOBS:-$((deep ? 1 : 2))}
memory=${MODEL_MEMORY:-$((deep ? 9000 : 1400))}
depth=${MODEL_DEPTH:-2000000}
seconds=${MODEL_SECONDS:-$((deep ? 3600 : 400))}
for program in spin gcc; do
	command -v "$program" > /dev/null || { echo "tests/model/run.sh: $program is missing" >&2; exit 1; }
done

models=() kinds=() flags=() texts=()
form='^[[:space:]*/]*(HOLDS|DEEP|BREAKS):[[:space:]]*((-D[^[:space:]]+[[:space:]]+)*):[[:space:]]+(.*)$'
for name in "${names[@]}"; do
	[ -r "$name.pml" ] || { echo "tests/model/$name.pml: no such model" >&2; exit 1; }
	before=${#models[@]}
	while IFS= read -r line; do
		number=${line%%:*}
		line=${line#*:}
		if ! [[ $line =~ $form ]]; then
			echo "tests/model/$name.pml:$number: not of the form KIND: -DNAME... : text" >&2
			exit 1
		fi
		kind=${BASH_REMATCH[1]} options=${BASH_REMATCH[2]} text=${BASH_REMATCH[4]}
		# A misspelled flag would verify something else than the text says.
		for option in $options; do
			word=${option#-D}
			if ! grep -vE '^[[:space:]*/]*(HOLDS|DEEP|BREAKS):' "$name.pml" | grep -qw "${word%%=*}"; then
				echo "tests/model/$name.pml:$number: nothing in the model asks for ${word%%=*}" >&2
				exit 1
			fi
		done
		[ "$kind" = DEEP ] && [ "$deep" -eq 0 ] && continue
		models+=("$name") kinds+=("$kind") flags+=("${options%"${options##*[![:space:]]}"}") texts+=("$text")
	done < <(grep -nE '^[[:space:]*/]*(HOLDS|DEEP|BREAKS):' "$name.pml")
	if [ "${#models[@]}" -eq "$before" ]; then
		echo "tests/model/$name.pml: no configuration to run" >&2
		exit 1
	fi
done

# One configuration, in a directory of its own; the file `result` gets: verdict, what was got, states, seconds.
check() {
	local directory=$1 model=$2 kind=$3 options=$4 text=$5 status start end got level
	rm -rf "$directory"
	mkdir -p "$directory" && cd "$directory" || exit 1
	start=$(date +%s%N)
	# shellcheck disable=SC2086 # the flags are words
	if ! spin $options -a "$here/$model.pml" > spin.log 2>&1 || ! [ -s pan.c ] || grep -q 'Error' spin.log; then
		echo "wrong|spin refuses it|0|0" > result
		return
	fi
	# Optimizing takes ten times as long as such a search; deep ones are worth it.
	[ "$kind" = DEEP ] && level=-O2 || level=-O0
	if ! gcc "$level" -w -DSAFETY -DNOFAIR -DVECTORSZ=8192 -DMEMLIM="$memory" -o pan pan.c > gcc.log 2>&1; then
		echo "wrong|gcc refuses it|0|0" > result
		return
	fi
	# Processor time, so that a busy machine changes no result.
	(ulimit -t "$seconds"; exec nice -n 19 ./pan -m"$depth" > pan.log 2>&1)
	status=$?
	end=$(date +%s%N)
	if grep -qE '^pan:1: (assertion violated|invalid end state)' pan.log; then
		got=$(sed -nE 's/^pan:1: (assertion violated|invalid end state).*/\1/p' pan.log | head -1)
	elif [ "$status" -eq 137 ] || [ "$status" -eq 152 ]; then
		got='out of time'
	elif grep -q 'max search depth too small' pan.log; then
		got='search too shallow'
	elif grep -qE 'out of memory|Search not completed|VECTORSZ' pan.log || ! grep -q 'errors: 0' pan.log; then
		got='search not completed'
	elif [ "$status" -ne 0 ]; then
		got="pan ends with $status"
	else
		got='no error'
	fi
	# A process that is stuck by a slip of the model must not pass for a counter-example.
	case $kind/$got/$text in
	BREAKS/assertion* | BREAKS/invalid*/*end\ state* | HOLDS/no\ error/* | DEEP/no\ error/*) status=right ;;
	*) status=wrong ;;
	esac
	{
		echo -n "$status|$got|$(sed -nE 's/^ *([0-9.e+]+) states, stored.*/\1/p' pan.log | head -1)|"
		awk -v ns="$((end - start))" 'BEGIN { printf "%.1f\n", ns / 1e9 }'
	} > result
	if [ "$kind" = BREAKS ]; then
		rm -f pan.[bchmpt] pan
	else
		# Lines that have a step, and those of them where some step was never taken or some was.
		./pan -d | sed -nE 's/.*\.pml:([0-9]+) =>.*/\1/p' | sort > steps
		sed -nE 's/.*\.pml:([0-9]+), state [0-9]+, .*/\1/p' pan.log | sort > missed
		comm -23 steps missed | sort -un > reached
	fi
}

printed=0 held=0 twins=0 wrong=0
show() {
	local directory=$build/${models[printed]}.$printed verdict got states time
	[ -s "$directory/result" ] || return 1
	IFS='|' read -r verdict got states time < "$directory/result"
	case $verdict/${kinds[printed]} in
	right/BREAKS) twins=$((twins + 1)) ;;
	right/*) held=$((held + 1)) ;;
	*) wrong=$((wrong + 1)); got="WRONG: $got" ;;
	esac
	printf '%-12s %-6s  %-26s %10s %6s  %s\n%-20s %s\n' "${models[printed]}" "${kinds[printed]}" "$got" \
		"$(awk -v n="${states:-0}" 'BEGIN { printf "%d", n }')" "${time:-0}" "${flags[printed]}" '' "${texts[printed]}"
	printed=$((printed + 1))
}

mkdir -p "$build" || exit 1
printf '%-12s %-6s  %-26s %10s %6s  %s\n' model wanted got states s flags
for ((i = 0; i < ${#models[@]}; i++)); do
	rm -f "$build/${models[i]}.$i/result"
done
for ((i = 0; i < ${#models[@]}; i++)); do
	while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
		wait -n
	done
	(check "$build/${models[i]}.$i" "${models[i]}" "${kinds[i]}" "${flags[i]}" "${texts[i]}") &
	while [ "$printed" -lt "$i" ] && show; do :; done
done
wait
while [ "$printed" -lt "${#models[@]}" ]; do
	show || { echo "tests/model/run.sh: ${models[printed]} ${flags[printed]}: no result" >&2; exit 1; }
done

for name in "${names[@]}"; do
	steps=() reached=()
	for ((i = 0; i < ${#models[@]}; i++)); do
		if [ "${models[i]}" = "$name" ] && [ -e "$build/$name.$i/reached" ]; then
			steps+=("$build/$name.$i/steps") reached+=("$build/$name.$i/reached")
		fi
	done
	[ "${#steps[@]}" -gt 0 ] || continue
	missed=$(comm -23 <(sort -u "${steps[@]}") <(sort -u "${reached[@]}") | sort -n | tr '\n' ' ')
	[ -z "$missed" ] || echo "$name: never reached where it holds: lines $missed"
done
echo "$held held, $twins broken twins found, $wrong wrong"
[ "$wrong" -eq 0 ]
