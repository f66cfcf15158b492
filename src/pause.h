/* SPDX-License-Identifier: MIT
 *
 * Named points between the steps of the protocol. A test holds a thread at one of them while others run; the option
 * yield=N makes one in N passages give the processor away.
 *
 * In an ordinary build the points of the fast paths are not there, and the others cost a look at a setting.
 * MODE=pause has them all (CGC__PAUSES=1). A point is named for what has just happened: file.step.
 */
#ifndef CGC_PAUSE_H
#define CGC_PAUSE_H

#include "heap.h"

#ifndef CGC__PAUSES
#define CGC__PAUSES 0
#endif

/* Called at each point by whichever thread passes it, maybe in a read section or with a lock held: it may wait, but
 * not use the library. NULL is none. */
typedef void cgc__pause_handler(const char *point);
void cgc__pause_handle(cgc__pause_handler *handler);

void cgc__pause_at(const char *point);

static inline void cgc__pause(const char *point)
{
	if (CGC__PAUSES || __builtin_expect(cgc__heap.yield != 0, 0))
		cgc__pause_at(point);
}

static inline void cgc__pause_fast(const char *point)
{
	if (CGC__PAUSES)
		cgc__pause_at(point);
}

#endif
