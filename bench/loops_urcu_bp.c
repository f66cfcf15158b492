/* SPDX-License-Identifier: MIT
 *
 * liburcu's bp flavour. Each has a file of its own, because their headers exclude each other.
 * Registers threads by itself.
 */
#ifndef __clang_analyzer__ /* does not know that registering sets the pointer to the reader */
#define URCU_INLINE_SMALL_FUNCTIONS
#define _LGPL_SOURCE
#endif
#include <urcu/urcu-bp.h>

#include "loops.h"

static void enter(void)
{
}

static void leave(void)
{
}

static void loop(void)
{
	for (size_t i = 0; i < LOOP; i++) {
		urcu_bp_read_lock();
		urcu_bp_read_unlock();
	}
}

static void synchronize(void)
{
	urcu_bp_synchronize_rcu();
}

const struct urcu_flavour urcu_flavour_bp = {"bp", enter, leave, loop, synchronize};
