/* SPDX-License-Identifier: MIT
 *
 * What every test program shares: a node with references and a magic number, ways to build graphs of it, a
 * fixture that starts and stops the library around each test, and threads that meet.
 *
 * The fixture switches automatic collection off, so that counts are exact, and has freed memory filled. A test
 * passes only if nothing it made is alive when it is over.
 */
#ifndef TESTS_NODE_H
#define TESTS_NODE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <cgc.h>

#define UNUSED __attribute__((unused))

/* cmocka's assertions belong to the thread that runs the tests. Everywhere else (other threads, finalizers,
 * callbacks): */
#define MUST(condition)                                                                         \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

/* A sanitizer makes memory and time dear. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

/* ---------------------------------------------------------------------------------------------
 * Counts that any thread may move
 * ------------------------------------------------------------------------------------------- */

UNUSED static inline int count_up(atomic_int *count)
{
	/* Release: who reads the count sees what was done before. Pairs: count_of(). */
	return atomic_fetch_add_explicit(count, 1, memory_order_acq_rel) + 1;
}

UNUSED static inline int count_of(atomic_int *count)
{
	/* Pairs: count_up(). */
	return atomic_load_explicit(count, memory_order_acquire);
}

UNUSED static inline void count_clear(atomic_int *count)
{
	/* No order needed: only while nobody else counts. */
	atomic_store_explicit(count, 0, memory_order_relaxed);
}

/* ---------------------------------------------------------------------------------------------
 * Nodes
 * ------------------------------------------------------------------------------------------- */

#define NODE_SLOTS 3
#define NODE_MAGIC UINT64_C(0x2d65646f6e2d2d2d)

struct node;
typedef cgc_ref(struct node) node_ref;

struct node {
	node_ref slot[NODE_SLOTS];
	uint64_t magic;
	int id;
	void (*on_finalize)(struct node *self); /* types with a finalizer; may be NULL */
	void (*on_destroy)(struct node *self);
	void *extra;
};

static atomic_int finalized, destroyed, called_back;

UNUSED static void node_check(const struct node *node)
{
	MUST(node->magic == NODE_MAGIC);
}

UNUSED static void node_finalize(void *object)
{
	struct node *node = object;
	node_check(node);
	count_up(&finalized);
	if (node->on_finalize != NULL)
		node->on_finalize(node);
}

UNUSED static void node_destroy(void *object)
{
	struct node *node = object;
	node_check(node);
	count_up(&destroyed);
	if (node->on_destroy != NULL)
		node->on_destroy(node);
}

#define NODE_FIELDS                                                                  \
	CGC_FIELDS(CGC_FIELD(struct node, slot[0]), CGC_FIELD(struct node, slot[1]), \
	           CGC_FIELD(struct node, slot[2]))

/* Nothing but references. */
UNUSED static struct cgc_type plain_type = {.name = "plain", .size = sizeof(struct node), NODE_FIELDS};
/* Counts its destructions. */
UNUSED static struct cgc_type node_type = {
	.name = "node", .size = sizeof(struct node), NODE_FIELDS, .destroy = node_destroy};
/* Counts its finalizations too. */
UNUSED static struct cgc_type active_type = {.name = "active",
                                             .size = sizeof(struct node),
                                             NODE_FIELDS,
                                             .finalize = node_finalize,
                                             .destroy = node_destroy};

/* Without references. */
struct leaf {
	uint64_t value;
};
UNUSED static struct cgc_type leaf_type = {.name = "leaf", .size = sizeof(struct leaf)};

/* A variable number of references. */
struct array {
	size_t length;
	cgc_ref(struct node) items[];
};
UNUSED static struct cgc_type array_type = {.name = "array",
                                            .size = sizeof(struct array),
                                            .flags = CGC_TRAILING,
                                            .trailing = CGC_TRAILING_FIELD(struct array, items)};

UNUSED static struct node *make_of(struct cgc_type *type, int id)
{
	struct node *node = cgc_new(type);
	node->magic = NODE_MAGIC;
	node->id = id;
	return node;
}

UNUSED static struct node *make(int id)
{
	return make_of(&node_type, id);
}

