/* SPDX-License-Identifier: MIT
 *
 * What a section has borrowed stays until its end, although counting finds it dead meanwhile: however often its count
 * comes to zero, whoever settles the queue, and although a parent dies that held it last.
 *
 * Scenes with a grace period in between are played from a destructor: it runs when the parent's grace period is over,
 * and on the background thread, which begins no other one until the destructor returns.
 */
#include "grace.h"
#include "pass.h"

#define ROUNDS 20

static node_ref root;
static sem_t go, unblock, borrowed, returned, leave;

static int setup_sections(void **state)
{
	sem_init(&go, 0, 0);
	sem_init(&unblock, 0, 0);
	sem_init(&borrowed, 0, 0);
	sem_init(&returned, 0, 0);
	sem_init(&leave, 0, 0);
	return setup(state);
}

/* Every thread settles its own queue at each opportunity. */
static int setup_prompt(void **state)
{
	setup_sections(state);
	cgc_stop();
	return start_with("enable=0,poison=1,pending=1");
}

static uint64_t grace_periods_begun(void)
{
	return atomic_load_explicit(&cgc__grace_started, memory_order_acquire);
}

/* ---------------------------------------------------------------------------------------------
 * Zero, and zero again
 * ------------------------------------------------------------------------------------------- */

static void *drop_and_settle(UNUSED void *argument)
{
	for (int i = 0; i < ROUNDS; i++) {
		wait_for(&borrowed);
		cgc_store(CGC_ROOT, &root, NULL);
		for (int j = 0; j < 4; j++)
			settle_own_queue();
		sem_post(&returned);
	}
	return NULL;
}

static void what_is_borrowed_is_not_settled(UNUSED void **state)
{
	pthread_t thread = thread_start(drop_and_settle, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		cgc_store_consume(CGC_ROOT, &root, make(i));
		cgc_read_lock();
		struct node *node = cgc_borrow(&root);
		sem_post(&borrowed);
		wait_for(&returned);
		node_check(node);
		int dead = count_of(&destroyed);
		cgc_read_unlock();
		assert_int_equal(dead, i);
		pass_grace_periods();
		assert_int_equal(count_of(&destroyed), i + 1);
	}
	thread_join(thread);
}

static void an_object_waits_once_however_often_it_comes_to_zero(UNUSED void **state)
{
	cgc_store_consume(CGC_ROOT, &root, make(1));
	uint64_t before = stats_now().objects_waiting;
	cgc_read_lock();
	struct node *node = cgc_borrow(&root);
	cgc_store(CGC_ROOT, &root, NULL);
	for (int i = 0; i < 5; i++)
		cgc_release(cgc_retain(node));
	uint64_t after = stats_now().objects_waiting;
	cgc_read_unlock();
	assert_int_equal(after - before, 1);
	pass_grace_periods();
	assert_int_equal(count_of(&destroyed), 1);
}

/* Takes the only reference to what it has borrowed out of the root. */
static void *borrow_and_unlink(UNUSED void *argument)
{
	wait_for(&go);
	cgc_read_lock();
	struct node *node = cgc_borrow(&root);
	cgc_store(CGC_ROOT, &root, NULL);
	sem_post(&borrowed);
	wait_for(&leave);
	node_check(node);
	MUST(node->id == 2);
	cgc_read_unlock();
	return NULL;
}

static uint64_t begun;

static void let_borrow(UNUSED struct node *self)
{
	sem_post(&go);
	wait_for(&borrowed);
	begun = grace_periods_begun();
	sem_post(&returned);
}

/* After the destructor in which begun was read, the background thread has ended what it was at. */
static void wait_for_the_next_grace_period(void)
{
	wait_for(&returned);
	drop_decoy();
	while (grace_periods_begun() == begun)
		sched_yield();
}

/* The parent is dead and its grace period over; then its child is unlinked elsewhere, by who borrows it. */
static void a_child_unlinked_lately_does_not_die_with_its_parent(UNUSED void **state)
{
	pthread_t thread = thread_start(borrow_and_unlink, NULL);
	cgc_store_consume(CGC_ROOT, &root, make(2));
	struct node *parent = make(1);
	parent->on_destroy = let_borrow;
	cgc_store_consume(parent, &parent->slot[0], cgc_load(CGC_ROOT, &root));
	cgc_publish(parent);
	cgc_release(parent);
	wait_for_the_next_grace_period();
	int dead = count_of(&destroyed);
	sem_post(&leave);
	thread_join(thread);
	assert_int_equal(dead, 1);
	pass_grace_periods();
	assert_int_equal(count_of(&destroyed), 2);
}

static struct cgc_weak *weak;

static void block_the_background_thread(UNUSED struct node *self)
{
	sem_post(&returned);
	wait_for(&unblock);
}

/* The other entry of the batch is at zero now. Soon it was not, and is again. */
static void revive_and_let_borrow(struct node *self)
{
	struct node *node = cgc_weak_load(weak);
	MUST(node != NULL);
	cgc_store_consume(CGC_ROOT, &root, node);
	let_borrow(self);
}

/* Two entries whose grace period is over. Before the second is settled, its object is referenced again, borrowed and
 * dropped again: it waits for another grace period. */
static void an_object_at_zero_again_waits_again(UNUSED void **state)
{
	struct node *first = make(0), *blocker = make(0), *node = make(2);
	blocker->on_destroy = block_the_background_thread;
	first->on_destroy = revive_and_let_borrow;
	cgc_publish(blocker);
	cgc_publish(first);
	weak = cgc_weak_new(node, NULL, NULL);
	cgc_store_consume(CGC_ROOT, &root, node);
	cgc_release(blocker);
	wait_for(&returned);
	cgc_release(first);
	cgc_store(CGC_ROOT, &root, NULL);
	sem_post(&unblock);
	pthread_t thread = thread_start(borrow_and_unlink, NULL);
	wait_for_the_next_grace_period();
	int dead = count_of(&destroyed);
	sem_post(&leave);
	thread_join(thread);
	assert_int_equal(dead, 2);
	pass_grace_periods();
	assert_int_equal(count_of(&destroyed), 3);
	assert_null(cgc_weak_load(weak));
	cgc_weak_free(weak);
	cgc_collect(2);
}

#define TEST_SECTIONS(function) cmocka_unit_test_setup_teardown(function, setup_sections, teardown)
#define TEST_PROMPT(function) cmocka_unit_test_setup_teardown(function, setup_prompt, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_PROMPT(what_is_borrowed_is_not_settled),
		TEST_SECTIONS(an_object_waits_once_however_often_it_comes_to_zero),
		TEST_SECTIONS(a_child_unlinked_lately_does_not_die_with_its_parent),
		TEST_SECTIONS(an_object_at_zero_again_waits_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
