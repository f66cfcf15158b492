/* SPDX-License-Identifier: MIT
 *
 * cgc_debug_verify() tells one wrong word of an object: its header, its references, its entries, its weak references.
 * Each is written over, must be told as what it is and nothing else, and is put back.
 */
#include "verify.h"

static struct cgc__header *header_of(void *object)
{
	return cgc__header_of(object);
}

static _Atomic(uint8_t) *generation_of(void *object)
{
	struct cgc__slab *slab = cgc__slab_of(header_of(object));
	return &slab->generation[cgc__slab_cell(slab, header_of(object))];
}

/* ---------------------------------------------------------------------------------------------
 * Private objects
 * ------------------------------------------------------------------------------------------- */

static void the_type_of_an_object_is_checked(UNUSED void **state)
{
	struct node *node = make_of(&plain_type, 1);
	struct cgc__header *header = header_of(node);
	uint64_t flags = WORD(header->flags);
	WRONG(header->type, 0, "type unknown: type number 0 is of no type");
	WRONG(header->type, 60000, "type number 60000 is of no type");
	WRONG(plain_type.cgc__info, WORD(plain_type.cgc__info) ^ 0x100, "of type plain: type number");
	WRONG(header->flags, flags ^ CGC__PLAIN, "these never change");
	WRONG(header->flags, flags | CGC__FINALIZED, "FINALIZED, and its type has no finalizer");
	cgc_release(node);
	struct array *array = cgc_new_n(&array_type, 2);
	WRONG(*cgc__slab_trailing(header_of(array)), 40, "with a trailing array it fits");
	cgc_release(array);
}

static void the_kind_of_a_private_object_is_checked(UNUSED void **state)
{
	struct node *node = make_of(&plain_type, 1);
	struct cgc__header *header = header_of(node);
	uint64_t flags = WORD(header->flags);
	uint32_t id = cgc__self->id;
	WRONG(header->bias, CGC__BIAS(id + 1, CGC__PRIVATE), "private with bias");
	WRONG(header->bias, CGC__BIAS(id, CGC__DYING), "kind 5: dying ones");
	WRONG(header->bias, CGC__BIAS(id, 7), "kind 7: dying ones");
	WRONG(header->bias, CGC__FREE, "neither in free nor in remote");
	WRONG(*generation_of(node), 1, "private, generation 1");
	WRONG(*generation_of(node), 2, "private, generation 2");
	WRONG(header->flags, flags | CGC__DESTROYED, "DESTROYED and CONDEMNED_ONCE are of the published");
	WRONG(header->flags, flags | CGC__CONDEMNED_ONCE, "DESTROYED and CONDEMNED_ONCE are of the published");
	WRONG(header->shared, 2, "scratch, zero outside of a collection");
	WRONG(header->local, 0, "private, count 0, 0 references");
	cgc_collect(0);
	assert_int_equal(cgc_generation(node), 1);
	assert_sound();
	WRONG(*generation_of(node), 0, "private, generation 0");
	cgc_release(node);
}

static void a_private_count_is_not_below_the_references(UNUSED void **state)
{
	struct node *node = make_of(&plain_type, 1), *twice = make_of(&plain_type, 2);
	cgc_store(node, &node->slot[0], twice);
	cgc_store_consume(node, &node->slot[2], twice);
	WRONG(header_of(twice)->local, 1, "private, count 1, 2 references");
	cgc_release(node);
}

static void a_private_reference_is_noted_at_both_ends(UNUSED void **state)
{
	struct node *node = make_of(&plain_type, 1), *held = make_of(&plain_type, 2);
	cgc_store_consume(node, &node->slot[0], held);
	WRONG(header_of(held)->flags, WORD(header_of(held)->flags) ^ CGC__LINKED, "or the other not LINKED");
	WRONG(header_of(node)->flags, WORD(header_of(node)->flags) ^ CGC__FILLED, "one is not FILLED");
	cgc_release(node);
}

static struct node *others;
static pthread_barrier_t barrier;

