/* SPDX-License-Identifier: MIT
 *
 * Memory that runs out at every request in turn, once, for a while, or until the end: nothing is lost, nothing
 * freed early, nobody waits for ever, and everything comes back once there is memory again.
 *
 * The library's requests pass through this program (the linker's --wrap=mallocx), which counts them and lets a
 * range of them fail. The scenario goes through all that takes memory, in three threads; how many requests it
 * makes depends on how they interleave, so it is repeated until one run did not come to the failing request.
 */
#include <limits.h>
#include <sched.h>
#include <time.h>

#include "child.h"

enum { THREADS = 2, ROUNDS = 40, CHAIN = 4200, ROOTS = 8, HANDED = 64, WEAKS = 256 };

/* Whoever asks so often in vain does nothing else any more. */
#define SPINNING 1000000

/* ---------------------------------------------------------------------------------------------
 * Requests
 * ------------------------------------------------------------------------------------------- */

void *real_mallocx(size_t bytes, int flags) __asm__("__real_mallocx");
void *wrapped_mallocx(size_t bytes, int flags) __asm__("__wrap_mallocx");

/* No order needed, here and below: numbers. */
static atomic_ulong requests, failures, first_failing, last_failing;

void *wrapped_mallocx(size_t bytes, int flags)
{
	unsigned long request = atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed) + 1;
	if (request >= atomic_load_explicit(&first_failing, memory_order_relaxed) &&
	    request <= atomic_load_explicit(&last_failing, memory_order_relaxed) &&
	    atomic_fetch_add_explicit(&failures, 1, memory_order_relaxed) < SPINNING)
		return NULL;
	return real_mallocx(bytes, flags);
}

/* From the n-th request on, `count` of them; n = 0: none. */
static void fail_at(unsigned long n, unsigned long count)
{
	atomic_store_explicit(&last_failing, 0, memory_order_relaxed);
	atomic_store_explicit(&requests, 0, memory_order_relaxed);
	atomic_store_explicit(&failures, 0, memory_order_relaxed);
	atomic_store_explicit(&first_failing, n, memory_order_relaxed);
	if (n > 0)
		atomic_store_explicit(&last_failing, count < ULONG_MAX - n ? n + count - 1 : ULONG_MAX,
		                      memory_order_relaxed);
}

static unsigned long failures_now(void)
{
	return atomic_load_explicit(&failures, memory_order_relaxed);
}

/* ---------------------------------------------------------------------------------------------
 * The scenario
 * ------------------------------------------------------------------------------------------- */

static node_ref roots[ROOTS], saved;
static _Atomic(struct node *) handed[HANDED];
static struct cgc_weak *weaks[WEAKS];
static atomic_int made, made_active, weak_made, handed_count;

/* Every third object with a finalizer is brought back by it. */
static void save(struct node *self)
{
	if (self->id % 3 == 0)
		cgc_store(CGC_ROOT, &saved, self);
}

static struct node *try_make(int id)
{
	bool is_active = id % 4 == 0;
	struct node *node = cgc_try_new(is_active ? &active_type : &node_type);
	if (node == NULL)
		return NULL;
	count_up(&made);
	if (is_active)
		count_up(&made_active);
	node->magic = NODE_MAGIC;
	node->id = id;
	node->on_finalize = save;
	return node;
}

/* As long as there was memory for; NULL if there was none at all. */
static struct node *try_chain(int length, bool is_ring)
{
	struct node *last = try_make(0), *first = last;
	if (first == NULL)
		return NULL;
	if (is_ring)
		cgc_retain(last);
	for (int i = 1; i < length; i++) {
		struct node *node = try_make(i);
		if (node == NULL)
			continue;
		cgc_store_consume(node, &node->slot[0], first);
		first = node;
	}
	if (!is_ring)
		return first;
	cgc_store_consume(last, &last->slot[0], first);
	return last;
}

static void check_chain(struct node *node, int length)
{
	cgc_read_lock();
	for (int i = 0; node != NULL && i < length; i++) {
		node_check(node);
		node = cgc_borrow(&node->slot[0]);
	}
	cgc_read_unlock();
}

static void try_weak(struct node *node)
{
	int place = count_of(&weak_made);
	do {
		if (place == WEAKS)
			return;
	} while (!atomic_compare_exchange_weak(&weak_made, &place, place + 1));
	weaks[place] = cgc_weak_new(node, count_callback, NULL);
	if (weaks[place] != NULL)
		MUST(is_alive(weaks[place]));
}

