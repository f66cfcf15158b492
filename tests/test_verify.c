/* SPDX-License-Identifier: MIT
 *
 * cgc_debug_verify(): a sound heap is found sound, whatever state its objects are in, and when it may be called.
 * That each of its checks can fail is in test_verify_objects.c and test_verify_lists.c.
 */
#include "child.h"
#include "verify.h"

/* ---------------------------------------------------------------------------------------------
 * Sound heaps
 * ------------------------------------------------------------------------------------------- */

static void an_empty_heap_is_sound(UNUSED void **state)
{
	assert_sound();
}

static struct cgc_type large_type = {.name = "large", .size = 100000};

static void private_objects_are_sound(UNUSED void **state)
{
	struct node *ring = make_ring_of(&plain_type, 5), *chain = make_chain(300);
	struct leaf *leaf = cgc_new(&leaf_type);
	struct array *array = cgc_new_n(&array_type, 40);
	void *large = cgc_new(&large_type);
	cgc_store(array, &array->items[39], ring);
	cgc_store(array, &array->items[0], ring);
	assert_sound();
	cgc_collect(0); /* the tracked ones to generation 1 */
	assert_int_equal(cgc_generation(ring), 1);
	struct node *young = make_of(&plain_type, 6);
	cgc_store(young, &young->slot[2], ring);
	assert_sound();
	cgc_release(young);
	cgc_release(chain);
	cgc_release(large);
	assert_sound();
	cgc_collect(1);
	cgc_release(leaf);
	cgc_release(array);
	cgc_release(ring);
	assert_sound();
}

static void published_objects_are_sound(UNUSED void **state)
{
	struct node *ring = make_ring_of(&plain_type, 5), *owned = make(6);
	struct array *array = cgc_new_n(&array_type, 2000);
	cgc_store(array, &array->items[1999], ring);
	cgc_publish(array);
	cgc_store(CGC_ROOT, &root, owned);
	assert_sound();
	cgc_transfer(owned); /* merged: all of it in shared */
	assert_sound();
	cgc_store(owned, &owned->slot[0], ring);
	cgc_store(owned, &owned->slot[1], owned);
	empty_root();
	assert_true(WORD(cgc__header_of(owned)->shared) & CGC__SUSPECT);
	assert_sound();
	cgc_release(cgc_exchange(owned, &owned->slot[1], (struct node *)NULL));
	cgc_release(owned);
	cgc_release(array);
	cgc_release(ring);
	assert_sound();
	let_go();
	settle(); /* the look's tables stay with the slabs */
	hold();
	assert_sound();
}

static void immortal_objects_are_sound(UNUSED void **state)
{
	static struct node *for_ever;
	live_before++;
	for_ever = make_of(&plain_type, 1);
	struct node *held = make_of(&plain_type, 2);
	cgc_store(for_ever, &for_ever->slot[0], held);
	cgc_immortalize(for_ever);
	cgc_store(CGC_ROOT, &root, for_ever);
	cgc_store(held, &held->slot[0], for_ever); /* more references than counts */
	cgc_store(held, &held->slot[1], for_ever);
	assert_sound();
	empty_root();
	cgc_store(for_ever, &for_ever->slot[0], NULL);
	cgc_release(held);
	assert_sound();
}

static void *release_it(void *object)
{
	cgc_release(object);
	return NULL;
}

/* Zero, below zero, a bias being taken away, dead and waiting: until all is gone. */
static void what_waits_is_sound_in_every_round(UNUSED void **state)
{
	struct cgc_weak *weaks[3];
	struct node *chain = make_chain(1000), *shared = make(1), *finalized_one = make_of(&active_type, 2);
	cgc_publish(chain);
	cgc_publish(shared);
	cgc_retain(shared);
	weaks[0] = cgc_weak_new(chain, count_callback, NULL);
	weaks[1] = cgc_weak_new(finalized_one, NULL, NULL);
	weaks[2] = cgc_weak_new(finalized_one, count_callback, NULL);
	in_thread(release_it, shared); /* one of two that this thread counts */
	assert_true(WORD(cgc__header_of(shared)->shared) & CGC__QUEUED);
	assert_sound();
	cgc_release(chain);
	cgc_release(finalized_one);
	assert_true(WORD(cgc__header_of(chain)->shared) & CGC__QUEUED);
	assert_sound();
	bool was_revoked = false;
	for (int i = 0; i < 100 && live() > 1; i++) {
		one_round();
		assert_sound();
		const struct cgc__header *header = cgc__header_of(shared);
		was_revoked |= CGC__KIND(WORD(header->bias)) == CGC__UNBIASED &&
		               (WORD(header->shared) & CGC__MERGED) == 0;
	}
	assert_true(was_revoked);
	assert_int_equal(live(), 1);
	cgc_release(shared);
	assert_sound();
	for (int i = 0; i < 3; i++)
		cgc_weak_free(weaks[i]);
	assert_sound();
}

