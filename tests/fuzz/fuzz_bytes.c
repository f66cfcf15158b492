/* SPDX-License-Identifier: MIT
 *
 * For libFuzzer: bytes are a program, run exactly. See program.h.
 */
#include "world.h"

#define OPS_MOST 4096u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct program program;
	if (length > 2 + 6 * OPS_MOST)
		length = 2 + 6 * OPS_MOST;
	program_read(&program, bytes, length);
	program.together = false;
	for (size_t i = 0; i < program.count; i++)
		program.ops[i].thread %= program.threads = program.threads > 3 ? 3 : program.threads;
	run_program(&program);
	program_free(&program);
	return 0;
}