/* Its handle goes to whoever finds it: counted by this thread, released by that one. */
static void hand_over(struct node *node)
{
	int place = count_up(&handed_count) - 1;
	cgc_publish(node);
	/* Pairs: take_over(). */
	node = atomic_exchange_explicit(&handed[place % HANDED], node, memory_order_acq_rel);
	cgc_release(node);
}

static void take_over(void)
{
	for (int i = 0; i < HANDED; i++) {
		/* Pairs: hand_over(). */
		struct node *node = atomic_exchange_explicit(&handed[i], NULL, memory_order_acq_rel);
		if (node != NULL)
			node_check(node);
		cgc_release(node);
	}
}

static void use_node(struct node *node, int round)
{
	struct node *other;
	node_ref *place = &roots[round % ROOTS];
	switch (round % 5) {
	case 0: /* private to its end */
		cgc_release(node);
		break;
	case 1: /* a suspect, if it is a ring */
		cgc_publish(node);
		cgc_release(node);
		break;
	case 2: /* in a root, in place of another one, and others hang off it */
		cgc_store(CGC_ROOT, place, node);
		other = cgc_load(CGC_ROOT, place);
		if (other != NULL)
			cgc_store(other, &other->slot[1], node);
		cgc_release(other);
		cgc_release(node);
		break;
	case 3:
		hand_over(node);
		break;
	case 4:
		try_weak(node);
		cgc_release(node);
		break;
	}
}

static void *work(UNUSED void *argument)
{
	int error = cgc_thread_attach();
	MUST(error == 0 || error == ENOMEM);
	if (error != 0)
		return NULL;
	struct node *kept = try_chain(20, true);
	for (int round = 0; round < ROUNDS; round++) {
		struct node *node = try_chain(1 + round % 4, round % 2 == 0);
		if (node != NULL)
			use_node(node, round);
		if (round % 8 == 7)
			MUST(cgc_collect(round % 16 == 15) >= 0);
		if (round == ROUNDS / 2) {
			cgc_park();
			cgc_unpark();
		}
		check_chain(kept, 20);
	}
	if (kept != NULL)
		use_node(kept, 3);
	return NULL;
}

