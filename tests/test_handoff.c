/* SPDX-License-Identifier: MIT
 *
 * Leaves that are handed over and were never in a field since, nor had a weak reference: nobody can come upon them, so
 * they die with their last handle, at once, wherever that is released. What was in a field waits for readers.
 * Model: tests/model/handoff.pml.
 */
#include "heap.h"
#include "pass.h"

struct holder {
	cgc_ref(struct leaf) leaf;
};
static struct cgc_type holder_type = {
	.name = "holder", .size = sizeof(struct holder), CGC_FIELDS(CGC_FIELD(struct holder, leaf))};
/* The same, declared never to be in a cycle. */
static struct cgc_type acyclic_type = {.name = "acyclic",
                                       .size = sizeof(struct holder),
                                       CGC_FIELDS(CGC_FIELD(struct holder, leaf)),
                                       .flags = CGC_ACYCLIC};

static bool is_handed(const void *object)
{
	return (atomic_load(&cgc__header_of(object)->shared) & CGC__HANDED) != 0;
}

static uint64_t freed_by_count(void)
{
	return stats_now().objects_freed_by_count;
}

static void *release(void *leaf)
{
	cgc_release(leaf);
	return NULL;
}

/* ---------------------------------------------------------------------------------------------
 * At once
 * ------------------------------------------------------------------------------------------- */

static void what_is_handed_over_dies_with_its_last_handle(UNUSED void **state)
{
	struct cgc_stats before = stats_now();
	for (int i = 0; i < 1000; i++) {
		struct leaf *leaf = cgc_new(&leaf_type);
		cgc_transfer(leaf);
		assert_true(is_handed(leaf));
		if (i % 100 == 0)
			in_thread(release, leaf);
		else
			cgc_release(leaf);
		assert_int_equal(freed_by_count(), before.objects_freed_by_count + i + 1);
	}
	assert_int_equal(stats_now().objects_waiting, before.objects_waiting);
	assert_int_equal(live(), 0);
}

static void each_handle_counts(UNUSED void **state)
{
	uint64_t before = freed_by_count();
	struct leaf *leaf = cgc_new(&leaf_type);
	cgc_transfer(leaf);
	cgc_retain(leaf);
	cgc_release(leaf);
	assert_int_equal(freed_by_count(), before);
	cgc_release(leaf);
	assert_int_equal(freed_by_count(), before + 1);
}

static void nothing_is_handed_over_but_leaves(UNUSED void **state)
{
	struct holder *holder = cgc_new(&acyclic_type);
	cgc_store_consume(holder, &holder->leaf, cgc_new(&leaf_type));
	cgc_transfer(holder);
	assert_false(is_handed(holder));
	cgc_release(holder);
	struct node *node = make(1);
	cgc_transfer(node);
	assert_false(is_handed(node));
	cgc_release(node);
	struct leaf *twice = cgc_retain((struct leaf *)cgc_new(&leaf_type));
	cgc_transfer(twice); /* one handle of two */
	assert_false(is_handed(twice));
	cgc_release(twice);
	cgc_release(twice);
	struct leaf *published = cgc_new(&leaf_type);
	cgc_publish(published);
	assert_false(is_handed(published));
	cgc_release(published);
	settle();
	assert_int_equal(live(), 0);
}

/* ---------------------------------------------------------------------------------------------
 * Later
 * ------------------------------------------------------------------------------------------- */

static void nothing_dies_at_once_in_a_read_section(UNUSED void **state)
{
	uint64_t before = freed_by_count();
	struct leaf *leaf = cgc_new(&leaf_type);
	cgc_transfer(leaf);
	cgc_read_lock();
	cgc_release(leaf);
	assert_int_equal(freed_by_count(), before);
	cgc_read_unlock();
	settle();
	assert_int_equal(freed_by_count(), before + 1);
}

static cgc_ref(struct leaf) root;