/* `length` nodes in a ring through slot 0, ids from 0; the first one, owned. */
UNUSED static struct node *make_ring_of(struct cgc_type *type, int length)
{
	struct node *first = make_of(type, 0), *last = first;
	for (int i = 1; i < length; i++) {
		struct node *node = make_of(type, i);
		cgc_store_consume(last, &last->slot[0], node);
		last = node; /* borrowed: the ring holds it */
	}
	cgc_store(last, &last->slot[0], first);
	return first;
}

UNUSED static struct node *make_ring(int length)
{
	return make_ring_of(&node_type, length);
}

/* The same, not a ring. */
UNUSED static struct node *make_chain(int length)
{
	struct node *first = NULL;
	for (int i = length - 1; i >= 0; i--) {
		struct node *node = make(i);
		cgc_store_consume(node, &node->slot[0], first);
		first = node;
	}
	return first;
}

/* Borrowed; the caller holds the node, and nobody changes it. */
UNUSED static struct node *peek(struct node *node, int slot)
{
	cgc_read_lock();
	struct node *next = cgc_borrow(&node->slot[slot]);
	cgc_read_unlock();
	return next;
}

UNUSED static void count_callback(struct cgc_weak *weak, void *argument)
{
	MUST(cgc_weak_load(weak) == NULL);
	count_up(argument != NULL ? (atomic_int *)argument : &called_back);
}

/* The caller's reference goes; does the weak one still answer? */
UNUSED static bool is_alive(struct cgc_weak *weak)
{
	void *object = cgc_weak_load(weak);
	cgc_release(object);
	return object != NULL;
}

/* ---------------------------------------------------------------------------------------------
 * Fixture
 * ------------------------------------------------------------------------------------------- */

static uint64_t live_before;

UNUSED static struct cgc_stats stats_now(void)
{
	struct cgc_stats stats;
	cgc_get_stats(&stats);
	return stats;
}

/* Objects that the running test has made and that are not given back. */
UNUSED static uint64_t live(void)
{
	return stats_now().objects_live - live_before;
}

/* Collects until nothing is left, where deaths follow from deaths; gives up when that takes too long. */
UNUSED static void settle(void)
{
	for (int i = 0; i < 1000 && live() > 0; i++)
		cgc_collect(2);
}

UNUSED static int start_with(const char *options)
{
	int error = cgc_start(options);
	if (error != 0) {
		print_error("cgc_start(\"%s\"): error %d\n", options, error);
		return -1;
	}
	count_clear(&finalized);
	count_clear(&destroyed);
	count_clear(&called_back);
	live_before = stats_now().objects_live;
	return 0;
}

UNUSED static int setup(void **state)
{
	(void)state;
	return start_with("enable=0,poison=1");
}

/* For tests of automatic collection. */
UNUSED static int setup_enabled(void **state)
{
	(void)state;
	return start_with("enable=1,poison=1");
}

UNUSED static int teardown(void **state)
{
	(void)state;
	static const unsigned defaults[3] = {2000, 10, 10};
	cgc_set_threshold(defaults);
	size_t violations = cgc_debug_verify();
	size_t alive = cgc_stop();
	if (violations != 0) {
		print_error("%zu violations in the heap after the test\n", violations);
		return -1;
	}
	if (alive != live_before) {
		print_error("%zu objects alive after the test, %zu before\n", alive, (size_t)live_before);
		return -1;
	}
	return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
#define TEST_ENABLED(function) cmocka_unit_test_setup_teardown(function, setup_enabled, teardown)

/* ---------------------------------------------------------------------------------------------
 * Threads
 * ------------------------------------------------------------------------------------------- */

UNUSED static pthread_t thread_start(void *(*run)(void *), void *argument)
{
	pthread_t thread;
	MUST(pthread_create(&thread, NULL, run, argument) == 0);
	return thread;
}

UNUSED static void *thread_join(pthread_t thread)
{
	void *result;
	MUST(pthread_join(thread, &result) == 0);
	return result;
}

/* Runs it in a thread of its own, to the end. */
UNUSED static void *in_thread(void *(*run)(void *), void *argument)
{
	return thread_join(thread_start(run, argument));
}

UNUSED static void meet(pthread_barrier_t *barrier)
{
	pthread_barrier_wait(barrier);
}

#endif