static void *hold_a_private_object(UNUSED void *argument)
{
	others = make_of(&plain_type, 1);
	meet(&barrier);
	meet(&barrier);
	cgc_release(others);
	return NULL;
}

static void a_reference_leads_to_an_object_that_may_be_referred_to(UNUSED void **state)
{
	struct node *node = make_of(&plain_type, 1), *published = make_in_root(),
		    *gone = make_of(&plain_type, 2);
	struct node *other = make_of(&plain_type, 3);
	cgc_release(gone);
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_t thread = thread_start(hold_a_private_object, NULL);
	meet(&barrier);
	WRONG(node->slot[1], 0x10000, "reference 1 is 0x10000, where no object is");
	WRONG(node->slot[1], AS_WORD(published) + 16, "where no object is");
	WRONG(node->slot[1], AS_WORD(published) + sizeof(root) * 2000, "where no object is");
	WRONG(node->slot[2], AS_WORD(gone), "which has been given back");
	WRONG(node->slot[0], AS_WORD(others), "private to another context");
	WRONG(published->slot[0], AS_WORD(node), "published, and reference 0 is");
	cgc_store(node, &node->slot[0], other);
	WRONG_TIMES(2, header_of(other)->bias, CGC__BIAS(cgc__self->id, CGC__DYING), "which is dying");
	meet(&barrier);
	thread_join(thread);
	pthread_barrier_destroy(&barrier);
	cgc_release(other);
	cgc_release(node);
	empty_root();
}

/* ---------------------------------------------------------------------------------------------
 * Published objects
 * ------------------------------------------------------------------------------------------- */

static void who_counts_a_published_object_is_checked(UNUSED void **state)
{
	struct node *node = make_of(&plain_type, 1);
	struct cgc__header *header = header_of(node);
	cgc_store(CGC_ROOT, &root, node); /* one in local, one in shared */
	uint64_t shared = WORD(header->shared);
	WRONG(*generation_of(node), 1, "published, and of generation 1");
	WRONG(header->bias, CGC__BIAS(cgc__self->id + 1, CGC__BIASED), "published with bias");
	WRONG(header->bias, CGC__BIAS(1, CGC__UNBIASED), "published with bias");
	WRONG_TIMES(2, header->shared, shared | CGC__MERGED, "biased and MERGED");
	WRONG(header->local, UINT64_C(7) << 32, "not MERGED, and the local count is 0");
	WRONG(header->shared, shared - 2 * CGC__SHARED_ONE, "shared count -1, and not QUEUED");
	WRONG_TIMES(2, header->shared, shared - 3 * CGC__SHARED_ONE, "count -1, 0 references");
	cgc_release(node);
	shared = WORD(header->shared);
	WRONG(header->local, 1, "MERGED, and the local count is 1");
	WRONG(header->shared, shared - CGC__SHARED_ONE, "shared count 0, MERGED, and not QUEUED");
	empty_root();
}

static void a_published_count_is_not_below_the_references(UNUSED void **state)
{
	struct node *node = make_in_root(), *twice = make_of(&plain_type, 2);
	cgc_store(node, &node->slot[0], twice);
	cgc_store(node, &node->slot[1], twice);
	cgc_release(twice);
	struct cgc__header *header = header_of(twice);
	uint64_t shared = WORD(header->shared);
	WRONG(header->shared, shared - CGC__SHARED_ONE, "count 1, 2 references");
	WRONG_TIMES(2, header->shared, shared | CGC__DEAD, "DEAD, and 2 references to it");
	empty_root();
}