/* Dead, destroyed, and in the queue of suspects. */
static void the_dead_that_suspicion_keeps_are_sound(UNUSED void **state)
{
	struct node *node = make_in_root();
	cgc_store(node, &node->slot[0], node);
	cgc_store(node, &node->slot[0], NULL);
	assert_true(WORD(cgc__header_of(node)->shared) & CGC__SUSPECT);
	empty_root();
	for (int i = 0; i < 100 && (WORD(cgc__header_of(node)->shared) & CGC__GONE) == 0; i++) {
		one_round();
		assert_sound();
	}
	assert_true(WORD(cgc__header_of(node)->shared) & CGC__GONE);
}

static void a_large_dead_graph_is_sound_while_it_goes(UNUSED void **state)
{
	struct array *array = cgc_new_n(&array_type, 3000);
	for (int i = 0; i < 3000; i++)
		cgc_store_consume(array, &array->items[i], make(i));
	cgc_publish(array);
	cgc_release(array);
	for (int i = 0; i < 100 && live() > 0; i++) {
		one_round();
		assert_sound();
	}
	assert_int_equal(live(), 0);
}

static void *leave_objects(UNUSED void *argument)
{
	struct node *ring = make_ring_of(&plain_type, 3);
	cgc_release(make_ring_of(&plain_type, 4));
	cgc_collect(0);
	cgc_store(ring, &ring->slot[1], make_in_root());
	cgc_release(make(1));
	return ring;
}

static void what_threads_leave_is_sound(UNUSED void **state)
{
	struct node *ring[3];
	for (int i = 0; i < 3; i++) {
		ring[i] = in_thread(leave_objects, NULL);
		assert_sound();
	}
	empty_root();
	for (int i = 0; i < 3; i++)
		cgc_release(ring[i]);
	assert_sound();
	for (int i = 0; i < 5; i++) {
		one_round();
		assert_sound();
	}
}

#define MANY (CGC__CHUNK_ENTRIES + 10) /* more than the last chunk of any queue can take */

static void *release_all(void *objects)
{
	struct node **node = objects;
	for (int i = 0; i < MANY; i++)
		cgc_release(node[i]);
	return NULL;
}

/* Queues without memory: zero ones are linked instead, ones below zero are forgotten until a window. */
static void what_found_no_memory_is_sound(UNUSED void **state)
{
	static struct node *below[MANY], *suspect[MANY], *zero[MANY];
	for (int i = 0; i < MANY; i++) {
		struct node **nodes[] = {&below[i], &suspect[i], &zero[i]};
		for (int j = 0; j < 3; j++)
			cgc_publish(*nodes[j] = make(j));
		cgc_retain(below[i]);
		cgc_retain(suspect[i]);
	}
	cgc__memory_fail_at(1);
	cgc__memory_fail_count(UINT64_MAX);
	release_all(suspect);
	release_all(zero);
	in_thread(release_all, below);
	cgc__memory_fail_at(0);
	cgc__memory_fail_count(1);
	assert_true(WORD(cgc__heap.overflow) != 0);
	assert_true(WORD(cgc__heap.lost_entry) != 0);
	assert_sound();
	for (int i = 0; i < 10; i++) {
		one_round();
		assert_sound();
	}
	assert_int_equal(live(), 2 * MANY);
	release_all(below);
	release_all(suspect);
	assert_sound();
}

/* ---------------------------------------------------------------------------------------------
 * The call
 * ------------------------------------------------------------------------------------------- */

static pthread_barrier_t barrier;

static void *hold_private_objects(UNUSED void *argument)
{
	struct node *ring = make_ring(3);
	meet(&barrier);
	MUST(cgc_debug_verify() == 0); /* two at once */
	meet(&barrier);
	cgc_release(ring);
	return NULL;
}

