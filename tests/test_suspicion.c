/* SPDX-License-Identifier: MIT
 *
 * The local collection looks at nothing but what suspects reach, so every ring that is garbage must have one: every
 * short program of stores and releases is run, and many longer ones. After a local collection exactly what no handle
 * reaches is dead. Nothing is left for the detector: what a local collection misses is published, and no suspect there.
 */
#include <string.h>

#include "heap.h"
#include "node.h"

#define OBJECTS 4
#define SLOTS 2
#define NOBODY (-1)

/* What a program can know: who is referred to where. */
struct shadow {
	int handles[OBJECTS];
	int slot[OBJECTS][SLOTS];
};

enum action { RETAIN, RELEASE, STORE, CONSUME, EXCHANGE, COMPARE, TAKE, COLLECT, ACTIONS };
static const char *const names[] = {"retain",   "release", "store", "consume",
                                    "exchange", "compare", "take",  "collect"};

struct step {
	enum action action;
	int container, slot, value;
};

struct member {
	int program;
	cgc_ref(struct member) slot[SLOTS];
};

static _Atomic(int) program; /* the number of the one that runs */
static _Atomic(int) died;    /* of its objects */

/* Those of earlier programs may be destroyed by the detector at any time. */
static void member_destroy(void *object)
{
	if (((struct member *)object)->program == atomic_load(&program))
		atomic_fetch_add(&died, 1);
}

static struct cgc_type member_type = {
	.name = "member",
	.size = sizeof(struct member),
	CGC_FIELDS(CGC_FIELD(struct member, slot[0]), CGC_FIELD(struct member, slot[1])),
	.destroy = member_destroy};

static struct member *objects[OBJECTS];

static void shadow_start(struct shadow *shadow, int count)
{
	for (int i = 0; i < OBJECTS; i++) {
		shadow->handles[i] = i < count;
		for (int s = 0; s < SLOTS; s++)
			shadow->slot[i][s] = NOBODY;
	}
}

static int reached(const struct shadow *shadow, bool *is_reached)
{
	int list[OBJECTS], count = 0;
	for (int i = 0; i < OBJECTS; i++)
		if ((is_reached[i] = shadow->handles[i] > 0))
			list[count++] = i;
	for (int done = 0; done < count; done++)
		for (int s = 0; s < SLOTS; s++) {
			int next = shadow->slot[list[done]][s];
			if (next != NOBODY && !is_reached[next]) {
				is_reached[next] = true;
				list[count++] = next;
			}
		}
	return count;
}

/* Whoever has a handle to an object can do this; false if it cannot be done. */
static bool shadow_do(struct shadow *shadow, struct step step)
{
	int *container = &shadow->handles[step.container], *slot = &shadow->slot[step.container][step.slot];
	if (step.action == COLLECT)
		return true;
	if (*container == 0)
		return false;
	switch (step.action) {
	case RETAIN:
		(*container)++;
		return *container <= 2;
	case RELEASE:
		(*container)--;
		return true;
	case TAKE:
		if (*slot == NOBODY)
			return false;
		shadow->handles[*slot]++;
		*slot = NOBODY;
		return true;
	default:
		if (shadow->handles[step.value] == 0)
			return false;
		if (step.action == CONSUME || step.action == EXCHANGE)
			shadow->handles[step.value]--;
		if (step.action == EXCHANGE && *slot != NOBODY)
			shadow->handles[*slot]++;
		*slot = step.value;
		return true;
	}
}

static void real_do(struct step step)
{
	struct member *container = objects[step.container], *value = objects[step.value];
	switch (step.action) {
	case RETAIN:
		cgc_retain(container);
		break;
	case RELEASE:
		cgc_release(container);
		break;
	case STORE:
		cgc_store(container, &container->slot[step.slot], value);
		break;
	case CONSUME:
		cgc_store_consume(container, &container->slot[step.slot], value);
		break;
	case EXCHANGE:
		cgc_exchange(container, &container->slot[step.slot], value);
		break;
	case COMPARE:
		cgc_compare_exchange(container, &container->slot[step.slot],
		                     cgc_borrow(&container->slot[step.slot]), value);
		break;
	case TAKE:
		cgc_exchange(container, &container->slot[step.slot], NULL);
		break;
	default:
		cgc_collect(0);
	}
}

