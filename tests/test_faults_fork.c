/* SPDX-License-Identifier: MIT
 *
 * fork() in a process that uses the library: the child may exec, exit, or do without; any use ends it with a message,
 * at whatever step of whatever thread it was forked. The parent notices nothing.
 */
#include "fork.h"
#include "grace.h" /* CGC__THREAD_SANITIZER */
#include "pause.h"
#include "slab.h" /* CGC__ADDRESS_SANITIZER */

static pthread_barrier_t barrier;

/* ---------------------------------------------------------------------------------------------
 * The child
 * ------------------------------------------------------------------------------------------- */

static void each_use_ends_the_child_with_a_message(UNUSED void **state)
{
	have_something();
	for (int i = 0; i < USES; i++)
		assert_true(is_refused(uses[i].name, uses[i].play));
	give_it_back();
}

static void *fork_unattached(UNUSED void *argument)
{
	for (int i = 0; i < USES; i += IS_SANITIZED ? 5 : 1)
		MUST(is_refused(uses[i].name, uses[i].play));
	return NULL;
}

static void the_thread_that_forks_need_not_be_attached(UNUSED void **state)
{
	have_something();
	in_thread(fork_unattached, NULL);
	give_it_back();
}

static void read_objects(void)
{
	MUST(own->magic == NODE_MAGIC && own->id == 2);
	MUST(theirs->magic == NODE_MAGIC && theirs->id == 1);
}

static void the_child_may_do_without_the_library(UNUSED void **state)
{
	have_something();
	assert_true(ends_well("reading memory", read_objects));
	give_it_back();
}

static void close_section(void)
{
	cgc_read_unlock();
}

static void a_section_open_at_the_fork_is_not_the_childs(UNUSED void **state)
{
	have_something();
	cgc_read_lock();
	bool refused =
		is_refused("cgc_read_unlock", close_section) && is_refused("cgc_release", use_release_shared);
	cgc_read_unlock();
	give_it_back();
	assert_true(refused);
}

static void fork_again(void)
{
	MUST(is_refused("cgc_collect(2)", use_collect_2));
	MUST(ends_well("reading memory", read_objects));
	use_new();
}

static void the_childs_child_is_refused_too(UNUSED void **state)
{
	have_something();
	assert_true(is_refused("cgc_new", fork_again));
	give_it_back();
}

/* ---------------------------------------------------------------------------------------------
 * A parent at work
 * ------------------------------------------------------------------------------------------- */

enum { WORKERS = 3, PLACES = 16 };

static node_ref places[PLACES];
static atomic_bool ending;

static void *work(void *argument)
{
	static atomic_int number;
	int round = count_up(&number) * 7;
	/* No order needed: a flag. */
	while (!atomic_load_explicit(&ending, memory_order_relaxed)) {
		node_ref *place = &places[round++ % PLACES];
		struct node *ring = make_ring(1 + round % 4);
		struct cgc_weak *watch = NULL;
		if (round % 3 == 0)
			watch = cgc_weak_new(ring, count_callback, NULL);
		cgc_store_consume(CGC_ROOT, place, ring);
		struct node *other = cgc_load(CGC_ROOT, &places[round * 5 % PLACES]);
		if (other != NULL)
			node_check(other);
		if (round % 2 == 0) {
			struct node *node = make_of(&active_type, round);
			cgc_store(node, &node->slot[0], other);
			cgc_transfer(node);
			cgc_release(node);
		}
		cgc_release(other);
		if (watch != NULL)
			cgc_release(cgc_weak_load(watch));
		cgc_weak_free(watch);
		/* A large heap makes a slow fork. */
		if (round % 64 == 0)
			cgc_collect(2);
		if (argument != NULL && round % 100 == 0)
			cgc_thread_detach();
	}
	return NULL;
}

#define BUSY_OPTIONS "enable=1,poison=1,eager=1,chunk=4,pending=4,threshold0=50,threshold1=2"

static void begin_work(pthread_t *threads, const char *options)
{
	assert_int_equal(cgc_stop(), live_before);
	assert_int_equal(start_with(options), 0);
	atomic_store_explicit(&ending, false, memory_order_relaxed);
	for (int i = 0; i < WORKERS; i++)
		threads[i] = thread_start(work, i == 0 ? &root : NULL);
}