static void the_flags_of_the_living_are_checked(UNUSED void **state)
{
	struct node *node = make_in_root();
	struct cgc__header *header = header_of(node);
	uint64_t shared = WORD(header->shared), flags = WORD(header->flags);
	WRONG(header->shared, shared | CGC__QUEUED, "QUEUED, and 0 pending entries");
	WRONG(header->shared, shared | CGC__SUSPECT, "SUSPECT, and 0 entries");
	WRONG(header->shared, shared | CGC__CONDEMNED, "CONDEMNED, and no window is open");
	WRONG(header->shared, shared | CGC__DEAD, "DEAD, and 0 pending entries");
	WRONG(header->shared, shared | CGC__GONE, "GONE, and not destroyed");
	WRONG(header->shared, shared | CGC__HANDED, "HANDED, and not merged");
	WRONG(header->flags, flags | CGC__DESTROYED, "destroyed, and not DEAD");
	struct leaf *leaf = cgc_new(&leaf_type);
	cgc_publish(leaf);
	WRONG_TIMES(2, header_of(leaf)->shared, WORD(header_of(leaf)->shared) | CGC__SUSPECT,
	            "a SUSPECT of an acyclic type");
	cgc_release(leaf);
	empty_root();
}

static struct cgc__entry *first_entry(const struct cgc__queue *queue)
{
	struct cgc__chunk *chunk = queue->head;
	if (chunk == NULL)
		chunk = (void *)(uintptr_t)WORD(queue->first);
	while (chunk->taken == WORD(chunk->filled))
		chunk = (void *)(uintptr_t)WORD(chunk->next);
	return &chunk->entries[chunk->taken];
}

static void queued_goes_with_one_pending_entry(UNUSED void **state)
{
	struct node *node = make_in_root(), *other = make_of(&plain_type, 2);
	struct cgc__header *header = header_of(node);
	cgc_transfer(other);
	empty_root();
	cgc_release(other);
	struct cgc__entry *entry = first_entry(&cgc__self->pending);
	assert_ptr_equal(entry->object, node);
	uint64_t shared = WORD(header->shared);
	assert_true(shared & CGC__QUEUED);
	WRONG(header->shared, (shared & ~CGC__QUEUED) + CGC__SHARED_ONE, "not QUEUED, and 1 pending entries");
	WRONG_TIMES(2, header->shared, shared & ~CGC__QUEUED, "shared count 0, MERGED, and not QUEUED");
	WRONG_TIMES(2, header->shared, shared | CGC__DEAD, "DEAD, shared is");
	WRONG(entry->word, 0, "queued with 0, its word is");
	WRONG(entry->word, entry->word | CGC__DEAD, "an entry is of one that is queued, or dead");
	WRONG_TIMES(2, entry->object, AS_WORD(other), "QUEUED, and 2 pending entries");
	WRONG_TIMES(3, entry->object, 0x20000, "pending has an entry for 0x20000");
	struct node *private = make_of(&plain_type, 3);
	WRONG_TIMES(3, entry->object, AS_WORD(private), "which is no published object");
	cgc_release(private);
}

static void suspect_goes_with_one_suspect_entry(UNUSED void **state)
{
	struct node *node = make_in_root();
	struct cgc__header *header = header_of(node);
	cgc_store(node, &node->slot[0], node);
	cgc_store(node, &node->slot[0], NULL);
	struct cgc__chunk *chunk = cgc__self->suspects.tail;
	assert_non_null(chunk);
	WRONG(header->shared, WORD(header->shared) & ~CGC__SUSPECT, "not SUSPECT, and 1 entries");
	WRONG_TIMES(2, chunk->entries[WORD(chunk->filled) - 1].object, 0x30000,
	            "suspects has an entry for 0x30000");
	empty_root();
	for (int i = 0; i < 100 && (WORD(header->shared) & CGC__GONE) == 0; i++)
		one_round();
	/* Destroyed; its suspect entry alone keeps the memory. */
	struct node *alive = make_in_root();
	uint64_t shared = WORD(header->shared), flags = WORD(header->flags);
	assert_true(shared & CGC__GONE);
	WRONG(header->shared, shared & ~CGC__GONE, "DEAD, and 0 pending entries");
	WRONG_TIMES(2, header->shared, shared | CGC__QUEUED, "merged, not QUEUED and without bias");
	WRONG_TIMES(2, header->shared, shared & ~CGC__MERGED, "merged, not QUEUED and without bias");
	WRONG(header->flags, flags & ~(uint64_t)CGC__DESTROYED, "GONE, and not destroyed");
	WRONG(node->slot[1], AS_WORD(alive), "destroyed, and reference 1 is");
	empty_root();
}

