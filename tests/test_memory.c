/* SPDX-License-Identifier: MIT
 *
 * When memory is out: what can fail says so, what cannot fail goes on, and nothing is lost. The option fail=N
 * makes the N-th request for memory fail, once.
 */
#include "child.h"

static node_ref root;
static atomic_int handled;

/* Which request is the n-th varies, because the background thread makes some too: several rounds, if need be. */
enum { LAST_FAILURE = IS_SANITIZED ? 40 : 120, ROUNDS = 20 };

/* Has something to give back, so to say. */
static bool try_again(size_t bytes)
{
	MUST(bytes > 0);
	count_up(&handled);
	return true;
}

static bool give_up(UNUSED size_t bytes)
{
	count_up(&handled);
	return false;
}

static void restart_failing_at(int request)
{
	char options[64];
	assert_int_equal(cgc_stop(), live_before);
	snprintf(options, sizeof(options), "enable=0,poison=1,fail=%d", request);
	assert_int_equal(start_with(options), 0);
}

static void attach_somehow(void)
{
	int error = cgc_thread_attach();
	MUST(error == 0 || error == ENOMEM);
	/* It failed once, so it does not fail again. */
	MUST(error == 0 || cgc_thread_attach() == 0);
}

/* ---------------------------------------------------------------------------------------------
 * Allocation
 * ------------------------------------------------------------------------------------------- */

static void try_new_returns_null_and_loses_nothing(UNUSED void **state)
{
	int failures = 0;
	for (int request = 1; request <= LAST_FAILURE || (failures == 0 && request < ROUNDS * LAST_FAILURE);
	     request++) {
		restart_failing_at(1 + (request - 1) % LAST_FAILURE);
		attach_somehow();
		int nulls = 0;
		struct array *array;
		while ((array = cgc_try_new_n(&array_type, 3000)) == NULL)
			MUST(++nulls == 1);
		for (int i = 0; i < 3000; i++) {
			struct node *node = cgc_try_new(&node_type);
			if (node == NULL) {
				MUST(++nulls == 1);
				continue;
			}
			node->magic = NODE_MAGIC;
			cgc_store_consume(array, &array->items[i], node);
		}
		failures += nulls;
		assert_in_range(live(), 3000, 3001);
		cgc_release(array);
		assert_int_equal(live(), 0);
	}
	assert_true(failures > 0);
}

static void a_handler_that_helps_is_asked_again(UNUSED void **state)
{
	count_clear(&handled);
	cgc_set_oom_handler(try_again);
	for (int request = 1;
	     request <= LAST_FAILURE || (count_of(&handled) == 0 && request < ROUNDS * LAST_FAILURE);
	     request++) {
		restart_failing_at(1 + (request - 1) % LAST_FAILURE);
		attach_somehow();
		struct node *chain = make_chain(3000);
		struct array *array = cgc_new_n(&array_type, 100000);
		cgc_store_consume(array, &array->items[99999], chain);
		cgc_release(array);
		assert_int_equal(count_of(&destroyed), 3000);
		assert_int_equal(live(), 0);
	}
	cgc_set_oom_handler(NULL);
	assert_true(count_of(&handled) > 0);
}

/* ---------------------------------------------------------------------------------------------
 * Everything else
 * ------------------------------------------------------------------------------------------- */

static void *work_beside(UNUSED void *argument)
{
	attach_somehow();
	for (int i = 0; i < 50; i++) {
		struct node *ring = make_ring(3);
		cgc_store_consume(CGC_ROOT, &root, ring);
		cgc_release(make_ring(3));
		struct node *other = cgc_load(CGC_ROOT, &root);
		cgc_release(other);
	}
	return NULL;
}

static void callback(struct cgc_weak *weak, UNUSED void *argument)
{
	MUST(cgc_weak_load(weak) == NULL);
	count_up(&called_back);
}

/* Young collections, publication, queues of counts and suspects, weak references, windows, threads. */
static void use_everything(void)
{
	enum { WEAKS = 100 };
	struct cgc_weak *weak[WEAKS];
	attach_somehow();
	for (int i = 0; i < 500; i++)
		cgc_release(make_ring(3));
	cgc_collect(0);
	struct node *chain = make_chain(2000);
	cgc_collect(0);
	cgc_collect(1);
	cgc_store_consume(CGC_ROOT, &root, chain);
	pthread_t thread = thread_start(work_beside, NULL);
	for (int i = 0; i < 1000; i++) {
		struct node *ring = make_ring(2);
		cgc_publish(ring);
		cgc_release(ring);
		struct node *node = make(1);
		cgc_transfer(node);
		cgc_release(node);
	}
	thread_join(thread);
	int made = 0;
	for (int i = 0; i < WEAKS; i++) {
		struct node *node = i % 2 == 0 ? make_ring(2) : make(1);
		weak[i] = cgc_weak_new(node, callback, NULL);
		made += weak[i] != NULL;
		if (weak[i] != NULL)
			MUST(is_alive(weak[i]));
		cgc_release(node);
	}
	MUST(made >= WEAKS - 1);
	cgc_store(CGC_ROOT, &root, NULL);
	/* A window that had no memory finds nothing; the next one does. */
	for (int i = 0; i < 5; i++)
		MUST(cgc_collect(2) >= 0);
	MUST(count_of(&called_back) == made);
	for (int i = 0; i < WEAKS; i++)
		cgc_weak_free(weak[i]);
}

