/* SPDX-License-Identifier: MIT
 *
 * CPython's Lib/test/test_finalization.py: rings in which each member has a part to play when it is finalized.
 *
 *   N  looks whether its neighbours are sane
 *   S  looks, then cuts its own link out of the ring
 *   R  looks, then stores itself where it lives on
 *
 * Different by design: a weak reference answers NULL once its object is finalized, also by counting.
 */
#include <string.h>

#include "node.h"

enum { LENGTH_MOST = 20 };

static node_ref survivors[LENGTH_MOST];
static int times_finalized[LENGTH_MOST];
static struct cgc_weak *weak[LENGTH_MOST];

static void check_sanity(struct node *node)
{
	MUST(node->id >= 0 && node->id < LENGTH_MOST);
	times_finalized[node->id]++;
	struct node *next = cgc_load(node, &node->slot[0]), *previous = cgc_load(node, &node->slot[1]);
	if (next != NULL)
		node_check(next);
	if (previous != NULL)
		node_check(previous);
	cgc_release(next);
	cgc_release(previous);
	if (weak[node->id] != NULL)
		MUST(cgc_weak_load(weak[node->id]) == NULL);
}

static void commit_suicide(struct node *node)
{
	check_sanity(node);
	cgc_store(node, &node->slot[0], NULL);
	cgc_store(node, &node->slot[1], NULL);
}

static void resurrect(struct node *node)
{
	check_sanity(node);
	cgc_store(CGC_ROOT, &survivors[node->id], node);
}

/* A ring, linked both ways, of the given parts. */
static struct node *make_chain_of(const char *parts, struct node **members)
{
	int length = (int)strlen(parts);
	MUST(length >= 1 && length <= LENGTH_MOST);
	for (int i = 0; i < length; i++) {
		members[i] = make_of(&active_type, i);
		members[i]->on_finalize = parts[i] == 'S'   ? commit_suicide
		                          : parts[i] == 'R' ? resurrect
		                                            : check_sanity;
		times_finalized[i] = 0;
	}
	for (int i = 0; i < length; i++) {
		struct node *next = members[(i + 1) % length];
		cgc_store(members[i], &members[i]->slot[0], next);
		cgc_store(next, &next->slot[1], members[i]);
	}
	for (int i = 1; i < length; i++)
		cgc_release(members[i]);
	return members[0];
}

/* One ring: private, published, or published with weak references to all its members. */
enum kind { PRIVATE, PUBLISHED, WITH_WEAK, KINDS };

static void play(const char *parts, enum kind kind)
{
	struct node *members[LENGTH_MOST];
	int length = (int)strlen(parts), resurrecting = 0, stays = 0;
	count_clear(&finalized);
	count_clear(&destroyed);
	count_clear(&called_back);
	struct node *ring = make_chain_of(parts, members);
	for (int i = 0; i < length; i++) {
		weak[i] = kind == WITH_WEAK ? cgc_weak_new(members[i], count_callback, NULL) : NULL;
		resurrecting += parts[i] == 'R';
	}
	if (kind == PUBLISHED)
		cgc_publish(ring);
	cgc_release(ring);
	assert_int_equal(live(), length);

	cgc_collect(kind == PRIVATE ? 0 : 2);
	/* Some that were cut off die by counting only after the collection has given up its set. */
	cgc_collect(2);
	for (int i = 0; i < length; i++) {
		assert_int_equal(times_finalized[i], 1);
		if (weak[i] != NULL)
			assert_null(cgc_weak_load(weak[i]));
	}
	for (int i = 0; i < length; i++) {
		struct node *survivor = cgc_load(CGC_ROOT, &survivors[i]);
		assert_int_equal(survivor != NULL, parts[i] == 'R');
		if (survivor != NULL) {
			assert_ptr_equal(survivor, members[i]);
			node_check(survivor);
			assert_true(cgc_is_finalized(survivor));
			stays++;
		}
		cgc_release(survivor);
	}
	assert_int_equal(stays, resurrecting);
	if (resurrecting == 0)
		assert_int_equal(live(), 0);
	else if (strchr(parts, 'S') == NULL)
		assert_int_equal(live(), length); /* each reaches all the others */
	else
		assert_in_range(live(), resurrecting, length);

	for (int i = 0; i < length; i++)
		cgc_store(CGC_ROOT, &survivors[i], NULL);
	cgc_collect(2);
	cgc_collect(2);
	assert_int_equal(live(), 0);
	assert_int_equal(count_of(&finalized), length);
	assert_int_equal(count_of(&destroyed), length);
	assert_int_equal(count_of(&called_back), kind == WITH_WEAK ? length : 0);
	for (int i = 0; i < length; i++) {
		assert_int_equal(times_finalized[i], 1);
		if (weak[i] != NULL)
			assert_null(cgc_weak_load(weak[i]));
		cgc_weak_free(weak[i]);
		weak[i] = NULL;
	}
}

