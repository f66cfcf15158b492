/* SPDX-License-Identifier: MIT
 *
 * Quiet points: all threads of the program wait, everything is collected, and then the heap must be exactly what can be
 * reached from hands, roots and mailboxes: walked through the library's own slots, compared with what was written into
 * them; every reference counted; everything else destroyed, finalized and answered with NULL, once.
 */
#include <stdlib.h>
#include <time.h>

#include "heap.h" /* of the library: cgc__memory_fail_at() */
#include "world.h"

#define DETECTOR_SECONDS 20

/* Values written since the last quiet point, by hash; `slot` is one more here, 0 is empty. */
static struct {
	struct write *slots;
	size_t capacity, count;
} written;

static size_t written_find(struct write write)
{
	size_t i = mix((uint64_t)write.id << 32 ^ (uint64_t)write.slot << 20 ^ (uint64_t)write.code) %
	           written.capacity;
	while (written.slots[i].slot != 0 &&
	       (written.slots[i].id != write.id || written.slots[i].slot != write.slot ||
	        written.slots[i].code != write.code))
		i = (i + 1) % written.capacity;
	return i;
}

static void written_gather(void)
{
	size_t count = 0;
	for (unsigned i = 0; i <= world.worker_count; i++)
		count += world.worker[i].log.count;
	written.capacity = 2 * count + 16;
	free(written.slots);
	written.slots = calloc(written.capacity, sizeof(*written.slots));
	REQUIRE(written.slots != NULL);
	for (unsigned i = 0; i <= world.worker_count; i++) {
		struct list *log = &world.worker[i].log;
		for (size_t j = 0; j < log->count; j++) {
			struct write write = ((struct write *)log->elements)[j];
			write.slot++;
			written.slots[written_find(write)] = write;
		}
		log->count = 0;
	}
}

static size_t pushed;

static int64_t meet(struct item *item, const char *where)
{
	int64_t code = code_of(item, where);
	if (code <= 0)
		return code;
	struct record *record = &world.record[code];
	if (!record->in_use)
		VIOLATED("%s: %" PRId64 " was dead at an earlier quiet point", where, code);
	record->references++;
	if (record->mark != world.mark) {
		record->mark = world.mark;
		world.stack[pushed++] = (uint32_t)code;
	}
	return code;
}

/* What a slot or root holds must be what was written. */
static int64_t read_place(uint32_t id, uint32_t slot, item_ref *field, int64_t *value)
{
	struct item *found = cgc_borrow(field);
	int64_t code = meet(found, id != 0 ? "slot" : "root");
	if (code == *value)
		return code;
	struct write write = {id, slot + 1, code};
	if (world.exact || written.slots[written_find(write)].slot == 0)
		VIOLATED("slot %u of %u holds %" PRId64 ", %s %" PRId64 "", slot, id, code,
		         world.exact ? "expected" : "which nobody wrote since it held", *value);
	*value = code;
	return code;
}

static void visit(uint32_t id)
{
	struct record *record = &world.record[id];
	struct item *item = record->address;
	int generation = cgc_generation(item);
	for (uint32_t i = 0; i < record->slots; i++) {
		item_ref *field = i < SLOTS ? &item->slot[i] : &item->more[i - SLOTS];
		int64_t code = read_place(id, i, field, &record->value[i]);
		if (!world.exact && i == 0 && code != record->own)
			VIOLATED("slot 0 of %u holds %" PRId64 ", its maker wrote %" PRId64, id, code,
			         record->own);
		if (code > 0 && generation == 2 && cgc_generation(world.record[code].address) != 2)
			VIOLATED("%u is published and refers to %" PRId64 ", which is not", id, code);
	}
}

static void meet_holders(void)
{
	for (unsigned i = 0; i < world.worker_count; i++) {
		struct worker *worker = &world.worker[i];
		for (unsigned j = 0; j < HANDS; j++)
			if (worker->hand[j].item != NULL &&
			    meet(worker->hand[j].item, "hand") != worker->hand[j].id)
				VIOLATED("hand %u of thread %u does not hold %u", j, i, worker->hand[j].id);
		for (size_t j = 0; j < worker->immortals.count; j++)
			meet(((struct hand *)worker->immortals.elements)[j].item, "immortal");
	}
	for (unsigned i = 0; i < MAILBOXES; i++)
		/* No order needed: the threads wait. */
		meet(atomic_load_explicit(&world.mailbox[i], memory_order_relaxed), "mailbox");
}

/* Marks and counts what can be reached; returns how many objects. */
static size_t walk(void)
{
	size_t count = 0;
	world.mark++;
	for (uint32_t i = 1; i < world.ids_used; i++)
		world.record[i].references = 0;
	cgc_read_lock();
	meet_holders();
	for (unsigned i = 0; i < ROOTS; i++)
		read_place(0, i, &world.root[i], &world.root_value[i]);
	for (; pushed > 0; count++)
		visit(world.stack[--pushed]);
	cgc_read_unlock();
	return count;
}

