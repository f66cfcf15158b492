/* SPDX-License-Identifier: MIT
 *
 * cgc_debug_verify() tells one wrong word of what holds the objects: slabs, their lists, free cells, queues, contexts
 * and counters. Each is written over, must be told as what it is and nothing else, and is put back.
 */
#include "verify.h"

#include "slab.h"

static struct cgc__header *header_of(void *object)
{
	return cgc__header_of(object);
}

static struct cgc__slab *slab_of(void *object)
{
	return cgc__slab_of(header_of(object));
}

/* ---------------------------------------------------------------------------------------------
 * Slabs and their cells
 * ------------------------------------------------------------------------------------------- */

static struct cgc_type large_type = {.name = "large", .size = 100000};

static void the_shape_of_a_slab_is_checked(UNUSED void **state)
{
	struct node *node = make_of(&plain_type, 1);
	struct cgc__slab *slab = slab_of(node);
	const char *what = "not what new_slab() makes";
	WRONG(slab->bytes, slab->bytes + 1, what);
	WRONG(slab->cell_bytes, slab->cell_bytes + 1, what);
	WRONG(slab->cell_count, slab->cell_count + 1, what);
	WRONG(slab->reciprocal, slab->reciprocal + 1, what);
	WRONG(slab->cells_offset, slab->cells_offset + 16, what);
	WRONG_TIMES(2, slab->size_class, slab->size_class + 1, what);
	WRONG(slab->used, slab->bumped + 1, "used <= bumped <= cell_count");
	WRONG(slab->generation[slab->cell_count - 1], 1, "was never used and is not of generation 0");
	cgc_release(node);
	void *large = cgc_new(&large_type);
	slab = slab_of(large);
	WRONG(slab->cell_count, 2, what);
	WRONG(slab->bytes, slab->bytes + 64, "bytes in large objects");
	cgc_release(large);
}

/* The last but `distance` of its free cells. */
static struct cgc__header *free_cell_from_end(const struct cgc__slab *slab, int distance)
{
	struct cgc__header *cell = slab->free, *ahead = cell;
	for (int i = 0; i < distance; i++)
		ahead = (struct cgc__header *)WORD(ahead->local);
	while (WORD(ahead->local) != 0) {
		ahead = (struct cgc__header *)WORD(ahead->local);
		cell = (struct cgc__header *)WORD(cell->local);
	}
	return cell;
}

static void the_cells_of_a_slab_are_free_or_objects(UNUSED void **state)
{
	struct node *node = make_of(&plain_type, 1), *first = make_of(&plain_type, 2),
		    *second = make_of(&plain_type, 3);
	struct cgc__slab *slab = slab_of(node);
	cgc_release(second);
	cgc_release(first);
	assert_ptr_equal(slab->free, header_of(first));
	WRONG(slab->used, slab->used - 1, "used says how many");
	WRONG(free_cell_from_end(slab, 0)->local, AS_WORD(header_of(first)), "is free twice");
	WRONG(header_of(first)->bias, cgc__self->private_bias, "in a list of free cells, and its bias is");
	WRONG(slab->generation[cgc__slab_cell(slab, header_of(first))], 1, "no object, and of generation 1");
	WRONG(free_cell_from_end(slab, 0)->local, AS_WORD(header_of(second)) + 8, "free leads to");
	/* A cell lost: not in its list, and so counted as an object. */
	WRONG_TIMES(3, free_cell_from_end(slab, 1)->local, 0, "its cell is lost");
	cgc_release(node);
}

/* Published objects that the background thread has given back: cells in remote, their slab in returned. */
static void cells_given_back_by_others_are_remote(UNUSED void **state)
{
	struct node *node = make_of(&plain_type, 1);
	struct cgc__slab *slab = slab_of(node);
	make_in_root();
	empty_root();
	for (int i = 0; i < 100 && WORD(slab->remote) == 0; i++)
		one_round();
	uint64_t remote = WORD(slab->remote);
	assert_int_equal(remote >> 32, 1);
	assert_sound();
	WRONG(slab->remote, remote + (UINT64_C(1) << 32), "cells in remote, its word says 2");
	WRONG_TIMES(4, slab->remote, remote + 8, "remote leads to");
	WRONG(slab->remote, remote + (UINT64_C(8) << 16), "the last cell in remote is not");
	WRONG_TIMES(3, slab->remote, 0, "no remote cells it says, but it is on the list");
	WRONG(cgc__self->returned, 0, "remote cells it says, but it is not on the list");
	WRONG(slab->returned_next, AS_WORD(slab), "twice in returned");
	WRONG(cgc__self->collected, AS_WORD(slab), "twice in returned");
	cgc_release(node);
}

