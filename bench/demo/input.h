/* SPDX-License-Identifier: MIT
 *
 * Opens an input file, decompressed by apt's own program where it is compressed.
 */
#ifndef DEMO_INPUT_H
#define DEMO_INPUT_H

#include <stdio.h>
#include <sys/types.h>

struct input {
	const char *file;
	FILE *stream;
	pid_t child; /* that decompresses; 0: none */
};

/* Exits with 1 where it cannot. */
void input_open(struct input *input, const char *file);

/* Exits with 1 if the file could not be decompressed to its end. */
void input_close(struct input *input);

#endif
