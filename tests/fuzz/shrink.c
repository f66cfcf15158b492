/* SPDX-License-Identifier: MIT
 *
 * A failing program made smaller: threads, then operations are left out as long as it still fails (delta debugging:
 * Zeller, Hildebrandt 2002). Each candidate runs in a child process, several times.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "drive.h"
#include "world.h"

static struct {
	enum outcome wanted;
	unsigned times;
	time_t until;
} effort;

static time_t seconds_now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

static bool is_over(void)
{
	return seconds_now() >= effort.until;
}

/* A child that takes long is not worth waiting for, unless it is the hang that is looked for. */
static bool fails(const struct program *program)
{
	enum outcome outcome = run_repeatedly(program, effort.times, 10, true);
	return outcome == effort.wanted;
}

static bool try_ops(struct program *program, struct op *ops, size_t count)
{
	struct program candidate = *program;
	candidate.ops = ops;
	candidate.count = count;
	if (is_over() || !fails(&candidate))
		return false;
	memcpy(program->ops, ops, count * sizeof(*ops));
	program->count = count;
	return true;
}

static void leave_out_threads(struct program *program, struct op *ops)
{
	for (unsigned thread = program->threads; thread-- > 0;) {
		size_t count = 0;
		for (size_t i = 0; i < program->count; i++)
			if (program->ops[i].thread != thread || program->ops[i].code == QUIET)
				ops[count++] = program->ops[i];
		if (count > 0 && count < program->count)
			try_ops(program, ops, count);
	}
	unsigned used = 1;
	for (size_t i = 0; i < program->count; i++)
		used = program->ops[i].thread >= used ? program->ops[i].thread + 1u : used;
	struct program candidate = *program;
	candidate.threads = used;
	if (used < program->threads && !is_over() && fails(&candidate))
		program->threads = used;
}

static bool leave_out_chunks(struct program *program, struct op *ops, size_t chunk)
{
	bool any = false;
	for (size_t end = program->count; end > 0 && !is_over();) {
		size_t first = end > chunk ? end - chunk : 0;
		memcpy(ops, program->ops, first * sizeof(*ops));
		memcpy(ops + first, program->ops + end, (program->count - end) * sizeof(*ops));
		any |= try_ops(program, ops, program->count - (end - first));
		end = first;
	}
	return any;
}

void shrink(struct program *program, enum outcome outcome, unsigned times, unsigned seconds)
{
	struct op *ops = malloc((program->count + 1) * sizeof(*ops));
	if (ops == NULL)
		return;
	effort.wanted = outcome;
	effort.times = times;
	effort.until = seconds_now() + seconds;
	leave_out_threads(program, ops);
	for (size_t chunk = program->count / 2; chunk > 0 && !is_over();) {
		if (!leave_out_chunks(program, ops, chunk) || chunk > program->count)
			chunk /= 2;
	}
	leave_out_threads(program, ops);
	struct program candidate = *program;
	candidate.options = 0;
	if (program->options != 0 && !is_over() && fails(&candidate))
		program->options = 0;
	free(ops);
}