static void play_all_kinds(const char *parts)
{
	for (enum kind kind = PRIVATE; kind < KINDS; kind++)
		play(parts, kind);
}

/* SelfCycleFinalizationTest: test_simple, test_simple_suicide, test_simple_resurrect */
static void a_ring_of_one_is_finalized_once(UNUSED void **state)
{
	play_all_kinds("N");
	play_all_kinds("S");
	play_all_kinds("R");
}

/* CycleChainFinalizationTest: test_homogenous, test_homogenous_suicidal, test_homogenous_resurrect */
static void a_ring_of_equals_is_finalized_once(UNUSED void **state)
{
	play_all_kinds("NNN");
	play_all_kinds("SSS");
	play_all_kinds("RRR");
}

/* test_heterogenous_suicidal_one, _two */
static void a_ring_with_members_that_leave_is_finalized_once(UNUSED void **state)
{
	play_all_kinds("SNSN");
	play_all_kinds("SSNN");
}

/* test_heterogenous_resurrect_one, _two, _three */
static void a_ring_with_members_that_stay_is_finalized_once(UNUSED void **state)
{
	play_all_kinds("RNRN");
	play_all_kinds("RNSRNS");
	play_all_kinds("RRNNSS");
}

/* Beyond CPython's: all rings of up to five members. */
static void any_ring_is_finalized_once(UNUSED void **state)
{
	static const char part[] = "NSR";
	for (int length = 1, count = 3; length <= 5; length++, count *= 3)
		for (int number = 0; number < count; number++) {
			char parts[6] = "";
			for (int i = 0, rest = number; i < length; i++, rest /= 3)
				parts[i] = part[rest % 3];
			play(parts, (enum kind)(number % KINDS));
		}
}

static void note(struct node *node)
{
	times_finalized[node->id]++;
}

/* SimpleFinalizationTest.test_non_gc: a type that is never part of a ring; here it is finalized once as well,
 * test_non_gc_resurrect */
static struct cgc_type acyclic_type = {.name = "acyclic",
                                       .size = sizeof(struct node),
                                       .flags = CGC_ACYCLIC,
                                       .finalize = node_finalize,
                                       .destroy = node_destroy};

static void store_acyclic(struct node *node)
{
	note(node);
	cgc_store(CGC_ROOT, &survivors[0], node);
}

static void acyclic_objects_are_finalized_once_too(UNUSED void **state)
{
	for (int published = 0; published < 2; published++)
		for (int resurrects = 0; resurrects < 2; resurrects++) {
			count_clear(&destroyed);
			struct node *node = make_of(&acyclic_type, 0);
			node->on_finalize = resurrects ? store_acyclic : note;
			times_finalized[0] = 0;
			if (published)
				cgc_publish(node);
			cgc_release(node);
			cgc_collect(2);
			assert_int_equal(times_finalized[0], 1);
			assert_int_equal(live(), resurrects);
			cgc_store(CGC_ROOT, &survivors[0], NULL);
			cgc_collect(2);
			assert_int_equal(times_finalized[0], 1);
			assert_int_equal(count_of(&destroyed), 1);
			assert_int_equal(live(), 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_ring_of_one_is_finalized_once),
		TEST(a_ring_of_equals_is_finalized_once),
		TEST(a_ring_with_members_that_leave_is_finalized_once),
		TEST(a_ring_with_members_that_stay_is_finalized_once),
		TEST(any_ring_is_finalized_once),
		TEST(acyclic_objects_are_finalized_once_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