static void other_threads_may_hold_private_objects(UNUSED void **state)
{
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_t thread = thread_start(hold_private_objects, NULL);
	struct node *node = make(1);
	meet(&barrier);
	assert_int_equal(cgc_debug_verify(), 0);
	meet(&barrier);
	cgc_release(node);
	thread_join(thread);
	pthread_barrier_destroy(&barrier);
}

static void what_it_finds_is_returned_to_the_caller(UNUSED void **state)
{
	struct node *node = make(1);
	struct cgc__header *header = cgc__header_of(node);
	cgc_publish(node);
	/* No order needed, here and below: the heap is quiet. */
	uint8_t flags = atomic_load_explicit(&header->flags, memory_order_relaxed);
	/* No order needed: as above. */
	atomic_store_explicit(&header->flags, flags ^ CGC__PLAIN, memory_order_relaxed);
	int null = dup(STDERR_FILENO);
	FILE *file = tmpfile();
	dup2(fileno(file), STDERR_FILENO);
	size_t violations = cgc_debug_verify();
	dup2(null, STDERR_FILENO);
	close(null);
	fclose(file);
	/* No order needed: as above. */
	atomic_store_explicit(&header->flags, flags, memory_order_relaxed);
	assert_int_equal(violations, 1);
	assert_int_equal(cgc_debug_verify(), 0);
	cgc_release(node);
}

static void without_memory_for_its_tables_it_says_so(UNUSED void **state)
{
	struct node *node = make(1);
	uint64_t reserved = stats_now().bytes_reserved;
	for (unsigned request = 1; request <= 3; request++) {
		cgc__memory_fail_at(request);
		assert_true(verify() == SIZE_MAX);
		assert_non_null(strstr(said, "no memory for its tables"));
		assert_int_equal(lines_said(), 1);
	}
	cgc__memory_fail_at(0);
	assert_sound();
	assert_int_equal(stats_now().bytes_reserved, reserved);
	cgc_release(node);
}

static void scene_in_a_section(void)
{
	cgc_read_lock();
	cgc_debug_verify();
}

static void verify_in_finalizer(UNUSED struct node *node)
{
	cgc_debug_verify();
}

static void scene_in_a_finalizer(void)
{
	struct node *node = make_of(&active_type, 1);
	node->on_finalize = verify_in_finalizer;
	cgc_release(node);
}

static void scene_in_a_finalizer_on_the_background_thread(void)
{
	struct node *node = make_of(&active_type, 1);
	node->on_finalize = verify_in_finalizer;
	cgc_store(node, &node->slot[0], node);
	cgc_publish(node);
	cgc_release(node);
	cgc_collect(2);
}

static void it_is_refused_where_the_heap_is_not_quiet(UNUSED void **state)
{
	assert_aborts("a section", "", "cgc_debug_verify", "inside a read section or a callback");
	assert_aborts("a finalizer", "", "cgc_debug_verify", "inside a read section or a callback");
	assert_aborts("the background thread", "", "cgc_debug_verify", "inside a read section or a callback");
}

static const struct scene scenes[] = {
	{"a section", scene_in_a_section},
	{"a finalizer", scene_in_a_finalizer},
	{"the background thread", scene_in_a_finalizer_on_the_background_thread},
};

int main(int argc, char **argv)
{
	play_scene(argc, argv, scenes, sizeof(scenes) / sizeof(scenes[0]));
	const struct CMUnitTest tests[] = {
		TEST_HELD(an_empty_heap_is_sound),
		TEST_HELD(private_objects_are_sound),
		TEST_HELD(published_objects_are_sound),
		TEST_HELD(immortal_objects_are_sound),
		TEST_HELD(what_waits_is_sound_in_every_round),
		TEST_HELD(the_dead_that_suspicion_keeps_are_sound),
		TEST_HELD(a_large_dead_graph_is_sound_while_it_goes),
		TEST_HELD(what_threads_leave_is_sound),
		TEST_HELD(what_found_no_memory_is_sound),
		TEST(other_threads_may_hold_private_objects),
		TEST(what_it_finds_is_returned_to_the_caller),
		TEST_HELD(without_memory_for_its_tables_it_says_so),
		cmocka_unit_test(it_is_refused_where_the_heap_is_not_quiet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
