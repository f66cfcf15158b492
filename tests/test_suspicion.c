/* SPDX-License-Identifier: MIT
 *
 * The local collection looks at nothing but what suspects reach, so every ring that is garbage must have one: every
 * short program of stores and releases is run, and many longer ones. After a local collection exactly what no handle
 * reaches is dead. Nothing is left for the detector: what a local collection misses is published, and no suspect there.
 */
#include "shadow.h"

/* How a program ends. */
enum end { COLLECT_0, COLLECT_BOTH, COLLECT_BOTH_LATER, ENDS };

static void run(const struct step *steps, int count, int made, enum end end)
{
	struct member *objects[OBJECTS];
	struct shadow shadow;
	shadow_start(&shadow, made);
	count_up(&program);
	count_clear(&died);
	make_objects(objects, made);
	run_steps(objects, &shadow, steps, count);
	if (end == COLLECT_BOTH_LATER) {
		cgc_collect(0);
		release_handles(objects, &shadow, made);
	}
	int wanted = reached(&shadow);
	cgc_collect(end == COLLECT_0 ? 0 : 1);
	int alive = made - count_of(&died);
	if (alive != wanted) {
		explain(steps, count, made, alive, wanted);
		fail();
	}
	cgc_collect(1);
	/* What is left is published by now: for the detector, which is not asked after every program. */
	release_handles(objects, &shadow, made);
}

static void run_with_each_end(const struct step *steps, int count, int made)
{
	bool is_old = false;
	for (int i = 0; i < count; i++)
		is_old |= steps[i].action == COLLECT;
	for (int end = is_old ? COLLECT_BOTH : COLLECT_0; end < ENDS; end++)
		run(steps, count, made, (enum end)end);
}

static void run_and_collect(const struct step *steps, int count, int made)
{
	run(steps, count, made, COLLECT_BOTH);
}

static void run_and_collect_later(const struct step *steps, int count, int made)
{
	run(steps, count, made, COLLECT_BOTH_LATER);
}

static void one_object_and_its_rings(UNUSED void **state)
{
	every_short_program(run_with_each_end, 5 - IS_SANITIZED, 1, 2);
	cgc_collect(2);
}

static void two_objects_and_their_rings(UNUSED void **state)
{
	every_short_program(run_with_each_end, 3 - IS_SANITIZED, 2, 2);
	every_short_program(run_with_each_end, 4 - IS_SANITIZED, 2, 1);
	cgc_collect(2);
}

static void three_objects_and_their_rings(UNUSED void **state)
{
	every_short_program(run_with_each_end, 3 - IS_SANITIZED, 3, 1);
	cgc_collect(2);
}

static void longer_programs_of_four_objects(UNUSED void **state)
{
	random_programs(run_and_collect, IS_SANITIZED ? 5000 : 50000);
	random_programs(run_and_collect_later, IS_SANITIZED ? 5000 : 50000);
	cgc_collect(2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_object_and_its_rings),
		TEST(two_objects_and_their_rings),
		TEST(three_objects_and_their_rings),
		TEST(longer_programs_of_four_objects),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