static void use_everything(void)
{
	pthread_t threads[THREADS];
	if (cgc_thread_attach() != 0)
		return;
	struct node *chain = try_chain(CHAIN, false);
	MUST(cgc_collect(0) >= 0);
	cgc_store(CGC_ROOT, &roots[0], chain);
	for (int i = 0; i < THREADS; i++)
		threads[i] = thread_start(work, NULL);
	for (int i = 0; i < 4; i++) {
		take_over();
		MUST(cgc_collect(2) >= 0);
		check_chain(chain, CHAIN);
	}
	for (int i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	check_chain(chain, CHAIN);
	cgc_release(chain);
	MUST(cgc_collect(2) >= 0);
	take_over();
}

static void begin(void)
{
	count_clear(&made);
	count_clear(&made_active);
	count_clear(&weak_made);
	count_clear(&handed_count);
	count_clear(&destroyed);
	count_clear(&finalized);
	count_clear(&called_back);
}

/* There is memory again. Nobody holds anything, so nothing is left; all was called once. */
static void end(unsigned long n)
{
	int weak_count = 0;
	fail_at(0, 0);
	take_over();
	for (int i = 0; i < ROOTS; i++)
		cgc_store(CGC_ROOT, &roots[i], NULL);
	for (int i = 0; i < 1000 && live() > 0; i++) {
		cgc_store(CGC_ROOT, &saved, NULL);
		cgc_collect(2);
	}
	if (live() != 0)
		fail_msg("%d objects live after request %lu failed", (int)live(), n);
	assert_int_equal(count_of(&destroyed), count_of(&made));
	assert_int_equal(count_of(&finalized), count_of(&made_active));
	for (int i = 0; i < count_of(&weak_made); i++) {
		weak_count += weaks[i] != NULL;
		MUST(weaks[i] == NULL || cgc_weak_load(weaks[i]) == NULL);
		cgc_weak_free(weaks[i]);
	}
	assert_int_equal(count_of(&called_back), weak_count);
}

/* Threads, stop and start, threads; true if a request failed. */
static bool run_failing_at(unsigned long n, unsigned long count, const char *options)
{
	begin();
	fail_at(n, count);
	use_everything();
	/* What has found no memory yet is still alive at the stop, and collected after it. */
	cgc_stop();
	assert_int_equal(cgc_start(options), 0);
	use_everything();
	unsigned long failed = failures_now();
	end(n);
	if (failed >= SPINNING)
		fail_msg("after request %lu failed, somebody asked for memory in a loop", n);
	return failed > 0;
}

static void fail_at_each_request(unsigned long step, unsigned long count, const char *options)
{
	/* A run makes some hundred requests, never as few as that. A sanitizer makes each dear. */
	enum { LEAST = 100, FACTOR = IS_SANITIZED ? 17 : 1, QUIET = IS_SANITIZED ? 1 : 5 };
	assert_int_equal(cgc_stop(), live_before);
	assert_int_equal(start_with(options), 0);
	int quiet = 0;
	unsigned long n = 1;
	for (; quiet < QUIET; n += FACTOR * step)
		if (!run_failing_at(n, count, options))
			quiet++;
	assert_true(n > LEAST);
}

/* Looks by hand and short queues, and the detector at work all the time, with collections of the young in between. */
#define BY_HAND "enable=0,poison=1,chunk=8,pending=16"
#define EAGERLY "enable=1,poison=1,eager=1,chunk=8,pending=4,suspects=1,threshold0=100,threshold1=2"

static void each_request_may_fail_once(UNUSED void **state)
{
	fail_at_each_request(1, 1, BY_HAND);
}

static void each_request_may_fail_once_under_automatic_collection(UNUSED void **state)
{
	fail_at_each_request(1, 1, EAGERLY);
}

static void from_every_third_request_on_several_may_fail(UNUSED void **state)
{
	fail_at_each_request(3, 2, BY_HAND);
	fail_at_each_request(3, 20, EAGERLY);
}

static void from_every_third_request_on_all_may_fail(UNUSED void **state)
{
	fail_at_each_request(3, ULONG_MAX, BY_HAND);
	fail_at_each_request(3, ULONG_MAX, EAGERLY);
}

/* ---------------------------------------------------------------------------------------------
 * Single promises
 * ------------------------------------------------------------------------------------------- */

static void *make_published(UNUSED void *argument)
{
	struct node *node = make(1);
	cgc_publish(node);
	return node;
}

/* Below zero, at zero, and a suspect: the one entry that each leaves finds no memory. */
static void an_entry_that_finds_no_memory_is_made_up_for(UNUSED void **state)
{
	assert_int_equal(cgc_stop(), live_before);
	assert_int_equal(start_with("enable=0,poison=1,chunk=1"), 0);
	/* Blocks of an earlier size are filled up. */
	for (int i = 0; i < 600; i++) {
		struct node *node = make(1);
		cgc_publish(node);
		cgc_retain(node);
		cgc_release(node);
		cgc_release(node);
	}
	for (int way = 0; way < 3; way++) {
		struct node *node = way == 0 ? in_thread(make_published, NULL) : make_ring(1 + way);
		cgc_publish(node);
		if (way == 1)
			cgc_store(node, &node->slot[0], NULL);
		count_clear(&destroyed);
		cgc_collect(2);
		fail_at(1, 1);
		cgc_release(node);
		unsigned long failed = failures_now();
		fail_at(0, 0);
		assert_int_equal(failed, 1);
		cgc_collect(2);
		cgc_collect(2);
		if (live() != 0)
			fail_msg("way %d: %d objects are lost", way, (int)live());
	}
}

/* Dying and counting need no memory, so a shortage does not last: what the program lets go of comes back. */
static void objects_die_by_counting_while_there_is_no_memory(UNUSED void **state)
{
	struct node *chain = make_chain(20000);
	cgc_store_consume(CGC_ROOT, &roots[0], chain);
	struct node *ring = make_ring(3);
	struct cgc_weak *weak = cgc_weak_new(ring, count_callback, NULL);
	uint64_t reserved = stats_now().bytes_reserved;
	fail_at(1, ULONG_MAX);
	cgc_store(CGC_ROOT, &roots[0], NULL);
	cgc_release(ring);
	for (int i = 0; i < 3; i++)
		MUST(cgc_collect(2) >= 0);
	MUST(failures_now() < SPINNING);
	fail_at(0, 0);
	settle();
	assert_int_equal(live(), 0);
	assert_int_equal(count_of(&called_back), 1);
	assert_true(stats_now().bytes_reserved < reserved);
	cgc_weak_free(weak);
}

static void *leave_garbage_without_memory(void *argument)
{
	atomic_int *done = argument;
	for (int i = 0; i < 5000; i++)
		cgc_release(make_ring(2));
	fail_at(1, ULONG_MAX); /* for the array of the collection at the end of the thread */
	count_up(done);
	return NULL;
}

static bool nothing_is_live(void)
{
	return live() == 0;
}

/* The private garbage of a thread that had no memory to collect it at its end is the detector's, by itself. */
static void garbage_left_by_a_thread_without_memory_is_collected(UNUSED void **state)
{
	atomic_int done = 0;
	cgc_set_threshold((const unsigned[]){0, 10, 10});
	in_thread(leave_garbage_without_memory, &done);
	unsigned long failed = failures_now();
	fail_at(0, 0);
	assert_int_equal(count_of(&done), 1);
	assert_true(failed > 0);
	uint64_t windows = stats_now().windows;
	time_t begun = time(NULL);
	while (!nothing_is_live() && time(NULL) - begun < 10)
		sched_yield();
	if (!nothing_is_live())
		fail_msg("%d objects wait for a look at the whole that nobody asks for; %d looks since",
		         (int)live(), (int)(stats_now().windows - windows));
}

/* ---------------------------------------------------------------------------------------------
 * The first use, in a process of its own
 * ------------------------------------------------------------------------------------------- */

static pthread_barrier_t barrier;

static void *attach_and_work(UNUSED void *argument)
{
	int error = cgc_thread_attach();
	MUST(error == 0 || error == ENOMEM);
	meet(&barrier); /* all at once, so that each needs a context */
	if (error != 0)
		MUST(cgc_thread_attach() == 0);
	work(NULL);
	return NULL;
}

/* One request fails, the option's. */
static void play_begin(void)
{
	enum { CROWD = 4 };
	pthread_t threads[CROWD];
	int error = cgc_start("enable=0,poison=1,chunk=2");
	MUST(error == 0 || error == ENOMEM);
	if (error != 0) {
		unsetenv("CGC_OPTIONS"); /* or the first request would fail again */
		MUST(cgc_start("enable=0,poison=1,chunk=2") == 0);
	}
	pthread_barrier_init(&barrier, NULL, CROWD);
	for (int i = 0; i < CROWD; i++)
		threads[i] = thread_start(attach_and_work, NULL);
	for (int i = 0; i < CROWD; i++)
		thread_join(threads[i]);
	pthread_barrier_destroy(&barrier);
	if (cgc_thread_attach() != 0)
		MUST(cgc_thread_attach() == 0);
	take_over();
	for (int i = 0; i < ROOTS; i++)
		cgc_store(CGC_ROOT, &roots[i], NULL);
	for (int i = 0; i < 5; i++) {
		cgc_store(CGC_ROOT, &saved, NULL);
		cgc_collect(2);
	}
	MUST(cgc_stop() == 0);
}

static const struct scene scenes[] = {{"begin", play_begin}};

static void each_request_of_a_process_may_fail(UNUSED void **state)
{
	char options[64];
	for (int n = 1; n <= (IS_SANITIZED ? 12 : 80); n++) {
		snprintf(options, sizeof(options), "fail=%d", n);
		assert_ends_well("begin", options);
	}
}

int main(int argc, char **argv)
{
	play_scene(argc, argv, scenes, sizeof(scenes) / sizeof(scenes[0]));
	const struct CMUnitTest tests[] = {
		TEST(each_request_may_fail_once),
		TEST(each_request_may_fail_once_under_automatic_collection),
		TEST(from_every_third_request_on_several_may_fail),
		TEST(from_every_third_request_on_all_may_fail),
		TEST(an_entry_that_finds_no_memory_is_made_up_for),
		TEST(objects_die_by_counting_while_there_is_no_memory),
		TEST_ENABLED(garbage_left_by_a_thread_without_memory_is_collected),
		TEST(each_request_of_a_process_may_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
