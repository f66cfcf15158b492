/* SPDX-License-Identifier: MIT
 *
 * The detector looks at what suspects reach, and at nothing else unless it is asked to or has lost an entry. So every
 * ring of published objects that is garbage must have a suspect: every short program is run with each choice of its
 * objects published beforehand, and many longer ones. The detector's own looks leave exactly what handles reach.
 */
#include "shadow.h"

#define BATCH 256

static struct one {
	struct member *objects[OBJECTS];
	struct shadow shadow;
	struct step steps[STEPS];
	int count, made;
	unsigned published; /* a bit for each object that is so beforehand */
} batch[BATCH];
static int batched;

/* Until the detector has nothing left to look at; between the two checks of the heap it has not begun anew. */
static void wait_for_looks(void)
{
	for (int quiet = 0; quiet < 2;) {
		assert_int_equal(cgc_debug_verify(), 0);
		struct cgc_stats stats = stats_now();
		quiet = stats.suspects == 0 && stats.objects_waiting == 0 ? quiet + 1 : 0;
	}
}

static void run_one(struct one *one)
{
	shadow_start(&one->shadow, one->made);
	make_objects(one->objects, one->made);
	for (int i = 0; i < one->made; i++)
		if ((one->published & 1u << i) != 0)
			cgc_publish(one->objects[i]);
	run_steps(one->objects, &one->shadow, one->steps, one->count);
	cgc_collect(1);
}

/* Objects of these programs that should be alive and are not, or the other way round. */
static int run_these(struct one *first, int count)
{
	int made = 0, wanted = 0;
	count_up(&program);
	count_clear(&died);
	for (int i = 0; i < count; i++) {
		run_one(&first[i]);
		made += first[i].made;
		wanted += reached(&first[i].shadow);
	}
	wait_for_looks();
	int wrong = made - count_of(&died) - wanted;
	for (int i = 0; i < count; i++)
		release_handles(first[i].objects, &first[i].shadow, first[i].made);
	wait_for_looks();
	return wrong != 0 ? wrong : made - count_of(&died);
}

static void run_batch(void)
{
	int count = batched;
	batched = 0;
	if (run_these(batch, count) == 0)
		return;
	for (int i = 0; i < count; i++) {
		int wrong = run_these(&batch[i], 1);
		if (wrong != 0) {
			fprintf(stderr, "published %#x, %d too many:\n", batch[i].published, wrong);
			explain(batch[i].steps, batch[i].count, batch[i].made, 0, 0);
		}
	}
	fail();
}

static void run(const struct step *steps, int count, int made)
{
	for (unsigned published = 0; published < 1u << made; published++) {
		struct one *one = &batch[batched++];
		one->count = count;
		one->made = made;
		one->published = published;
		for (int i = 0; i < count; i++)
			one->steps[i] = steps[i];
		if (batched == BATCH)
			run_batch();
	}
}

static void rings_of_one_object(UNUSED void **state)
{
	every_short_program(run, 4 - IS_SANITIZED, 1, 2);
	run_batch();
}

static void rings_of_two_objects(UNUSED void **state)
{
	every_short_program(run, 4 - IS_SANITIZED, 2, 1);
	run_batch();
}

static void rings_of_three_objects(UNUSED void **state)
{
	every_short_program(run, 3 - IS_SANITIZED, 3, 1);
	run_batch();
}

static void rings_of_four_objects_in_longer_programs(UNUSED void **state)
{
	random_programs(run, IS_SANITIZED ? 500 : 5000);
	run_batch();
}

static int setup_looks(void **state)
{
	(void)state;
	return start_with("enable=1,eager=1,suspects=1,poison=1");
}

#define LOOKS(function) cmocka_unit_test_setup_teardown(function, setup_looks, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOKS(rings_of_one_object),
		LOOKS(rings_of_two_objects),
		LOOKS(rings_of_three_objects),
		LOOKS(rings_of_four_objects_in_longer_programs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
