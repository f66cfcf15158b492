/* SPDX-License-Identifier: MIT
 *
 * Cells and slabs between their owner, those who free into them, and the detector, who gives empty ones back;
 * and what the local collection takes for an object. docs/ordering.md, pairs REMOTE, RETURNED, HOLD and
 * GENERATION.
 */
#include "hold.h"

/* Of few cells to a slab; another size for each scene, so that nothing of another's is in its slabs. */
#define WIDE(bytes)                                                                        \
	{                                                                                  \
		.name = "wide" #bytes, .size = bytes, NODE_FIELDS, .destroy = node_destroy \
	}
static struct cgc_type wide_types[] = {WIDE(8000), WIDE(6000), WIDE(5000), WIDE(4000), WIDE(3000)};
static struct cgc_type *wide_type;
/* A slab for each object. */
static struct cgc_type large_type = WIDE(20000);

#define ITEMS 64
#define SLABS 3
static cgc_ref(struct array) all;
static struct array *array; /* the root holds it */
static struct cgc__context *owner;
static int item_count, first_item[SLABS]; /* the first item in each slab */
static struct cgc__slab *slabs[SLABS], *large_slab;

static struct cgc__slab *make_item(void)
{
	struct node *node = make_of(wide_type, item_count);
	cgc_store_consume(array, &array->items[item_count++], node);
	return cgc__slab_of(node);
}

/* The caller owns two slabs full of them, and a third in use. */
static void make_slabs(int type)
{
	wide_type = &wide_types[type];
	item_count = 0;
	array = cgc_new_n(&array_type, ITEMS);
	owner = cgc__self;
	for (int i = 0; i < SLABS;) {
		int item = item_count;
		struct cgc__slab *slab = make_item();
		if (i > 0 && slab == slabs[i - 1])
			continue;
		slabs[i] = slab;
		first_item[i++] = item;
	}
	cgc_store_consume(CGC_ROOT, &all, array);
	cgc_collect(0); /* it does not look at the full ones any more */
}

static int cells_of_slab(void)
{
	return first_item[1] - first_item[0];
}

static void clear_item(int i)
{
	cgc_store(array, &array->items[i], NULL);
}

static void make_items(int count)
{
	while (count-- > 0)
		make_item();
}

static void make_large_in_root(int i)
{
	handle[i] = make_of(&large_type, i);
	large_slab = cgc__slab_of(handle[i]);
	put_root(i);
}

static struct cgc__slab *slab_of_item(int i)
{
	cgc_read_lock();
	struct cgc__slab *slab = cgc__slab_of(cgc_borrow(&array->items[i]));
	cgc_read_unlock();
	return slab;
}

/* Or has it been given back to the system? */
static bool is_there(const struct cgc__slab *slab)
{
	bool found = false;
	pthread_mutex_lock(&owner->slabs_lock);
	for (size_t i = 0; i < owner->slab_count; i++)
		found |= owner->slabs[i] == slab;
	pthread_mutex_unlock(&owner->slabs_lock);
	return found;
}

static void assert_slabs_ended(void)
{
	cgc_store(CGC_ROOT, &all, NULL);
	assert_ended_by_count(item_count, 0);
}

/* A: has pushed the first cell, and not yet returned the slab. Detector: pushes another, and leaves the slab
 * to A. It is returned once, and given back once when all its cells are free. */
static void a_slab_is_returned_by_who_found_it_empty(UNUSED void **state)
{
	act(ROLE_B, make_slabs, 0);
	park_detector();
	act(ROLE_A, clear_item, 0);
	clear_item(1);
	pass_grace();
	hold_at(ROLE_A, "remote.given", 1);
	ask(ROLE_A, settle_own, 0);
	wait_held(ROLE_A);
	go_to(ROLE_DETECTOR, "remote.returned_taken");
	assert_int_equal(count_of(&destroyed), 2);
	let_go(ROLE_DETECTOR);
	let_go(ROLE_A);
	done(ROLE_A);
	for (int i = 2; i < cells_of_slab(); i++)
		clear_item(i);
	act(ROLE_C, collect, 2);
	pass_round();
	assert_false(is_there(slabs[0]));
	assert_true(is_there(slabs[1]));
	assert_true(is_there(slabs[2]));
	assert_slabs_ended();
}