enum way { STORED, CONSUMED, EXCHANGED, COMPARED, IN_A_GRAPH, WEAK, WAYS };

/* Puts it where others come upon it. */
static void place(enum way way, struct leaf *leaf, struct holder *holder)
{
	switch (way) {
	case STORED:
		cgc_store(CGC_ROOT, &root, leaf);
		break;
	case CONSUMED:
		cgc_store_consume(CGC_ROOT, &root, cgc_retain(leaf));
		break;
	case EXCHANGED:
		assert_null(cgc_exchange(CGC_ROOT, &root, cgc_retain(leaf)));
		break;
	case COMPARED:
		assert_true(cgc_compare_exchange(CGC_ROOT, &root, NULL, leaf));
		break;
	case IN_A_GRAPH:
		cgc_store(holder, &holder->leaf, leaf);
		cgc_publish(holder);
		break;
	default:
		cgc_weak_free(cgc_weak_new(leaf, NULL, NULL));
	}
}

static void what_others_may_come_upon_waits_for_readers(UNUSED void **state)
{
	for (enum way way = STORED; way < WAYS; way++) {
		struct leaf *leaf = cgc_new(&leaf_type);
		struct holder *holder = cgc_new(&holder_type);
		cgc_transfer(leaf);
		place(way, leaf, holder);
		if (is_handed(leaf))
			fail_msg("way %d: still handed", way);
		cgc_release(holder);
		cgc_store(CGC_ROOT, &root, NULL);
		settle();
		uint64_t before = freed_by_count();
		cgc_release(leaf);
		assert_int_equal(freed_by_count(), before);
		settle();
		assert_int_equal(freed_by_count(), before + 1);
	}
	assert_int_equal(live(), 0);
}

/* ---------------------------------------------------------------------------------------------
 * Many threads
 * ------------------------------------------------------------------------------------------- */

enum { THREADS = 4, PLACES = 16, ROUNDS = IS_SANITIZED ? 3000 : 100000, MARK = 0x1eaf };
static _Atomic(struct leaf *) places[PLACES];

static void check_and_release(struct leaf *leaf)
{
	if (leaf == NULL)
		return;
	MUST(leaf->value == MARK);
	cgc_release(leaf);
}

static void *pass_leaves_on(void *seed)
{
	uint64_t random = (uintptr_t)seed * 88172645463325252u + 1;
	for (int i = 0; i < ROUNDS; i++) {
		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		struct leaf *leaf = cgc_new(&leaf_type);
		leaf->value = MARK;
		cgc_transfer(leaf);
		if (random % 8 == 0) {
			cgc_retain(leaf);
			check_and_release(atomic_exchange(&places[(random >> 8) % PLACES], leaf));
		}
		if ((random >> 16) % 8 == 0)
			cgc_store(CGC_ROOT, &root, leaf);
		check_and_release(atomic_exchange(&places[(random >> 24) % PLACES], leaf));
		cgc_read_lock();
		struct leaf *seen = cgc_borrow(&root);
		MUST(seen == NULL || seen->value == MARK);
		cgc_read_unlock();
	}
	return NULL;
}

static void leaves_go_round(UNUSED void **state)
{
	pthread_t threads[THREADS];
	for (uintptr_t i = 0; i < THREADS; i++)
		threads[i] = thread_start(pass_leaves_on, (void *)(i + 1));
	for (int i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	for (int i = 0; i < PLACES; i++)
		check_and_release(atomic_exchange(&places[i], NULL));
	cgc_store(CGC_ROOT, &root, NULL);
	settle();
	assert_int_equal(live(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_handed_over_dies_with_its_last_handle),
		TEST(each_handle_counts),
		TEST(nothing_is_handed_over_but_leaves),
		TEST(nothing_dies_at_once_in_a_read_section),
		TEST(what_others_may_come_upon_waits_for_readers),
		TEST(leaves_go_round),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
