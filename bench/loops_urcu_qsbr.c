/* SPDX-License-Identifier: MIT
 *
 * liburcu's qsbr flavour. Each has a file of its own, because their headers exclude each other.
 * Read sections cost nothing; a registered thread has to say now and then that it is in none. The loop says so
 * each time.
 */
#define URCU_INLINE_SMALL_FUNCTIONS
#define _LGPL_SOURCE
#include <urcu/urcu-qsbr.h>

#include "loops.h"

static void enter(void)
{
	urcu_qsbr_register_thread();
}

static void leave(void)
{
	urcu_qsbr_unregister_thread();
}

static void loop(void)
{
	for (size_t i = 0; i < LOOP; i++) {
		urcu_qsbr_read_lock();
		urcu_qsbr_read_unlock();
		urcu_qsbr_quiescent_state();
	}
}

static void synchronize(void)
{
	urcu_qsbr_synchronize_rcu();
}

const struct urcu_flavour urcu_flavour_qsbr = {"qsbr", enter, leave, loop, synchronize};
