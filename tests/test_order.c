/* SPDX-License-Identifier: MIT
 *
 * A look at everything finds an object that was published a moment ago, and nothing but its generation, stored
 * last, tells the detector so. The threads here tell each other by flags that order nothing, so that
 * ThreadSanitizer has only the library's own order to go by; without it this shows little.
 */
#include <sched.h>
#include <string.h>

#include "node.h"
#include "pause.h"

static atomic_bool copy_is_due, copy_goes;

static void raise_flag(atomic_bool *flag)
{
	atomic_store_explicit(flag, true, memory_order_relaxed);
}

static void wait_for_flag(atomic_bool *flag)
{
	while (!atomic_load_explicit(flag, memory_order_relaxed))
		sched_yield();
}

static void hold_the_copy(const char *point)
{
	if (strcmp(point, "window.copy_due") != 0 || !cgc__collector_is_self())
		return;
	raise_flag(&copy_is_due);
	wait_for_flag(&copy_goes);
}

static void *look_at_everything(UNUSED void *argument)
{
	cgc_collect(2);
	return NULL;
}

static void a_look_sees_the_whole_of_what_it_finds(UNUSED void **state)
{
	struct node *first = make_of(&plain_type, 1);
	cgc_publish(first); /* its slab is known */
	cgc__pause_handle(hold_the_copy);
	pthread_t other = thread_start(look_at_everything, NULL);
	wait_for_flag(&copy_is_due);
	struct node *second = make_of(&plain_type, 2);
	cgc_publish(second);
	raise_flag(&copy_goes);
	thread_join(other);
	cgc__pause_handle(NULL);
	node_check(second);
	cgc_release(first);
	cgc_release(second);
	settle();
	assert_int_equal(live(), 0);
}

/* The handler of pause points is called when there are yields, however few. */
static int setup_pauses(void **state)
{
	(void)state;
	return start_with("enable=0,poison=1,yield=4294967295");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_look_sees_the_whole_of_what_it_finds, setup_pauses, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
