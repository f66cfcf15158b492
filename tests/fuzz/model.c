/* SPDX-License-Identifier: MIT
 *
 * The sequential oracle: what can be reached, by the driver's own records. Exact runs only, with world.lock held.
 *
 * By owners: from hands, roots, mailboxes and immortal objects. By borrowers as well: what a section has borrowed is
 * kept until it ends, with all it reaches; but no longer.
 */
#include "world.h"

static size_t pushed;

static void push(int64_t code)
{
	if (code > 0 && world.record[code].mark != world.mark) {
		world.record[code].mark = world.mark;
		world.stack[pushed++] = (uint32_t)code;
	}
}

static void follow(void)
{
	while (pushed > 0) {
		const struct record *record = &world.record[world.stack[--pushed]];
		for (uint32_t i = 0; i < record->slots; i++)
			push(record->value[i]);
	}
}

bool model_reaches(uint32_t id, int how)
{
	world.mark++;
	for (unsigned i = 0; i <= world.worker_count; i++) {
		const struct worker *worker = &world.worker[i];
		for (unsigned j = 0; j < HANDS; j++)
			push(worker->hand[j].id);
		for (unsigned j = 0; j < worker->temporaries; j++)
			push(worker->temporary[j].id);
		for (unsigned j = 0; how == BY_BORROWERS && j < BORROWED; j++)
			push(worker->borrowed[j].id);
		for (size_t j = 0; j < worker->immortals.count; j++)
			push(((struct hand *)worker->immortals.elements)[j].id);
	}
	for (unsigned i = 0; i < ROOTS; i++)
		push(world.root_value[i]);
	for (unsigned i = 0; i < MAILBOXES; i++) {
		/* No order needed: under the lock. */
		struct item *item = atomic_load_explicit(&world.mailbox[i], memory_order_relaxed);
		push(item != NULL ? item->id : 0);
	}
	follow();
	return world.record[id].mark == world.mark;
}

/* How many objects can be reached by owners. */
size_t model_count(void)
{
	size_t count = 0;
	model_reaches(0, BY_OWNERS);
	for (uint32_t id = 1; id < world.ids_used; id++)
		count += world.record[id].in_use && world.record[id].mark == world.mark;
	return count;
}

/* What garbage with a finalizer reaches may have lost its weak references, and lives on if the finalizer says so. */
void model_taint(uint32_t id)
{
	model_reaches(id, BY_BORROWERS);
	push(id);
	while (pushed > 0) {
		struct record *record = &world.record[world.stack[--pushed]];
		/* No order needed: under the lock. */
		atomic_fetch_add_explicit(&record->taints, 1, memory_order_relaxed);
		record->taint_point = world.quiet_points;
		for (uint32_t i = 0; i < record->slots; i++)
			push(record->value[i]);
	}
}

void model_expect_dead(uint32_t id, const char *what)
{
	if (!world.exact)
		return;
	if (model_reaches(id, BY_OWNERS))
		VIOLATED("%s %u %s while it can be reached", types[world.record[id].kind].name, id, what);
	if (model_reaches(id, BY_BORROWERS))
		VIOLATED("%s %u %s while a section has borrowed it", types[world.record[id].kind].name, id,
		         what);
}
