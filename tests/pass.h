/* SPDX-License-Identifier: MIT
 *
 * Letting grace periods pass, without asking for a collection: what is dead by counting goes meanwhile, and nothing
 * else does.
 */
#ifndef TESTS_PASS_H
#define TESTS_PASS_H

#include <sched.h>
#include <semaphore.h>

#include "node.h"

/* Gives the background thread something that waits for a grace period. */
UNUSED static void drop_decoy(void)
{
	struct leaf *decoy = cgc_new(&leaf_type);
	cgc_publish(decoy);
	cgc_release(decoy);
}

/* A slow path that does nothing else, with pending=1. */
UNUSED static void settle_own_queue(void)
{
	static node_ref nothing;
	cgc_store(CGC_ROOT, &nothing, NULL);
}

/* Enough of them for a revocation, a death and a child's. Not in a section. */
UNUSED static void pass_grace_periods(void)
{
	for (int i = 0; i < 10; i++) {
		uint64_t before = stats_now().grace_periods;
		drop_decoy();
		while (stats_now().grace_periods == before)
			sched_yield();
	}
}

UNUSED static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0)
		continue;
}

#endif
