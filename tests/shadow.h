/* SPDX-License-Identifier: MIT
 *
 * Short programs of stores and releases on a few objects, and a shadow that knows what their handles reach: for tests
 * that all that is garbage is found, and nothing else.
 */
#ifndef TESTS_SHADOW_H
#define TESTS_SHADOW_H

#include "node.h"

#define OBJECTS 4
#define SLOTS 2
#define NOBODY (-1)
#define STEPS 24

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

static atomic_int program; /* the number of the one that runs */
static atomic_int died;    /* of its objects */

/* Those of earlier programs may be destroyed by the detector at any time. */
static void member_destroy(void *object)
{
	if (((struct member *)object)->program == count_of(&program))
		count_up(&died);
}

static struct cgc_type member_type = {
	.name = "member",
	.size = sizeof(struct member),
	CGC_FIELDS(CGC_FIELD(struct member, slot[0]), CGC_FIELD(struct member, slot[1])),
	.destroy = member_destroy};

static void shadow_start(struct shadow *shadow, int count)
{
	for (int i = 0; i < OBJECTS; i++) {
		shadow->handles[i] = i < count;
		for (int s = 0; s < SLOTS; s++)
			shadow->slot[i][s] = NOBODY;
	}
}

/* How many objects a handle reaches. */
static int reached(const struct shadow *shadow)
{
	bool is_reached[OBJECTS];
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

/* By a handle, or borrowed from an object with one. */
static bool is_at_hand(const struct shadow *shadow, int object)
{
	bool found = shadow->handles[object] > 0;
	for (int i = 0; i < OBJECTS; i++)
		for (int s = 0; s < SLOTS; s++)
			found |= shadow->handles[i] > 0 && shadow->slot[i][s] == object;
	return found;
}

/* False if it cannot be done. */
static bool shadow_do(struct shadow *shadow, struct step step)
{
	int *container = &shadow->handles[step.container], *slot = &shadow->slot[step.container][step.slot];
	if (step.action == COLLECT)
		return true;
	if (!is_at_hand(shadow, step.container))
		return false;
	switch (step.action) {
	case RETAIN:
		(*container)++;
		return *container <= 2;
	case RELEASE:
		(*container)--;
		return *container >= 0;
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

static void real_do(struct member **objects, struct step step)
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

/* Begins a program; its objects, with a handle each. */
static void make_objects(struct member **objects, int made)
{
	for (int i = 0; i < made; i++) {
		objects[i] = cgc_new(&member_type);
		objects[i]->program = count_of(&program);
	}
}

static void run_steps(struct member **objects, struct shadow *shadow, const struct step *steps, int count)
{
	for (int i = 0; i < count; i++) {
		/* For the container, which may be borrowed. */
		bool is_section = steps[i].action != COLLECT && steps[i].action != RELEASE;
		if (is_section)
			cgc_read_lock();
		shadow_do(shadow, steps[i]);
		real_do(objects, steps[i]);
		if (is_section)
			cgc_read_unlock();
	}
}

static void release_handles(struct member **objects, struct shadow *shadow, int made)
{
	for (int i = 0; i < made; i++)
		for (; shadow->handles[i] > 0; shadow->handles[i]--)
			cgc_release(objects[i]);
}

typedef void run_program(const struct step *steps, int count, int made);

static void add_step(run_program *run, struct step *steps, int count, int length, int made, int slots,
                     const struct shadow *shadow)
{
	run(steps, count, made);
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
						add_step(run, steps, count + 1, length, made, slots, &next);
				}
}

/* Every program of up to so many steps, on so many objects, that uses so many slots. */
UNUSED static void every_short_program(run_program *run, int length, int made, int slots)
{
	struct step steps[STEPS];
	struct shadow shadow;
	shadow_start(&shadow, made);
	add_step(run, steps, 0, length, made, slots, &shadow);
}

UNUSED static void random_programs(run_program *run, int programs)
{
	uint64_t random = 88172645463325252u;
	for (int round = 0; round < programs; round++) {
		struct step steps[STEPS];
		struct shadow shadow;
		shadow_start(&shadow, OBJECTS);
		int count = 0;
		for (int tries = 0; tries < 60 && count < STEPS; tries++) {
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
		run(steps, count, OBJECTS);
	}
}

#endif
