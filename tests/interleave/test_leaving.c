/* SPDX-License-Identifier: MIT
 *
 * Threads that end while others use and settle what they leave, and the threads that come after them.
 * docs/ordering.md, pairs adoption, CONTEXT and REVOKE.
 */
#include "hold.h"

static struct cgc__context *left;
static struct leaf *leaf;

/* A chain that nobody else can reach, but for the pointer. */
static void make_private_chain(UNUSED int unused)
{
	handle[0] = make(0);
	cgc_store_consume(handle[0], &handle[0]->slot[0], make(1));
	left = cgc__self;
}

/* The last collection of a thread publishes what survives it, but for objects of acyclic types, which it does
 * not look at. */
static void make_private_leaf(UNUSED int unused)
{
	leaf = cgc_new(&leaf_type);
	leaf->value = 4711;
}

static void release_leaf(UNUSED int unused)
{
	MUST(leaf->value == 4711);
	cgc_release(leaf);
}

static void make_owned_twice(UNUSED int unused)
{
	make_owned(0);
	handle[1] = cgc_retain(handle[0]);
	left = cgc__self;
}

static void retain_0(int i)
{
	MUST(cgc__self == left);
	handle[i] = cgc_retain(handle[0]);
}

static void leave_at(enum role who, const char *point)
{
	hold_at(who, point, 1);
	dismiss(who);
	wait_held(who);
}

/* A: about to publish what it leaves. Nothing of it is garbage, nor afterwards; B, who was given the pointer,
 * has the handle. */
static void what_a_thread_leaves_is_no_garbage(UNUSED void **state)
{
	act(ROLE_A, make_private_chain, 0);
	leave_at(ROLE_A, "publish.words_written");
	act(ROLE_C, collect, 2);
	go_to(ROLE_A, "thread.published");
	act(ROLE_C, collect, 2);
	assert_int_equal(count_of(&destroyed), 0);
	act(ROLE_B, release_handle, 0);
	let_go(ROLE_A);
	see_off(ROLE_A);
	assert_ended_by_count(2, 0);
}

/* A has ended, and nobody has its context. B releases its handle: the bias is revoked without an owner. */
static void what_a_thread_leaves_can_be_released(UNUSED void **state)
{
	act(ROLE_B, make_owned, 1); /* has a context already */
	act(ROLE_A, make_private_chain, 0);
	act(ROLE_A, make_private_leaf, 0);
	leave_at(ROLE_A, "thread.pooled");
	act(ROLE_B, release_handle, 0);
	act(ROLE_B, release_leaf, 0);
	act(ROLE_C, collect, 2);
	assert_int_equal(count_of(&destroyed), 2);
	let_go(ROLE_A);
	see_off(ROLE_A);
	act(ROLE_B, release_handle, 1);
	assert_ended_by_count(3, 0);
}

static void make_three_in_roots(UNUSED int unused)
{
	for (int i = 0; i < 3; i++) {
		handle[i] = make(i);
		put_root(i);
	}
	left = cgc__self;
}

static void clear_three(UNUSED int unused)
{
	for (int i = 0; i < 3; i++)
		clear_root(i);
}

/* A has ended with entries in its queue. B: has taken over A's context, and not yet begun. Detector: settles
 * A's entries, and frees into slabs that are B's now. B: makes new objects there. */
static void a_context_is_adopted_while_its_objects_die(UNUSED void **state)
{
	act(ROLE_C, make_owned, 7); /* has a context of its own */
	act(ROLE_A, make_three_in_roots, 0);
	park_detector();
	act(ROLE_A, clear_three, 0);
	dismiss(ROLE_A);
	see_off(ROLE_A);
	hold_at(ROLE_B, "thread.adopted", 1);
	ask(ROLE_B, make_three_in_roots, 0);
	wait_held(ROLE_B);
	pass_grace();
	go_to(ROLE_DETECTOR, "pending.zero_dead");
	struct cgc__context *before = left;
	let_go(ROLE_B);
	done(ROLE_B);
	assert_ptr_equal(left, before);
	let_go(ROLE_DETECTOR);
	act(ROLE_C, collect, 2);
	assert_int_equal(count_of(&destroyed), 3);
	for (int i = 0; i < 3; i++) {
		load_root(i);
		assert_intact(handle[i], i);
		release_handle(i);
	}
	act(ROLE_B, clear_three, 0);
	act(ROLE_C, release_handle, 7);
	assert_ended_by_count(7, 0);
}

/* A made it, and ended. B has A's context now, so B counts it in local. C releases a handle of A's; the
 * revocation waits for what B is counting. */
static void an_adopted_bias_is_revoked_like_any_other(UNUSED void **state)
{
	act(ROLE_C, make_owned, 7);
	act(ROLE_A, make_owned_twice, 0);
	dismiss(ROLE_A);
	see_off(ROLE_A);
	act(ROLE_B, make_owned, 6); /* adopts */
	park_detector();
	act(ROLE_C, release_handle, 1);
	pass_grace();
	hold_at(ROLE_B, "count.local_up_due", 1);
	ask(ROLE_B, retain_0, 2);
	wait_held(ROLE_B);
	assert_cannot_go_to(ROLE_DETECTOR, "pending.revoked");
	let_go(ROLE_B);
	done(ROLE_B);
	wait_held(ROLE_DETECTOR);
	let_go(ROLE_DETECTOR);
	act(ROLE_A, collect, 2);
	assert_int_equal(cgc_reference_count(handle[0]), 2);
	act(ROLE_C, release_handle, 0);
	act(ROLE_A, collect, 2);
	assert_int_equal(count_of(&destroyed), 0);
	assert_intact(handle[2], 0);
	act(ROLE_B, release_handle, 2);
	act(ROLE_B, release_handle, 6);
	act(ROLE_C, release_handle, 7);
	assert_ended_by_count(3, 0);
}

static void make_private_ring(UNUSED int unused)
{
	cgc_release(make_ring(3));
}

/* What is garbage is not published, whatever the detector does meanwhile. */
static void a_thread_collects_before_it_leaves(UNUSED void **state)
{
	act(ROLE_A, make_private_ring, 0);
	look_until("window.copy_due", 1);
	leave_at(ROLE_A, "thread.published");
	assert_int_equal(count_of(&destroyed), 3);
	end_look();
	let_go(ROLE_A);
	see_off(ROLE_A);
	assert_ended_by_count(3, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(what_a_thread_leaves_is_no_garbage),
		SCENE(what_a_thread_leaves_can_be_released),
		SCENE(a_context_is_adopted_while_its_objects_die),
		SCENE(an_adopted_bias_is_revoked_like_any_other),
		SCENE(a_thread_collects_before_it_leaves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
