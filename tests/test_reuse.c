/* SPDX-License-Identifier: MIT
 *
 * Memory that is free is used again or given back: of objects, whoever freed them, of queues and of the table of weak
 * references. How much is reserved may vary a little; what these tests do would take much more.
 */
#include <string.h>
#include <time.h>

#include "pass.h"

static uint64_t reserved(void)
{
	return stats_now().bytes_reserved;
}

static void freed_memory_is_filled(UNUSED void **state)
{
#ifdef __SANITIZE_ADDRESS__
	skip(); /* it knows freed memory by itself */
#endif
	static struct cgc_type bytes_type = {.name = "bytes", .size = 1024};
	unsigned char *bytes = cgc_new(&bytes_type), filled[1024];
	memset(bytes, 1, sizeof(filled));
	memset(filled, 0x5a, sizeof(filled));
	cgc_release(bytes);
	assert_memory_equal(bytes, filled, sizeof(filled));
	bytes = cgc_new(&bytes_type);
	cgc_transfer(bytes);
	cgc_release(bytes);
	assert_memory_equal(bytes, filled, sizeof(filled));
}

struct text {
	cgc_ref(struct node) about;
	char bytes[];
};
static struct cgc_type text_type = {.name = "text",
                                    .size = sizeof(struct text),
                                    CGC_FIELDS(CGC_FIELD(struct text, about)),
                                    .flags = CGC_TRAILING_BYTES,
                                    .trailing = CGC_BYTES_FIELD(struct text, bytes)};

/* The cell that it gets has just been full of something else, and so are those beside it. */
static void a_short_array_is_cleared_and_nothing_else(UNUSED void **state)
{
	for (size_t length = 0; length < 300; length++) {
		struct text *texts[3];
		for (int i = 0; i < 3; i++) {
			texts[i] = cgc_new_n(&text_type, length);
			memset(texts[i]->bytes, 0x41, length);
		}
		cgc_release(texts[1]);
		texts[1] = cgc_new_n(&text_type, length);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(cgc_trailing_count(texts[i]), length);
			for (size_t j = 0; j < length; j++)
				assert_int_equal(texts[i]->bytes[j], i == 1 ? 0 : 0x41);
		}
		for (int i = 0; i < 3; i++)
			cgc_release(texts[i]);
	}
}

/* ---------------------------------------------------------------------------------------------
 * Objects that another thread frees
 * ------------------------------------------------------------------------------------------- */

#define MANY 20000
#define BYTES (MANY * sizeof(struct node))
static struct node *nodes[MANY];

static struct node *make_transferred(int id)
{
	struct node *node = make(id);
	cgc_transfer(node);
	return node;
}

/* Every nth. */
static void *release_some(void *step)
{
	for (size_t i = 0; i < MANY; i += (size_t)(intptr_t)step) {
		cgc_release(nodes[i]);
		nodes[i] = NULL;
	}
	return NULL;
}

static void release_rest(void)
{
	for (int i = 0; i < MANY; i++) {
		cgc_release(nodes[i]);
		nodes[i] = NULL;
	}
}

static void make_all(bool half_private)
{
	for (int i = 0; i < MANY; i++)
		nodes[i] = half_private && i % 2 != 0 ? make(i) : make_transferred(i);
}

/* In slabs that are never empty. */
static void cells_freed_by_owner_and_others_are_used_again(UNUSED void **state)
{
	enum { HELD = MANY / 50 };
	static struct node *held[HELD];
	uint64_t before = 0;
	for (int round = 0; round < 12; round++) {
		make_all(true);
		if (round == 0)
			for (int i = 0; i < HELD; i++)
				held[i] = cgc_retain(nodes[50 * i + 1]);
		in_thread(release_some, (void *)2);
		release_rest();
		pass_grace_periods();
		if (round == 3)
			before = reserved();
	}
	for (int i = 0; i < HELD; i++)
		cgc_release(held[i]);
	assert_true(reserved() < before + BYTES);
}

/* Half of each slab by others, then the rest by its owner. */
static void a_slab_that_owner_and_others_emptied_is_given_back(UNUSED void **state)
{
	cgc_collect(2);
	uint64_t before = reserved();
	make_all(true);
	assert_true(reserved() > before + BYTES);
	in_thread(release_some, (void *)2);
	pass_grace_periods();
	/* The owner picks up what others have freed. */
	cgc_release(make_chain(MANY / 2));
	release_rest();
	for (int i = 0; i < 10; i++) {
		cgc_collect(2);
		cgc_release(cgc_new_n(&array_type, 5000));
	}
	assert_true(reserved() < before + BYTES / 2);
}

static void slabs_that_their_owner_emptied_are_given_back(UNUSED void **state)
{
	enum { COUNT = 2000 };
	static struct cgc_type large_type = {.name = "large", .size = 4000};
	static void *objects[COUNT];
	uint64_t before = reserved();
	for (int i = 0; i < COUNT; i++)
		objects[i] = cgc_new(&large_type);
	assert_true(reserved() > before + COUNT * large_type.size);
	for (int i = 0; i < COUNT; i++)
		cgc_release(objects[i]);
	assert_true(reserved() < before + COUNT / 4 * large_type.size);
}