/* A: has pushed the last cell of a slab that others have returned. Detector: finds it empty, gives it back. A
 * must not touch it any more. */
static void a_slab_may_go_as_soon_as_its_last_cell_is_free(UNUSED void **state)
{
	act(ROLE_B, make_slabs, 1);
	for (int i = 1; i < cells_of_slab(); i++)
		clear_item(i);
	act(ROLE_C, collect, 2);
	park_detector();
	act(ROLE_A, clear_item, 0);
	pass_grace();
	hold_at(ROLE_A, "remote.given", 1);
	ask(ROLE_A, settle_own, 0);
	wait_held(ROLE_A);
	assert_true(is_there(slabs[0]));
	let_go(ROLE_DETECTOR);
	pass_round();
	assert_false(is_there(slabs[0]));
	let_go(ROLE_A);
	done(ROLE_A);
	assert_slabs_ended();
}

/* A story of the past. Owner: goes over the slabs returned to it, reads the link to the next, empties the
 * remote stack of this one. Detector: frees another cell of this slab, finds the stack empty, and returns the
 * slab again, which writes the link. The owner's exchange was no release, so on paper its look at the link
 * could come after that, and the slabs behind would be lost. A thread held here cannot show that; it shows
 * what happens if the two lines change places. */
static void a_slab_may_be_returned_while_its_owner_collects_it(UNUSED void **state)
{
	act(ROLE_B, make_slabs, 2);
	clear_item(first_item[0]);
	clear_item(first_item[1]);
	act(ROLE_C, collect, 2);
	act(ROLE_B, make_items, cells_of_slab() - 1);
	int first = item_count;
	hold_at(ROLE_B, "remote.collected", 1);
	ask(ROLE_B, make_items, 4);
	wait_held(ROLE_B);
	clear_item(first_item[0] + 1); /* one of them is in the slab that B is at */
	clear_item(first_item[1] + 1);
	act(ROLE_C, collect, 2);
	assert_int_equal(count_of(&destroyed), 4);
	let_go(ROLE_B);
	done(ROLE_B);
	for (int i = first; i < first + 4; i++)
		assert_true(slab_of_item(i) == slabs[0] || slab_of_item(i) == slabs[1]);
	assert_slabs_ended();
}

/* A story of the past. B: its thread ends, and it goes over its slabs for what is still private. Detector: the
 * slab that B is at is empty by now, and goes back to the system under B. B holds the slab that it is at. */
static void no_slab_goes_while_its_owner_looks_through_it(UNUSED void **state)
{
	act(ROLE_B, make_slabs, 3);
	hold_at(ROLE_B, "thread.slab_found", 1);
	dismiss(ROLE_B);
	wait_held(ROLE_B);
	/* It goes from the last of its slabs to the first. */
	struct cgc__slab *walked = slabs[slabs[0]->index > slabs[1]->index ? 0 : 1];
	for (size_t i = owner->slab_count - 1; i > walked->index; i--)
		go_to(ROLE_B, "thread.slab_found");
	for (int i = 0; i < 2 * cells_of_slab(); i++)
		clear_item(i);
	act(ROLE_C, collect, 2);
	assert_int_equal(live(), item_count + 1 - 2 * cells_of_slab());
	pass_round();
	assert_true(is_there(walked));
	assert_false(is_there(slabs[0]) && is_there(slabs[1]));
	let_go(ROLE_B);
	see_off(ROLE_B);
	pass_round();
	assert_false(is_there(walked));
	assert_slabs_ended();
}

/* A story of the past. A large object, with a slab of its own, is freed by the detector; the owner finds the
 * slab among the returned ones and puts it on the list of partly used slabs of its size. There is no such
 * list, so it stayed on none, or on the list of touched slabs, which lies behind the others. */
