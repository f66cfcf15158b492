/* SPDX-License-Identifier: MIT
 *
 * The option `limit`: a bound on memory that no time moves.
 */
#include "node.h"

#define LIMIT (UINT64_C(64) << 20)

struct big {
	cgc_ref(struct big) next;
	char bytes[3000];
};
static struct cgc_type big_type = {
	.name = "big", .size = sizeof(struct big), CGC_FIELDS(CGC_FIELD(struct big, next))};

static int setup_limit(void **state)
{
	(void)state;
	return start_with("enable=0,poison=1,limit=67108864");
}

static int setup_limit_enabled(void **state)
{
	(void)state;
	return start_with("enable=1,poison=1,limit=67108864");
}

/* A list as long as memory allows; returns its length. */
static size_t fill(struct big **list)
{
	size_t length = 0;
	for (struct big *big; (big = cgc_try_new(&big_type)) != NULL; length++) {
		cgc_store_consume(big, &big->next, *list);
		*list = big;
	}
	return length;
}

static void beyond_the_limit_there_is_no_memory_and_below_there_is_again(UNUSED void **state)
{
	struct big *list = NULL;
	size_t first = fill(&list);
	assert_true(first * sizeof(struct big) > LIMIT / 2);
	assert_true(stats_now().bytes_reserved <= LIMIT);
	cgc_release(list);
	list = NULL;
	size_t second = fill(&list);
	/* What the first list left half used may hold a few less. */
	assert_true(second + second / 10 >= first);
	cgc_release(list);
	assert_int_equal(live(), 0);
}

static void published_memory_comes_back_below_the_limit(UNUSED void **state)
{
	for (int round = 0; round < 3; round++) {
		struct big *list = NULL;
		size_t length = fill(&list);
		assert_true(length * sizeof(struct big) > LIMIT / 2);
		cgc_publish(list);
		/* A ring: only the detector can free it. */
		struct big *last = list;
		cgc_read_lock();
		for (struct big *next; (next = cgc_borrow(&last->next)) != NULL;)
			last = next;
		cgc_store(last, &last->next, list);
		cgc_read_unlock();
		cgc_release(list);
		cgc_collect(2);
		assert_int_equal(live(), 0);
	}
}

/* More garbage than fits, in published rings: threads wait for the detector, and never run out. */
static void *churn(UNUSED void *argument)
{
	for (int i = 0; i < 60000; i++) {
		struct big *big = cgc_try_new(&big_type);
		if (big == NULL)
			return (void *)1;
		cgc_publish(big);
		cgc_store(big, &big->next, big);
		cgc_release(big);
	}
	return NULL;
}

static void threads_wait_for_the_detector_before_memory_is_out(UNUSED void **state)
{
	pthread_t threads[2];
	for (int i = 0; i < 2; i++)
		threads[i] = thread_start(churn, NULL);
	for (int i = 0; i < 2; i++)
		assert_null(thread_join(threads[i]));
	assert_true(stats_now().yields > 0);
	settle();
	assert_int_equal(live(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(beyond_the_limit_there_is_no_memory_and_below_there_is_again,
	                                        setup_limit, teardown),
		cmocka_unit_test_setup_teardown(published_memory_comes_back_below_the_limit, setup_limit,
	                                        teardown),
		cmocka_unit_test_setup_teardown(threads_wait_for_the_detector_before_memory_is_out,
	                                        setup_limit_enabled, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