/* The owner does not allocate any more. The bound only ends a test that hangs. */
static void slabs_that_others_emptied_are_given_back(UNUSED void **state)
{
	cgc_collect(2);
	uint64_t before = reserved();
	make_all(false);
	cgc_collect(0); /* looks at what it touched */
	in_thread(release_some, (void *)1);
	time_t begun = time(NULL);
	while (reserved() > before + BYTES / 4) {
		if (time(NULL) - begun > 30)
			fail_msg("%d bytes more than before", (int)(reserved() - before));
		sched_yield();
	}
}

/* The owner goes on allocating from a slab of which others have freed every cell. */
static void a_slab_is_not_given_back_while_its_owner_uses_it(UNUSED void **state)
{
	static struct cgc_type first_type = {.name = "first", .size = 1000},
			       second_type = {.name = "second", .size = 1200};
	enum { COUNT = 20 };
	unsigned char *first[COUNT], *second[COUNT];
	for (int round = 0; round < 10; round++) {
		memset(nodes, 0, sizeof(nodes));
		for (int i = 0; i < COUNT; i++) {
			nodes[i] = cgc_new(&first_type);
			cgc_transfer(nodes[i]);
		}
		in_thread(release_some, (void *)1);
		pass_grace_periods();
		for (int i = 0; i < COUNT; i++) {
			memset(second[i] = cgc_new(&second_type), 2, 1200);
			memset(first[i] = cgc_new(&first_type), 1, 1000);
		}
		for (int i = 0; i < COUNT; i++)
			for (int j = 0; j < 1000; j++) {
				assert_int_equal(first[i][j], 1);
				assert_int_equal(second[i][j], 2);
			}
		for (int i = 0; i < COUNT; i++) {
			cgc_release(first[i]);
			cgc_release(second[i]);
		}
	}
}

/* ---------------------------------------------------------------------------------------------
 * Queues and tables
 * ------------------------------------------------------------------------------------------- */

static void a_queue_gives_back_what_it_no_longer_holds(UNUSED void **state)
{
	uint64_t before = 0;
	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < 500; i++)
			drop_decoy();
		pass_grace_periods();
		if (round == 20)
			before = reserved();
	}
	/* 90,000 entries of 16 bytes. */
	assert_true(reserved() < before + 500000);
}

static void a_table_is_as_large_as_its_references_are_many(UNUSED void **state)
{
	struct node *node = make(1);
	cgc_weak_free(cgc_weak_new(node, NULL, NULL));
	uint64_t before = reserved();
	for (int i = 0; i < 200000; i++)
		cgc_weak_free(cgc_weak_new(node, NULL, NULL));
	assert_true(reserved() < before + 100000);
	cgc_release(node);
	cgc_collect(2);
}

#define WEAKS 100
static struct cgc_weak *weak[WEAKS];
static int next_called;

static void expect_in_order(struct cgc_weak *called, UNUSED void *argument)
{
	MUST(called == weak[--next_called]);
}

/* The most recent first. */
static void callbacks_keep_their_order_in_a_growing_table(UNUSED void **state)
{
	struct node *node = make(1);
	for (next_called = 0; next_called < WEAKS; next_called++)
		weak[next_called] = cgc_weak_new(node, expect_in_order, NULL);
	cgc_release(node);
	cgc_collect(2);
	assert_int_equal(next_called, 0);
	for (int i = 0; i < WEAKS; i++)
		cgc_weak_free(weak[i]);
}

/* The copy of a whole look takes some 50 bytes for each object. How long the detector has to rest is its own business:
 * the bound only ends a test that hangs. */
static void a_detector_at_rest_gives_back_what_a_look_at_much_took(UNUSED void **state)
{
	enum { OBJECTS = 200000 };
	struct node *first = make(0);
	cgc_publish(first);
	cgc_collect(2);
	uint64_t before = reserved();
	struct node *chain = make_chain(OBJECTS);
	cgc_publish(chain);
	cgc_collect(2);
	assert_in_range(reserved(), before + OBJECTS * sizeof(struct node), UINT64_MAX);
	cgc_release(chain);
	cgc_collect(2);
	time_t began = time(NULL);
	while (reserved() > before + (2 << 20) && time(NULL) < began + 60)
		sched_yield();
	assert_in_range(reserved(), 0, before + (2 << 20));
	cgc_release(first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(freed_memory_is_filled),
		TEST(a_short_array_is_cleared_and_nothing_else),
		TEST(cells_freed_by_owner_and_others_are_used_again),
		TEST(a_slab_that_owner_and_others_emptied_is_given_back),
		TEST(slabs_that_their_owner_emptied_are_given_back),
		TEST(slabs_that_others_emptied_are_given_back),
		TEST(a_slab_is_not_given_back_while_its_owner_uses_it),
		TEST(a_queue_gives_back_what_it_no_longer_holds),
		TEST(a_detector_at_rest_gives_back_what_a_look_at_much_took),
		TEST(a_table_is_as_large_as_its_references_are_many),
		TEST(callbacks_keep_their_order_in_a_growing_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