static void no_failure_of_memory_loses_or_leaks_an_object(UNUSED void **state)
{
	cgc_set_oom_handler(try_again);
	for (int request = 0; request <= LAST_FAILURE; request++) {
		restart_failing_at(request);
		use_everything();
		if (live() != 0)
			fail_msg("%d objects live after request %d failed", (int)live(), request);
	}
	cgc_set_oom_handler(NULL);
}

static void a_weak_reference_that_cannot_be_made_changes_nothing(UNUSED void **state)
{
	int nulls = 0;
	cgc_set_oom_handler(try_again);
	for (int request = 1; request <= LAST_FAILURE || (nulls == 0 && request < ROUNDS * LAST_FAILURE);
	     request++) {
		restart_failing_at(1 + (request - 1) % LAST_FAILURE);
		attach_somehow();
		struct node *node = make(1);
		struct cgc_weak *weak = cgc_weak_new(node, callback, NULL);
		if (weak == NULL) {
			nulls++;
			assert_int_equal(cgc_reference_count(node), 1);
			weak = cgc_weak_new(node, callback, NULL);
			assert_non_null(weak);
		}
		assert_true(is_alive(weak));
		cgc_release(node);
		cgc_collect(2);
		assert_int_equal(count_of(&called_back), 1);
		assert_null(cgc_weak_load(weak));
		cgc_weak_free(weak);
		assert_int_equal(live(), 0);
	}
	cgc_set_oom_handler(NULL);
	assert_true(nulls > 0);
}

/* ---------------------------------------------------------------------------------------------
 * Giving up, in a process of its own
 * ------------------------------------------------------------------------------------------- */

/* No failure can be met by the one of fail=N, so the limit is a real one. */
static void limit_memory(size_t bytes)
{
	struct rlimit limit = {bytes, bytes};
	MUST(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void play_give_up_by_default(void)
{
	cgc_thread_attach();
	limit_memory((size_t)1 << 30);
	for (;;)
		cgc_new_n(&array_type, 100000);
}

static void play_give_up_by_handler(void)
{
	cgc_set_oom_handler(give_up);
	cgc_set_oom_handler(NULL);
	cgc_set_oom_handler(give_up);
	play_give_up_by_default();
}

/* Exhausts memory, gives it back, and goes on. */
static void play_recover(void)
{
	cgc_thread_attach();
	limit_memory((size_t)1 << 30);
	for (int round = 0; round < 3; round++) {
		struct array *last = NULL;
		size_t made = 0;
		for (;;) {
			struct array *array = cgc_try_new_n(&array_type, 100000);
			if (array == NULL)
				break;
			cgc_ref(struct array) *link = (void *)&array->items[99999];
			cgc_store_consume(array, link, last);
			last = array;
			made++;
		}
		MUST(made > 100);
		cgc_release(last);
		MUST(live() == 0);
		cgc_release(make_chain(10000));
	}
	cgc_disable(); /* or the background thread may be quicker than this call */
	struct node *ring = make_ring(1000);
	cgc_publish(ring);
	cgc_release(ring);
	MUST(cgc_collect(2) == 1000);
}

static const struct scene scenes[] = {
	{"give_up_by_default", play_give_up_by_default},
	{"give_up_by_handler", play_give_up_by_handler},
	{"recover", play_recover},
};

static void new_gives_up_with_a_message(UNUSED void **state)
{
	if (IS_SANITIZED)
		skip(); /* the sanitizer's own memory does not fit into the limit */
	assert_aborts("give_up_by_default", NULL, "cgc_new_n", "memory");
	assert_aborts("give_up_by_handler", NULL, "cgc_new_n", "memory");
}

static void memory_given_back_ends_the_shortage(UNUSED void **state)
{
	if (IS_SANITIZED)
		skip();
	assert_ends_well("recover", NULL);
}

int main(int argc, char **argv)
{
	play_scene(argc, argv, scenes, sizeof(scenes) / sizeof(scenes[0]));
	const struct CMUnitTest tests[] = {
		TEST(try_new_returns_null_and_loses_nothing),
		TEST(a_handler_that_helps_is_asked_again),
		TEST(no_failure_of_memory_loses_or_leaks_an_object),
		TEST(a_weak_reference_that_cannot_be_made_changes_nothing),
		TEST(new_gives_up_with_a_message),
		TEST(memory_given_back_ends_the_shortage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