static void the_array_of_slabs_is_checked(UNUSED void **state)
{
	struct cgc__context *self = cgc__self;
	struct node *node = make_in_root();
	struct cgc__slab *slab = slab_of(node);
	WRONG(slab->index, slab->index + 1, "slabs[index]");
	WRONG_TIMES(2, slab->is_shared, false, "the shared come first");
	WRONG(self->slab_shared_count, self->slab_shared_count - 1, "the shared come first");
	WRONG(self->slab_capacity, 0, "shared <= all <= capacity");
	WRONG_TIMES(5, slab->context, AS_WORD(self->next), "a slab is of one context for ever");
	let_go();
	cgc_collect(2); /* a window has been over it */
	hold();
	assert_non_null(slab->window_map);
	WRONG(slab->window_map[0], 1, "cell 0 is still in a window");
	empty_root();
}

/* ---------------------------------------------------------------------------------------------
 * Lists of slabs
 * ------------------------------------------------------------------------------------------- */

static void a_slab_is_on_the_lists_that_it_says(UNUSED void **state)
{
	struct cgc__context *self = cgc__self;
	struct node *node = make_of(&plain_type, 1);
	struct cgc__slab *slab = slab_of(node);
	uint64_t holds = WORD(slab->holds);
	WRONG(self->touched, 0, "touched it says, but it is not on the list");
	WRONG_TIMES(2, self->touched, AS_WORD(node), "touched leads to");
	WRONG(slab->touched_next, AS_WORD(slab), "twice in touched");
	WRONG_TIMES(2, slab->holds, holds & ~(uint64_t)CGC__HOLD_TOUCHED, "no collection would find it");
	WRONG(slab->holds, holds | CGC__HOLD_ELDER, "elder it says, but it is not on the list");
	WRONG_TIMES(3, slab->holds, holds & ~(uint64_t)CGC__HOLD_CURRENT,
	            "not current it says, but it is on the list");
	WRONG_TIMES(3, slab->holds, holds & ~(uint64_t)CGC__HOLD_CURRENT,
	            "cells were never used, but nobody allocates from it");
	WRONG(slab->holds, holds | CGC__HOLD_WALK, "nobody walks to it now");
	WRONG(slab->is_partial, true, "partial it says, but it is not on the list");
	WRONG(self->current[slab->size_class], 0, "current it says, but it is not on the list");
	WRONG(self->current[slab->size_class + 1], AS_WORD(slab), "twice in current");
	cgc_collect(0);
	assert_sound();
	holds = WORD(slab->holds);
	assert_true(holds & CGC__HOLD_ELDER);
	WRONG(self->elder, 0, "elder it says, but it is not on the list");
	WRONG_TIMES(2, slab->holds, holds & ~(uint64_t)CGC__HOLD_ELDER, "its slab is not in elder");
	cgc_release(node);
}

static void slabs_with_free_cells_are_partial(UNUSED void **state)
{
	enum { SLABS = 3 };
	struct cgc__slab *slab[SLABS] = {NULL};
	struct node *first = make_of(&plain_type, 0), *chain = NULL, *last[SLABS] = {NULL};
	/* Full slabs, one node of each apart from the chain. */
	int filled = 0;
	for (struct cgc__slab *now = slab_of(first); filled < SLABS;) {
		struct node *node = make_of(&plain_type, 1);
		if (slab_of(node) != now && now != slab_of(first)) {
			slab[filled++] = now;
		}
		if (slab_of(node) != now && filled < SLABS) {
			now = slab_of(node);
			last[filled] = node;
			continue;
		}
		cgc_store_consume(node, &node->slot[0], chain);
		chain = node;
	}
	assert_sound();
	cgc_release(last[0]);
	cgc_release(last[1]);
	/* Added in front. */
	assert_true(slab[0]->is_partial && slab[1]->is_partial && slab[1]->next == slab[0]);
	assert_sound();
	WRONG(slab[0]->previous, 0, "partial is linked both ways");
	WRONG_TIMES(2, slab[0]->is_partial, false, "not partial it says, but it is on the list");
	WRONG(slab[0]->alone, CGC__ALONE_CURRENT, "alone is 0");
	WRONG(slab[2]->alone, CGC__ALONE_PARTIAL, "alone is 0x1");
	WRONG(slab[1]->next, 0, "partial it says, but it is not on the list");
	WRONG(slab[0]->next, AS_WORD(slab[1]), "twice in partial");
	WRONG_TIMES(3, cgc__self->partial[0], AS_WORD(slab[1]), "of size class 0, its own is");
	WRONG_TIMES(4, slab[0]->free, 0, "partial without a free cell");
	WRONG_TIMES(2, slab[0]->size_class, slab[0]->size_class - 1, "partial of size class");
	cgc_release(last[2]);
	cgc_release(chain);
	cgc_release(first);
}

/* ---------------------------------------------------------------------------------------------
 * Queues
 * ------------------------------------------------------------------------------------------- */

