/* SPDX-License-Identifier: MIT
 *
 * liburcu's memb flavour. Each has a file of its own, because their headers exclude each other.
 * The flavour that the library uses; it has registered every thread that is attached to it.
 */
#define URCU_INLINE_SMALL_FUNCTIONS
#define _LGPL_SOURCE
#include <urcu/urcu-memb.h>
#include <cgc.h>

#include "loops.h"

static void enter(void)
{
	cgc_thread_attach();
}

static void leave(void)
{
}

static void loop(void)
{
	for (size_t i = 0; i < LOOP; i++) {
		urcu_memb_read_lock();
		urcu_memb_read_unlock();
	}
}

static void synchronize(void)
{
	urcu_memb_synchronize_rcu();
}

const struct urcu_flavour urcu_flavour_memb = {"memb", enter, leave, loop, synchronize};