static void overflow_is_a_list_of_the_queued(UNUSED void **state)
{
	struct node *alive = make_in_root(), *private = make_of(&plain_type, 2), *zero = NULL;
	cgc__memory_fail_at(1);
	cgc__memory_fail_count(UINT64_MAX);
	/* The queue's last chunk may have room. */
	for (int i = 0; i <= CGC__CHUNK_ENTRIES && WORD(cgc__heap.overflow) == 0; i++) {
		while ((zero = cgc_try_new(&plain_type)) == NULL)
			cgc__memory_fail_at(UINT64_MAX);
		cgc__memory_fail_at(1);
		cgc_transfer(zero);
		cgc_release(zero);
	}
	cgc__memory_fail_at(0);
	cgc__memory_fail_count(1);
	struct cgc__header *header = header_of(zero);
	assert_true(WORD(cgc__heap.overflow) == AS_WORD(header));
	assert_sound();
	WRONG(header->local, AS_WORD(header), "overflow leads to");
	WRONG(header->local, AS_WORD(header_of(private)), "overflow leads to");
	WRONG_TIMES(3, header->local, AS_WORD(header_of(alive)), "not QUEUED, and 1 pending entries");
	WRONG_TIMES(3, cgc__heap.overflow, 0, "QUEUED, and 0 pending entries");
	cgc_release(private);
	empty_root();
}

/* ---------------------------------------------------------------------------------------------
 * Weak references
 * ------------------------------------------------------------------------------------------- */

static void a_weak_reference_is_found_by_the_death_of_its_object(UNUSED void **state)
{
	struct node *node = make_in_root(), *other = make_of(&plain_type, 2), *gone = make_of(&plain_type, 3);
	struct cgc_weak *first = cgc_weak_new(node, NULL, NULL), *second = cgc_weak_new(node, NULL, NULL);
	struct {
		void *target, *callback, *argument;
		struct cgc_weak *next;
	} *cell = (void *)second; /* as weak.c has it */
	assert_ptr_equal(cell->target, node);
	assert_ptr_equal(cell->next, first);
	cgc_release(gone);
	uint64_t shared = WORD(header_of(node)->shared), flags = WORD(header_of(node)->flags);
	WRONG_TIMES(2, header_of(node)->shared, shared & ~CGC__HAS_WEAK, "a weak reference, but not HAS_WEAK");
	WRONG_TIMES(3, header_of(node)->flags, flags | CGC__DESTROYED, "destroyed, with a weak reference");
	WRONG(cell->target, 0, "a weak reference to (nil), which is no object");
	WRONG(cell->target, AS_WORD(gone), "which is no object: cleared before memory");
	WRONG_TIMES(2, cell->target, AS_WORD(other), "private, with a weak reference");
	WRONG(cell->next, 0, "counts 2 cells and has 1");
	cgc_weak_free(second);
	struct cgc_weak *third = cgc_weak_new(other, NULL, NULL);
	cell = (void *)third;
	WRONG(cell->target, AS_WORD(node), "its weak reference is in another bucket");
	cgc_weak_free(first);
	cgc_weak_free(third);
	cgc_release(other);
	empty_root();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_HELD(the_type_of_an_object_is_checked),
		TEST_HELD(the_kind_of_a_private_object_is_checked),
		TEST_HELD(a_private_count_is_not_below_the_references),
		TEST_HELD(a_private_reference_is_noted_at_both_ends),
		TEST_HELD(a_reference_leads_to_an_object_that_may_be_referred_to),
		TEST_HELD(who_counts_a_published_object_is_checked),
		TEST_HELD(a_published_count_is_not_below_the_references),
		TEST_HELD(the_flags_of_the_living_are_checked),
		TEST_HELD(overflow_is_a_list_of_the_queued),
		TEST_HELD(queued_goes_with_one_pending_entry),
		TEST_HELD(suspect_goes_with_one_suspect_entry),
		TEST_HELD(a_weak_reference_is_found_by_the_death_of_its_object),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
