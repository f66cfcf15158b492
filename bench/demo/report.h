/* SPDX-License-Identifier: MIT
 *
 * What the program shows: a line each second, a table at the end.
 */
#ifndef DEMO_REPORT_H
#define DEMO_REPORT_H

#include "worker.h"

/* What the lines mean. */
void report_lines_begin(void);

/* `seconds` since the start; operations per second since the line before. */
void report_line(unsigned seconds, double rate);

/* A line that is redrawn ends here. */
void report_lines_end(void);

/* After crew_join(). */
void report_table(const struct crew *crew, double seconds);

#endif