static void end_work(const pthread_t *threads)
{
	atomic_store_explicit(&ending, true, memory_order_relaxed);
	for (int i = 0; i < WORKERS; i++)
		thread_join(threads[i]);
	for (int i = 0; i < PLACES; i++)
		cgc_store(CGC_ROOT, &places[i], NULL);
}

static void exec_this(void)
{
	execl("/proc/self/exe", "scene", "use_all", (char *)NULL);
	_exit(3);
}

static void exit_at_once(void)
{
	_exit(0);
}

static void a_busy_parent_may_fork_often(UNUSED void **state)
{
	enum { FORKS = IS_SANITIZED ? 40 : 300 };
	pthread_t threads[WORKERS];
	begin_work(threads, BUSY_OPTIONS);
	have_something();
	for (int i = 0; i < FORKS; i++) {
		if (i % 4 != 3)
			assert_true(is_refused(uses[i % USES].name, uses[i % USES].play));
		else if (i % 8 == 3)
			assert_true(ends_well("_exit", exit_at_once));
		else
			assert_true(ends_well("exec", exec_this));
	}
	end_work(threads);
	count_clear(&called_back);
	give_it_back();
}

/* The points of the protocol that have been forked at. */
static struct {
	pthread_mutex_t lock;
	const char *names[256];
	int count;
} points = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void fork_at(const char *point)
{
	pthread_mutex_lock(&points.lock);
	int i = 0;
	while (i < points.count && strcmp(points.names[i], point) != 0)
		i++;
	bool is_new = i == points.count;
	MUST(i < 256);
	if (is_new)
		points.names[points.count++] = point;
	pthread_mutex_unlock(&points.lock);
	if (is_new) {
		MUST(is_refused(point, uses[i % USES].play));
		MUST(is_refused(point, use_attach));
		MUST(ends_well(point, exit_at_once));
	}
}

/* By the thread that passes the point, in its section and with its locks. The option makes the ordinary build pass
 * most of them; it yields at one in 10^9. */
static void each_step_of_the_protocol_may_be_forked_at(UNUSED void **state)
{
	enum { LEAST = 30 };
	pthread_t threads[WORKERS];
	begin_work(threads, BUSY_OPTIONS ",yield=1000000000");
	have_something();
	cgc__pause_handle(fork_at);
	int seen = 0, before;
	do {
		before = seen;
		for (int i = 0; i < 20; i++)
			cgc_collect(2);
		pthread_mutex_lock(&points.lock);
		seen = points.count;
		pthread_mutex_unlock(&points.lock);
	} while (seen < LEAST || seen != before);
	cgc__pause_handle(NULL);
	end_work(threads);
	count_clear(&called_back);
	give_it_back();
	assert_true(seen >= LEAST);
}

static void fork_from(UNUSED struct node *node)
{
	MUST(is_refused("cgc_retain", use_retain_shared));
	MUST(ends_well("_exit", exit_at_once));
}

static void fork_from_callback(UNUSED struct cgc_weak *of, UNUSED void *argument)
{
	fork_from(NULL);
	count_up(&called_back);
}

static void finalizers_and_callbacks_may_fork(UNUSED void **state)
{
	for (int published = 0; published < 2; published++) {
		have_something();
		struct node *node = make_ring_of(&active_type, 2);
		node->on_finalize = node->on_destroy = fork_from;
		struct cgc_weak *watch = NULL;
		if (published)
			watch = cgc_weak_new(node, fork_from_callback, NULL);
		cgc_release(node);
		assert_int_equal(cgc_collect(published ? 2 : 0), 2);
		assert_int_equal(count_of(&called_back), published);
		cgc_weak_free(watch);
		count_clear(&called_back);
		give_it_back();
		count_clear(&called_back);
	}
}

static void *read_during_fork(UNUSED void *argument)
{
	cgc_read_lock();
	struct node *node = cgc_borrow(&root);
	meet(&barrier); /* borrowed */
	meet(&barrier); /* forked, and released by all */
	node_check(node);
	cgc_read_unlock();
	return NULL;
}

/* The section of another thread holds in the parent, as if nothing had been. */
static void a_fork_ends_no_section_of_the_parent(UNUSED void **state)
{
	cgc_store_consume(CGC_ROOT, &root, make(1));
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_t thread = thread_start(read_during_fork, NULL);
	meet(&barrier);
	cgc_store(CGC_ROOT, &root, NULL);
	assert_true(is_refused("cgc_collect(2)", use_collect_2));
	assert_true(ends_well("exec", exec_this));
	assert_int_equal(live(), 1);
	meet(&barrier);
	thread_join(thread);
	pthread_barrier_destroy(&barrier);
	settle();
	assert_int_equal(live(), 0);
}