static void explain(const struct step *steps, int count, int objects_made, int alive, int wanted)
{
	fprintf(stderr, "%d objects, %d alive, %d reached, after:", objects_made, alive, wanted);
	for (int i = 0; i < count; i++)
		fprintf(stderr, " %s(%d.%d, %d)", names[steps[i].action], steps[i].container, steps[i].slot,
		        steps[i].value);
	fputc('\n', stderr);
}

/* How a program ends. */
enum end { COLLECT_0, COLLECT_BOTH, COLLECT_BOTH_LATER, ENDS };

static void run(const struct step *steps, int count, int made, enum end end)
{
	struct shadow shadow;
	bool is_reached[OBJECTS];
	shadow_start(&shadow, made);
	atomic_fetch_add(&program, 1);
	atomic_store(&died, 0);
	for (int i = 0; i < made; i++) {
		objects[i] = cgc_new(&member_type);
		objects[i]->program = atomic_load(&program);
	}
	for (int i = 0; i < count; i++) {
		shadow_do(&shadow, steps[i]);
		real_do(steps[i]);
	}
	if (end == COLLECT_BOTH_LATER) {
		cgc_collect(0);
		for (int i = 0; i < made; i++)
			for (; shadow.handles[i] > 0; shadow.handles[i]--)
				cgc_release(objects[i]);
	}
	int wanted = reached(&shadow, is_reached);
	cgc_collect(end == COLLECT_0 ? 0 : 1);
	int alive = made - atomic_load(&died);
	if (alive != wanted) {
		explain(steps, count, made, alive, wanted);
		fail();
	}
	cgc_collect(1);
	/* What is left is published by now: for the detector, which is not asked after every program. */
	for (int i = 0; i < made; i++)
		for (; shadow.handles[i] > 0; shadow.handles[i]--)
			cgc_release(objects[i]);
}

static void run_all(struct step *steps, int count, int length, int made, int slots, const struct shadow *shadow)
{
	bool is_old = false;
	for (int i = 0; i < count; i++)
		is_old |= steps[i].action == COLLECT;
	for (int end = is_old ? COLLECT_BOTH : COLLECT_0; end < ENDS; end++)
		run(steps, count, made, (enum end)end);
	if (count == length)
		return;
	for (int action = 0; action < ACTIONS; action++)
		for (int container = 0; container < made; container++)
			for (int slot = 0; slot < slots; slot++)
				for (int value = 0; value < made; value++) {
					bool has_value = action >= STORE && action <= COMPARE;
					bool has_slot = has_value || action == TAKE;
					if ((value > 0 && !has_value) || (slot > 0 && !has_slot) ||
					    (container > 0 && action == COLLECT))
						continue;
					struct shadow next = *shadow;
					steps[count] = (struct step){action, container, slot, value};
					if (shadow_do(&next, steps[count]))
						run_all(steps, count + 1, length, made, slots, &next);
				}
}

static void every_short_program(int length, int made, int slots)
{
	if (IS_SANITIZED)
		length--;
	struct step steps[8];
	struct shadow shadow;
	shadow_start(&shadow, made);
	run_all(steps, 0, length, made, slots, &shadow);
	cgc_collect(2);
}

static void one_object_and_its_rings(UNUSED void **state)
{
	every_short_program(5, 1, 2);
}

static void two_objects_and_their_rings(UNUSED void **state)
{
	every_short_program(3, 2, 2);
	every_short_program(4, 2, 1);
}

static void three_objects_and_their_rings(UNUSED void **state)
{
	every_short_program(3, 3, 1);
}

static void longer_programs_of_four_objects(UNUSED void **state)
{
	uint64_t random = 88172645463325252u;
	for (int round = 0; round < (IS_SANITIZED ? 10000 : 100000); round++) {
		struct step steps[24];
		struct shadow shadow;
		shadow_start(&shadow, OBJECTS);
		int count = 0;
		for (int tries = 0; tries < 60 && count < 24; tries++) {
			random ^= random << 13, random ^= random >> 7, random ^= random << 17;
			struct shadow next = shadow;
			steps[count] = (struct step){
				(enum action)(random % (random >> 60 == 0 ? ACTIONS : COLLECT)),
				(random >> 8) % OBJECTS, (random >> 16) % SLOTS, (random >> 24) % OBJECTS};
			if (shadow_do(&next, steps[count])) {
				shadow = next;
				count++;
			}
		}
		run(steps, count, OBJECTS, round % 2 != 0 ? COLLECT_BOTH : COLLECT_BOTH_LATER);
	}
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
