#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Runs the test programs (or the stress programs, or the interleaving tests) of one build directory:
#
#     tests/run.sh [--stress|--interleave] build/release
#
# A crash, a timeout, a sanitizer report in any process and a program that ran no test each count as one
# failure. The last line is "N passed, N failed". Output is kept in BUILD/log/.
# RUN= goes in front of each program, TIMEOUT= replaces the limit in seconds, DURATION= is for the stress
# programs.
set -u

stress=false interleave=false
case ${1-} in
--stress) stress=true ;;
--interleave) interleave=true ;;
esac
if $stress || $interleave; then
	shift
fi
if [ $# != 1 ] || [ ! -d "$1" ]; then
	echo "usage: tests/run.sh [--stress|--interleave] BUILD_DIRECTORY" >&2
	exit 1
fi
build=${1%/}
log=$build/log
mkdir -p "$log"
ulimit -c 0

read -ra prefix <<<"${RUN-}"
case $build in
*tsan)
	limit=600
	# ThreadSanitizer wants its shadow memory at fixed addresses; some kernels randomize too widely.
	setarch -R true 2>/dev/null && prefix+=(setarch -R)
	;;
*asan) limit=400 ;;
*) limit=100 ;;
esac
if $stress; then
	export DURATION=${DURATION:-10}
	# The time after the last operation, for the collection of what is left and the final check.
	limit=$((DURATION + limit))
fi
limit=${TIMEOUT:-$limit}
# The order of locks is checked in the stress programs only: in a test that forks, jemalloc takes all of its
# locks, which are more than ThreadSanitizer can count (64).
tsan_options="halt_on_error=1 second_deadlock_stack=1"
$stress || tsan_options="$tsan_options detect_deadlocks=0"
passed=0
failed=0

# Prints the end of a log, indented.
show() {
	tail -n "${2-60}" "$1" | sed 's/^/    /'
}

# Counts the test points in the output of a cmocka program: "good bad skipped planned".
count_points() {
	LC_ALL=C awk '
	/^1\.\.[0-9]+$/ { planned += substr($0, 4) }
	/^not ok [0-9]+ # SKIP/ { skipped++; next }
	/^ok [0-9]+ - / { good++ }
	/^not ok [0-9]+ / { bad++ }
	END { print good + 0, bad + 0, skipped + 0, planned + 0 }' "$1"
}

# The same for a shell test. If its last line does not say "N passed, N failed" it is one test, unless silent.
count_summary() {
	LC_ALL=C awk -v status="$2" '
	{ last = $0 }
	END {
		if (last ~ /^[0-9]+ passed, [0-9]+ failed$/) {
			split(last, word, " ")
			print word[1], word[3], 0, word[1] + word[3]
		} else if (NR > 0)
			print status == 0, status != 0, 0, 1
		else
			print 0, 0, 0, 0
	}' "$1"
}

# run KIND NAME COMMAND...: KIND is cmocka, shell or stress.
run() {
	local kind=$1 name=$2
	shift 2
	local out=$log/$name.log started=$EPOCHREALTIME status=0 why='' good bad skipped planned took report
	rm -f "$out" "$log/$name.report".*
	# A log per process, so that a report in a child whose end is expected is not lost.
	local sanitizer=log_path=$log/$name.report
	{
		CMOCKA_MESSAGE_OUTPUT=TAP \
			TSAN_OPTIONS="$tsan_options $sanitizer ${TSAN_OPTIONS-}" \
			ASAN_OPTIONS="detect_stack_use_after_return=1 $sanitizer ${ASAN_OPTIONS-}" \
			UBSAN_OPTIONS="print_stacktrace=1 $sanitizer ${UBSAN_OPTIONS-}" \
			timeout --kill-after=5 "$limit" "${prefix[@]}" "$@" >"$out" 2>&1 </dev/null || status=$?
	} 2>/dev/null # where the shell would tell that timeout was killed
	took=$(awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }')

	case $kind in
	cmocka) read -r good bad skipped planned <<<"$(count_points "$out")" ;;
	shell) read -r good bad skipped planned <<<"$(count_summary "$out" "$status")" ;;
	stress) good=$((status == 0)) bad=$((status != 0)) skipped=0 planned=1 ;;
	esac
	if [ "$status" = 124 ] || [ "$status" = 137 ]; then
		why="not finished after $limit s"
	elif [ "$status" -gt 128 ]; then
		why="killed by SIG$(kill -l "$status")"
	elif [ "$planned" = 0 ]; then
		why="exit status $status without any test"
	elif [ $((good + bad + skipped)) != "$planned" ]; then
		why="exit status $status after $((good + bad + skipped)) of $planned tests"
	elif [ "$status" != 0 ] && { [ "$bad" = 0 ] || [ "$kind" = stress ]; }; then
		why="exit status $status"
	fi
	for report in "$log/$name.report".*; do
		[ -s "$report" ] && why="${why:+$why; }sanitizer report $report"
	done
	# The reason is a failure of its own, unless it is only how the one of a stress program is told.
	if [ "$kind" = stress ] && [ -n "$why" ]; then
		good=0 bad=1
	elif [ -n "$why" ]; then
		bad=$((bad + 1))
	fi
	passed=$((passed + good))
	failed=$((failed + bad))

	printf '%-4s  %-28s %4d passed, %d failed%s  (%s)\n' "$([ "$bad" = 0 ] && echo ok || echo FAIL)" \
		"$name" "$good" "$bad" "$([ "$skipped" = 0 ] || echo ", $skipped skipped")" "$took"
	if [ "$bad" != 0 ]; then
		echo "  ${why:-failed tests}; end of $out:"
		show "$out"
		for report in "$log/$name.report".*; do
			[ -s "$report" ] && echo "  $report:" && show "$report" 200
		done
	elif [ "$kind" = stress ]; then
		show "$out" 12
	fi
}

if $stress; then
	for source in stress/stress_*.c; do
		name=$(basename "$source" .c)
		run stress "$name" "$build/stress/$name"
	done
elif $interleave; then
	for source in tests/interleave/test_*.c; do
		name=$(basename "$source" .c)
		run cmocka "$name" "$build/interleave/$name"
	done
else
	for source in tests/test_*.c; do
		name=$(basename "$source" .c)
		run cmocka "$name" "$build/tests/$name"
	done
	for source in tests/test_*.sh; do
		[ -e "$source" ] || continue
		run shell "$(basename "$source" .sh)" bash "$source" "$build"
	done
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