/* ---------------------------------------------------------------------------------------------
 * Before the first use, and after the last; scenes in a process of their own
 * ------------------------------------------------------------------------------------------- */

static void use_all(void)
{
	pthread_t threads[WORKERS];
	MUST(cgc_start(NULL) == 0);
	uint64_t before = stats_now().objects_live;
	have_something();
	for (int i = 0; i < WORKERS; i++)
		threads[i] = thread_start(work, NULL);
	for (int i = 0; i < 3; i++)
		cgc_collect(2);
	end_work(threads);
	cgc_release(own);
	cgc_release(theirs);
	cgc_store(CGC_ROOT, &root, NULL);
	MUST(cgc_stop() == before);
	cgc_weak_free(weak);
}

static void play_fork_before_first_use(void)
{
	MUST(ends_well("first use", use_all));
	use_all();
}

/* The parent goes on as well. */
static void play_fork_after_stop(void)
{
	for (int i = 0; i < 3; i++) {
		use_all();
		atomic_store_explicit(&ending, false, memory_order_relaxed);
		MUST(ends_well("use after cgc_stop()", use_all));
	}
}

/* Whether the background thread has run yet or not. */
static void play_fork_at_once(void)
{
	MUST(cgc_start(NULL) == 0);
	MUST(is_refused("cgc_collect(2)", use_collect_2));
}

static void play_exit_in_child(void)
{
	pthread_t threads[WORKERS];
	for (int i = 0; i < WORKERS; i++)
		threads[i] = thread_start(work, NULL);
	have_something();
	pid_t child = fork();
	MUST(child >= 0);
	if (child == 0)
		exit(0);
	int status;
	MUST(waitpid(child, &status, 0) == child && status == 0);
	end_work(threads);
}

static const struct scene scenes[] = {
	{"use_all", use_all},
	{"fork_before_first_use", play_fork_before_first_use},
	{"fork_after_stop", play_fork_after_stop},
	{"fork_at_once", play_fork_at_once},
	{"exit_in_child", play_exit_in_child},
};

/* jemalloc makes its mutexes anew in a child, and ThreadSanitizer takes them for locked ones: each is reported when the
 * child first takes memory. */
static void skip_if_the_child_takes_memory(void)
{
#ifdef CGC__THREAD_SANITIZER
	print_message("skipped: jemalloc's locks in a child are reported by ThreadSanitizer\n");
	skip();
#endif
}

static void forked_before_the_first_use_both_may_use_the_library(UNUSED void **state)
{
	skip_if_the_child_takes_memory();
	assert_ends_well("fork_before_first_use", NULL);
}

static void forked_after_the_stop_both_may_start_again(UNUSED void **state)
{
	skip_if_the_child_takes_memory();
	assert_ends_well("fork_after_stop", NULL);
}

static void forked_right_after_the_start_a_child_is_refused(UNUSED void **state)
{
	for (int i = 0; i < (IS_SANITIZED ? 5 : 50); i++)
		assert_ends_well("fork_at_once", NULL);
}

static void a_child_may_exit(UNUSED void **state)
{
#ifdef CGC__ADDRESS_SANITIZER
	print_message("skipped: LeakSanitizer, at exit, may wait for a lock of malloc's that no thread of the "
	              "child has\n");
	skip();
#endif
	assert_ends_well("exit_in_child", NULL);
}

int main(int argc, char **argv)
{
	play_scene(argc, argv, scenes, sizeof(scenes) / sizeof(scenes[0]));
	const struct CMUnitTest tests[] = {
		TEST(each_use_ends_the_child_with_a_message),
		TEST(the_thread_that_forks_need_not_be_attached),
		TEST(the_child_may_do_without_the_library),
		TEST(a_section_open_at_the_fork_is_not_the_childs),
		TEST(the_childs_child_is_refused_too),
		TEST(a_busy_parent_may_fork_often),
		TEST(each_step_of_the_protocol_may_be_forked_at),
		TEST(finalizers_and_callbacks_may_fork),
		TEST(a_fork_ends_no_section_of_the_parent),
		TEST(forked_before_the_first_use_both_may_use_the_library),
		TEST(forked_after_the_stop_both_may_start_again),
		TEST(forked_right_after_the_start_a_child_is_refused),
		TEST(a_child_may_exit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