static void a_queue_has_as_many_entries_as_it_counts(UNUSED void **state)
{
	struct cgc__context *self = cgc__self;
	struct node *node = make_in_root();
	cgc_store(node, &node->slot[0], node);
	cgc_store(node, &node->slot[0], NULL);
	struct cgc__queue *queue = &self->suspects;
	WRONG(queue->pushed, WORD(queue->pushed) + 1, "pushed - popped is the length");
	WRONG(queue->popped, WORD(queue->popped) + 1, "pushed - popped is the length");
	WRONG(queue->tail, 0, "the last chunk of suspects is");
	WRONG_TIMES(2, queue->tail->taken, queue->tail->limit + 1, "taken <= filled <= limit");
	WRONG_TIMES(2, queue->tail->limit, 0, "taken <= filled <= limit");
	WRONG_TIMES(2, queue->tail->limit, CGC__CHUNK_ENTRIES + 1, "taken <= filled <= limit");
	uint64_t filled = WORD(queue->tail->filled);
	WRONG_TIMES(2, queue->tail->filled, filled - 1, "pushed - popped is the length");
	queue = &self->pending;
	WRONG(self->pending_sealed, WORD(queue->pushed) + 1, "popped <= sealed <= pushed");
	WRONG(self->pending_epoch, WORD(cgc__grace_started) + 2, "which is not the next one");
	empty_root();
	WRONG(queue->pushed, WORD(queue->pushed) - 1, "pending has");
}

/* ---------------------------------------------------------------------------------------------
 * Contexts, counters, the heap
 * ------------------------------------------------------------------------------------------- */

static void a_context_is_idle_while_its_thread_is_quiet(UNUSED void **state)
{
	struct cgc__context *self = cgc__self;
	struct node *node = make_in_root();
	uint32_t bias = self->private_bias;
	WRONG(self->private_bias, bias + 8, "are not of its id");
	WRONG_TIMES(1, self->draining, true, "its thread is not quiet");
	WRONG(self->collecting, true, "its thread is not quiet");
	WRONG(self->polling, true, "its thread is not quiet");
	WRONG(self->in_callback, 1, "its thread is not quiet");
	WRONG(self->dying, AS_WORD(header_of(node)), "dead objects on its list");
	WRONG(self->consuming, true, "nobody has the try-lock");
	WRONG_TIMES(2, self->id, self->id + 1, "an id has one writer at a time");
	uint64_t contexts = cgc__heap.context_count;
	WRONG_TIMES(contexts + 1, cgc__heap.context_count, contexts + 1, "heap.contexts only ever grows");
	empty_root();
}

static void *attach(UNUSED void *argument)
{
	cgc_release(make(1));
	return cgc__self;
}

static void a_context_without_a_thread_holds_no_slab(UNUSED void **state)
{
	struct cgc__context *left = in_thread(attach, NULL);
	struct node *node = make_of(&plain_type, 1);
	assert_ptr_equal(cgc__heap.pool, left);
	WRONG(left->is_attached, true, "in the pool of those without a thread");
	WRONG(left->pool_next, AS_WORD(left), "a context has one owner");
	/* The caller's: attached, with a slab and a private object. */
	WRONG_TIMES(3, cgc__heap.pool, AS_WORD(cgc__self), "the end of a thread publishes");
	cgc_release(node);
}

static void counters_say_what_is_there(UNUSED void **state)
{
	struct cgc__context *self = cgc__self;
	uint64_t live = self->id; /* any */
	WRONG(self->made[0], WORD(self->made[0]) + 1, "cells of one size in use");
	WRONG(self->given[3], WORD(self->given[3]) + live, "cells of one size in use");
	WRONG(self->given[CGC__CLASS_LARGE], WORD(self->given[CGC__CLASS_LARGE]) + 1, "large objects");
	const struct {
		int counter;
		const char *what;
	} counters[] = {{CGC__MADE_LARGE_BYTES, "bytes in large objects"},
	                {CGC__GIVEN_LARGE_BYTES, "bytes in large objects"},
	                {CGC__WAIT_BEGUN, "objects waiting"},
	                {CGC__WAIT_ENDED, "objects waiting"},
	                {CGC__WAIT_BEGUN_BYTES, "bytes waiting"},
	                {CGC__WAIT_ENDED_BYTES, "bytes waiting"}};
	for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
		WRONG(self->counter[counters[i].counter], WORD(self->counter[counters[i].counter]) + 1,
		      counters[i].what);
}

static void no_window_is_open_between_two_looks(UNUSED void **state)
{
	WRONG(cgc__heap.window_open, true, "a window is open");
	WRONG(cgc__grace_done, WORD(cgc__grace_started) + 1, "is over but only");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_HELD(the_shape_of_a_slab_is_checked),
		TEST_HELD(the_cells_of_a_slab_are_free_or_objects),
		TEST_HELD(cells_given_back_by_others_are_remote),
		TEST_HELD(the_array_of_slabs_is_checked),
		TEST_HELD(a_slab_is_on_the_lists_that_it_says),
		TEST_HELD(slabs_with_free_cells_are_partial),
		TEST_HELD(a_queue_has_as_many_entries_as_it_counts),
		TEST_HELD(a_context_is_idle_while_its_thread_is_quiet),
		TEST_HELD(a_context_without_a_thread_holds_no_slab),
		TEST_HELD(counters_say_what_is_there),
		TEST_HELD(no_window_is_open_between_two_looks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
