/* SPDX-License-Identifier: MIT
 *
 * The driver around programs: seeds or files, a child process that runs them, and what happens when one fails.
 */
#ifndef DRIVE_H
#define DRIVE_H

#include "program.h"

int drive(const char *name, int count, char **arguments, bool together);

#define OPS_MOST 1000000u

/* Shared with the child, which is this program started anew: a fork alone would leave jemalloc's locks to a child in a
 * state that ThreadSanitizer complains about. */
struct progress {
	_Atomic(uint64_t) programs, operations, quiet_points;
	uint64_t seed;     /* of the program that runs */
	uint64_t deadline; /* nanoseconds */
	unsigned times;    /* 0: programs from seeds; otherwise `program`, so often */
	struct program program;
	struct op ops[OPS_MOST];
};

extern struct progress *progress; /* NULL under libFuzzer */

/* How a run in a child process ended. */
enum outcome { CLEAN, FAILED, HUNG };
enum outcome run_repeatedly(const struct program *program, unsigned times, unsigned seconds, bool silent);

/* shrink.c: leaves out whatever it still fails without. */
void shrink(struct program *program, enum outcome outcome, unsigned times, unsigned seconds);

#endif
