/* SPDX-License-Identifier: MIT
 *
 * Cells of another thread's slabs: who frees them keeps a few back, of one slab, and sends them before it ends or
 * parks.
 */
#include "verify.h"

/* Of 80 bytes with the header, so that a few dozen are kept. */
static struct cgc_type cell_type = {.name = "cell", .size = 56};
#define CELLS 1500 /* in two slabs */
static void *objects[CELLS];
static struct cgc__slab *slabs[2];
static uint64_t before[2];

/* Pushed, of the slab's cells. */
static uint64_t pushed(int slab)
{
	return WORD(slabs[slab]->remote) >> 32;
}

static uint64_t sent(int slab)
{
	return pushed(slab) - before[slab];
}

static void *make_cells(UNUSED void *nothing)
{
	for (int i = 0; i < CELLS; i++) {
		objects[i] = cgc_new(&cell_type);
		cgc_transfer(objects[i]);
	}
	return NULL;
}

/* Their owner is gone when this returns. */
static void make_all(void)
{
	in_thread(make_cells, NULL);
	for (int i = 0; i < 2; i++) {
		slabs[i] = cgc__slab_of(objects[i * (CELLS - 1)]);
		before[i] = pushed(i);
	}
	assert_ptr_not_equal(slabs[0], slabs[1]);
}

static void *release_all(UNUSED void *nothing)
{
	for (int i = 0; i < CELLS; i++) {
		cgc_release(objects[i]);
		objects[i] = NULL;
	}
	return NULL;
}

static void release(int from, int to)
{
	for (int i = from; i < to; i++) {
		cgc_release(objects[i]);
		objects[i] = NULL;
	}
}

static void few_are_kept_back(UNUSED void **state)
{
	enum { KEPT = 4096 / 80 + 1 };
	make_all();
	for (int i = 0; i < 300; i++) {
		release(i, i + 1);
		assert_true(sent(0) <= (uint64_t)i + 1 && sent(0) + KEPT > (uint64_t)i);
	}
	assert_true(sent(0) < 300);
	release(300, CELLS);
	assert_true(sent(0) + sent(1) + KEPT > CELLS);
	assert_sound();
}

static void none_are_kept_back_while_parked(UNUSED void **state)
{
	make_all();
	release(0, 3);
	assert_int_equal(sent(0), 0);
	cgc_park();
	cgc_unpark();
	assert_int_equal(sent(0), 3);
	release(3, CELLS);
}

static void none_are_kept_back_at_the_end(UNUSED void **state)
{
	make_all();
	in_thread(release_all, NULL);
	assert_int_equal(sent(0) + sent(1), CELLS);
	assert_sound();
}

static void a_cell_goes_to_its_own_slab(UNUSED void **state)
{
	make_all();
	for (int i = 0; i < 10; i++) {
		release(i, i + 1);
		assert_int_equal(sent(0), i);
		release(CELLS - 1 - i, CELLS - i);
		assert_int_equal(sent(0), i + 1);
		assert_int_equal(sent(1), i);
		assert_sound();
	}
	release(10, CELLS - 10);
}

static void *release_ten(void *from)
{
	release((int)(intptr_t)from, (int)(intptr_t)from + 10);
	return NULL;
}

/* Two chains, and cells that the owner freed itself, of a slab that it does not allocate from any more. */
static void the_owner_loses_no_free_cell_when_it_takes_those_of_others(UNUSED void **state)
{
	enum { OWN = 10 };
	void *own[OWN];
	static void *more[CELLS];
	int count = 0;
	for (int i = 0; i < OWN; i++)
		own[i] = cgc_new(&cell_type);
	make_cells(NULL);
	struct cgc__slab *slab = cgc__slab_of(own[0]);
	assert_ptr_equal(cgc__slab_of(objects[20]), slab);
	in_thread(release_ten, (void *)10);
	in_thread(release_ten, (void *)20);
	assert_int_equal(WORD(slab->remote) >> 32, 20);
	for (int i = 0; i < OWN; i++)
		cgc_release(own[i]);
	do
		more[count++] = cgc_new(&cell_type);
	while (cgc__slab_of(more[count - 1]) != slab);
	assert_int_equal(WORD(slab->remote), 0);
	assert_sound();
	while (count > 0)
		cgc_release(more[--count]);
	release(0, CELLS);
}

/* Of a large object everything goes back at once. */
static void *make_large(UNUSED void *nothing)
{
	static struct cgc_type large_type = {.name = "large", .size = 100000};
	objects[0] = cgc_new(&large_type);
	cgc_transfer(objects[0]);
	return NULL;
}

static void a_large_object_is_not_kept_back(UNUSED void **state)
{
	in_thread(make_large, NULL);
	slabs[0] = cgc__slab_of(objects[0]);
	assert_int_equal(pushed(0), 0);
	release(0, 1);
	assert_int_equal(pushed(0), 1);
}

static void the_kept_are_checked(UNUSED void **state)
{
	make_all();
	release(0, 3);
	assert_sound();
	WRONG(cgc__self->outgoing_count, 2, "3 cells in outgoing, outgoing_count says 2");
	struct node *node = make_of(&plain_type, 1);
	WRONG_TIMES(5, cgc__self->outgoing, AS_WORD(cgc__slab_of(node)), "is no slab of another context");
	cgc_release(node);
	release(3, CELLS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_HELD(few_are_kept_back),
		TEST_HELD(none_are_kept_back_while_parked),
		TEST_HELD(none_are_kept_back_at_the_end),
		TEST_HELD(a_cell_goes_to_its_own_slab),
		TEST_HELD(the_owner_loses_no_free_cell_when_it_takes_those_of_others),
		TEST_HELD(a_large_object_is_not_kept_back),
		TEST_HELD(the_kept_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