static void a_large_slab_is_never_partly_used(UNUSED void **state)
{
	act(ROLE_B, make_slabs, 4);
	act(ROLE_B, make_large_in_root, 0);
	struct cgc__slab *slab = large_slab;
	clear_root(0);
	act(ROLE_C, collect, 2);
	assert_int_equal(count_of(&destroyed), 1);
	assert_true(is_there(slab)); /* B has not collected since, and still holds it as touched */
	act(ROLE_B, make_items, cells_of_slab());
	assert_false(slab->is_partial);
	act(ROLE_B, collect, 0);
	pass_round();
	assert_false(is_there(slab));
	item_count++;
	assert_slabs_ended();
}

/* ---------------------------------------------------------------------------------------------
 * What is an object
 * ------------------------------------------------------------------------------------------- */

static void make_young_garbage(UNUSED int unused)
{
	cgc_release(make_ring(2));
	make_owned(0);
	put_root(0);
	cgc_release(make_ring(2));
}

/* B: collects its young objects, has listed them. Detector: frees a published one among them, in the same slab. */
static void a_cell_freed_by_others_is_not_collected(UNUSED void **state)
{
	act(ROLE_B, make_young_garbage, 0);
	hold_at(ROLE_B, "young.gathered", 1);
	ask(ROLE_B, collect, 1);
	wait_held(ROLE_B);
	clear_root(0);
	act(ROLE_C, collect, 2);
	assert_int_equal(count_of(&destroyed), 1);
	let_go(ROLE_B);
	done(ROLE_B);
	assert_int_equal(collected[ROLE_B], 4);
	assert_ended_by_count(5, 0);
}

/* A story of the past. A private object of generation 1 died by count, by the short way for objects that refer
 * to nothing, and its cell was free with a generation of 1: an object, for the collections of generation 1,
 * and for those of generation 0 a new object in that cell was none. */
static void a_free_cell_is_of_generation_0(UNUSED void **state)
{
	cgc__heap.poison = false; /* or no object goes the short way */
	struct node *old = make_of(&plain_type, 0);
	collect(0);
	assert_int_equal(cgc_generation(old), 1);
	cgc_release(old);
	struct node *new = make_of(&plain_type, 1);
	assert_ptr_equal(new, old);
	assert_int_equal(cgc_generation(new), 0);
	cgc_store_consume(new, &new->slot[0], new);
	assert_int_equal(cgc_collect(0), 1);
	assert_ended_by_count(0, 0);
}

/* The same of a published one, freed by the owner itself. */
static void a_free_cell_was_published_once(UNUSED void **state)
{
	struct node *old = make(0);
	handle[0] = old;
	put_root(0);
	park_detector();
	clear_root(0);
	pass_grace();
	settle_own(0);
	assert_int_equal(count_of(&destroyed), 1);
	handle[0] = make(1);
	assert_ptr_equal(handle[0], old);
	assert_int_equal(cgc_generation(handle[0]), 0);
	let_go(ROLE_DETECTOR);
	release_handle(0);
	assert_ended_by_count(2, 0);
}

/* A story of the past. Making an object started a collection of generation 0, in which the new object took
 * part: it came back as one of generation 1. */
static void a_new_object_is_not_collected_by_its_own_making(UNUSED void **state)
{
	static const unsigned always[3] = {1, 0, 0};
	cgc_set_threshold(always);
	cgc_enable();
	for (int i = 0; i < 4; i++) {
		handle[i] = make(i);
		assert_int_equal(cgc_generation(handle[i]), 0);
		assert_true(i == 0 || cgc_generation(handle[i - 1]) == 1);
	}
	cgc_disable();
	for (int i = 0; i < 4; i++)
		release_handle(i);
	assert_ended_by_count(4, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(a_slab_is_returned_by_who_found_it_empty),
		SCENE(a_slab_may_go_as_soon_as_its_last_cell_is_free),
		SCENE(a_slab_may_be_returned_while_its_owner_collects_it),
		SCENE(no_slab_goes_while_its_owner_looks_through_it),
		SCENE(a_large_slab_is_never_partly_used),
		SCENE(a_cell_freed_by_others_is_not_collected),
		SCENE(a_free_cell_is_of_generation_0),
		SCENE(a_free_cell_was_published_once),
		SCENE(a_new_object_is_not_collected_by_its_own_making),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
