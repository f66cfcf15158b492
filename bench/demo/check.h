/* SPDX-License-Identifier: MIT
 *
 * The independent count: what the library says is alive against what a plain walk from the root finds.
 */
#ifndef DEMO_CHECK_H
#define DEMO_CHECK_H

#include <stdbool.h>

/* No other thread may use the library. Collects until nothing is left to collect, walks, drops the root, collects
 * again; prints what it finds. True if the live objects were exactly those reached, and none after the drop. */
bool check_end(void);

#endif