static bool is_alive(uint32_t id)
{
	return world.record[id].in_use && world.record[id].mark == world.mark;
}

static uint32_t peek(_Atomic(uint32_t) *counter)
{
	/* No order needed: everything is quiet. */
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void check_objects(void)
{
	for (uint32_t id = 1; id < world.ids_used; id++) {
		struct record *record = &world.record[id];
		if (!record->in_use)
			continue;
		const char *name = types[record->kind].name;
		uint32_t destroyed = peek(&record->destroyed), finalized = peek(&record->finalized);
		if (!is_alive(id)) {
			if (kind_has_destroy(record->kind) && destroyed != 1)
				VIOLATED("%s %u cannot be reached: finalized %u times, destroyed %u times",
				         name, id, finalized, destroyed);
			continue;
		}
		if (destroyed != 0)
			VIOLATED("%s %u can be reached, but was destroyed", name, id);
		/* No order needed: everything is quiet. */
		if (atomic_load_explicit(&record->immortal, memory_order_relaxed))
			continue;
		if (cgc_is_finalized(record->address) != (finalized > 0))
			VIOLATED("%s %u: finalized %u times, cgc_is_finalized() says otherwise", name, id,
			         finalized);
		if (cgc_reference_count(record->address) != (long)record->references)
			VIOLATED("%s %u has %ld references, the library says %ld", name, id,
			         (long)record->references, cgc_reference_count(record->address));
	}
}

static void check_watch(struct watch *watch)
{
	/* No order needed, here and below: everything is quiet. */
	if (atomic_load_explicit(&watch->freed, memory_order_relaxed) || watch->target == 0)
		return;
	if (!is_alive(watch->target)) {
		watch_check_dead(watch, "quiet point");
		watch->target = 0;
		return;
	}
	struct item *found = cgc_weak_load(watch->weak);
	if (found == NULL) {
		bool may_be = world.exact ? peek(&world.record[watch->target].taints) != watch->taints
		                          /* No order needed: as above. */
		                          : atomic_load_explicit(&world.finalizers, memory_order_relaxed) !=
		                                    watch->events;
		if (!may_be && !watch->cleared)
			VIOLATED("weak reference %" PRIu64 " answers NULL, but %u can be reached",
			         watch->number, watch->target);
		watch->cleared = true;
		return;
	}
	if (watch->cleared || found != world.record[watch->target].address || peek(&watch->called) != 0)
		VIOLATED("weak reference %" PRIu64 " to %u answers %p, %s, called back %u times", watch->number,
		         watch->target, (void *)found, watch->cleared ? "was NULL before" : "was never NULL",
		         peek(&watch->called));
	cgc_release(found);
}

static void check_numbers(size_t alive)
{
	struct cgc_stats stats;
	cgc_get_stats(&stats);
	uint64_t freed =
		stats.objects_freed_by_count + stats.objects_freed_locally + stats.objects_freed_by_detector;
	if (stats.objects_live != alive + world.immortal_before)
		VIOLATED("%" PRIu64 " objects live, %zu can be reached, %" PRIu64 " are immortal",
		         stats.objects_live, alive, world.immortal_before);
	if (stats.objects_allocated - freed != stats.objects_live)
		VIOLATED("%" PRIu64 " objects allocated, %" PRIu64 " freed, %" PRIu64 " live",
		         stats.objects_allocated, freed, stats.objects_live);
	if (stats.objects_waiting != 0)
		VIOLATED("%" PRIu64 " objects wait in a quiet heap", stats.objects_waiting);
}

static void verify(const char *when)
{
	size_t violations = cgc_debug_verify();
	if (violations != 0)
		VIOLATED("%zu invariants of the heap violated %s the collection", violations, when);
}

/* Returns how many objects can be reached. */
static size_t quiet_check(void)
{
	uint64_t before;
	unsigned rounds = 0;
	cgc__memory_fail_at(0);
	command_all(COLLECT_YOUNG);
	verify("before");
	do {
		/* No order needed: a number that has to stand still. */
		before = atomic_load_explicit(&world.events, memory_order_relaxed);
		if (++rounds > 10000)
			VIOLATED("10000 collections in turn found garbage");
		/* No order needed: as above. */
	} while (cgc_collect(2) > 0 || atomic_load_explicit(&world.events, memory_order_relaxed) != before);
	verify("after");
	written_gather();
	size_t alive = walk();
	check_objects();
	check_numbers(alive);
	for (unsigned i = 0; i <= world.worker_count; i++)
		for (size_t j = 0; j < world.worker[i].watches.count; j++)
			check_watch(((struct watch **)world.worker[i].watches.elements)[j]);
	for (uint32_t id = 1; id < world.ids_used; id++)
		if (world.record[id].in_use && !is_alive(id))
			id_give(id);
	world.quiet_points++;
	/* No order needed: everything is quiet. */
	world.finalizers_before = atomic_load_explicit(&world.finalizers, memory_order_relaxed);
	return alive;
}

/* While finalizers may still run: no comparison, only a count. */
static size_t count_reachable(void)
{
	size_t count = 0;
	world_enter();
	if (world.exact) {
		count = model_count();
	} else {
		world.mark++;
		cgc_read_lock();
		meet_holders();
		for (unsigned i = 0; i < ROOTS; i++)
			meet(cgc_borrow(&world.root[i]), "root");
		for (; pushed > 0; count++) {
			const struct record *record = &world.record[world.stack[--pushed]];
			struct item *item = record->address;
			for (uint32_t i = 0; i < record->slots; i++)
				meet(cgc_borrow(i < SLOTS ? &item->slot[i] : &item->more[i - SLOTS]), "slot");
		}
		cgc_read_unlock();
	}
	world_leave();
	return count;
}

/* Without a look at everything: what leads to garbage must have been noted when it became that. Polled, with a bound
 * that only ends a run that hangs. */
static void wait_for_detector(void)
{
	struct timespec time, pause = {.tv_nsec = 100000};
	clock_gettime(CLOCK_MONOTONIC, &time);
	time_t until = time.tv_sec + DETECTOR_SECONDS;
	cgc__memory_fail_at(0);
	command_all(COLLECT_YOUNG);
	cgc_enable();
	for (;;) {
		struct cgc_stats stats;
		size_t alive = count_reachable();
		cgc_get_stats(&stats);
		if (stats.objects_live == alive + world.immortal_before)
			return;
		clock_gettime(CLOCK_MONOTONIC, &time);
		if (time.tv_sec > until)
			VIOLATED("%" PRIu64 " objects live, %zu can be reached, %" PRIu64
			         " are immortal: garbage that the detector does not find by itself",
			         stats.objects_live, alive, world.immortal_before);
		nanosleep(&pause, NULL);
	}
}

/* With debug=1 it would list what is still alive, which is on purpose here. */
size_t stop_silently(void)
{
	cgc__heap.debug = false;
	return cgc_stop();
}

/* how: below 32 with cgc_stop(), below 96 the detector is first given time to find the garbage by itself. */
void quiet_point(unsigned how)
{
	if (how >= 32 && how < 96 && cgc__heap.eager)
		wait_for_detector();
	size_t alive = quiet_check();
	if (how >= 32)
		return;
	command_all(DETACH_NOW);
	size_t left = stop_silently();
	if (left != alive + world.immortal_before)
		VIOLATED("cgc_stop: %zu objects alive, %zu can be reached, %" PRIu64 " are immortal", left,
		         alive, world.immortal_before);
	REQUIRE(cgc_start(program_options(world.program->options)) == 0);
}

static void clear_place(struct place place)
{
	world_enter();
	place_note(&world.worker[0], &place, 0);
	cgc_store(place.container, place.field, NULL);
	world_leave();
}

static size_t clear(void)
{
	size_t immortals = 0;
	for (unsigned i = 0; i < ROOTS; i++)
		clear_place(place_of_root(i));
	for (unsigned i = 0; i < MAILBOXES; i++) {
		world_enter();
		/* Pairs: the exchanges of the threads. */
		cgc_release(atomic_exchange_explicit(&world.mailbox[i], NULL, memory_order_acq_rel));
		world_leave();
	}
	for (unsigned i = 0; i < world.worker_count; i++) {
		struct list *list = &world.worker[i].immortals;
		immortals += list->count;
		for (size_t j = 0; j < list->count; j++) {
			struct hand hand = ((struct hand *)list->elements)[j];
			struct record *record = &world.record[hand.id];
			for (uint32_t slot = 0; slot < record->slots; slot++)
				clear_place((struct place){.container = hand.item,
				                           .id = hand.id,
				                           .slot = slot,
				                           .value = &record->value[slot],
				                           .field = slot < SLOTS
				                                            ? &hand.item->slot[slot]
				                                            : &hand.item->more[slot - SLOTS]});
		}
	}
	return immortals;
}

/* Lets go of everything, and of what finalizers bring back, until nothing is left but what is immortal. */
void quiet_reset(void)
{
	size_t immortals, alive = 0, rounds = 0;
	command_all(DROP_ALL);
	do {
		if (++rounds > 100000)
			VIOLATED("%zu objects left after everything was let go of 100000 times", alive);
		immortals = clear();
		alive = quiet_check();
	} while (alive > immortals);
}
