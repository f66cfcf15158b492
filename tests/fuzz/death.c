/* SPDX-License-Identifier: MIT
 *
 * What the library calls: finalizers, destructors, callbacks of weak references. Each call is checked where it happens,
 * and some finalizers then bring their objects back.
 */
#include <stdlib.h>

#include "world.h"

static void add(_Atomic(uint64_t) *counter)
{
	/* No order needed: a number that is read when everything is quiet. */
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static uint32_t count(_Atomic(uint32_t) *counter)
{
	/* No order needed: whoever counts here has the object to itself. */
	return atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static uint32_t peek(_Atomic(uint32_t) *counter)
{
	/* No order needed: whoever reads here has the object to itself. */
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static bool is_freed(struct watch *watch)
{
	/* No order needed: written by this thread, or under the lock. */
	return atomic_load_explicit(&watch->freed, memory_order_relaxed);
}

/* Its target is dead: NULL, and called back. */
void watch_check_dead(struct watch *watch, const char *when)
{
	void *found = cgc_weak_load(watch->weak);
	if (found != NULL)
		VIOLATED("%s: weak reference %" PRIu64 " to %u answers %p", when, watch->number, watch->target,
		         found);
	watch->cleared = true;
	if (watch->has_callback && peek(&watch->called) != 1)
		VIOLATED("%s: callback of weak reference %" PRIu64 " to %u was called %u times", when,
		         watch->number, watch->target, peek(&watch->called));
}

/* Of a dead ring with several finalizers, the first may bring all of it back; other threads may then make new weak
 * references to objects whose own finalizers are still to come. */
static bool is_made_after_revival(struct watch *watch)
{
	struct record *record = &world.record[watch->target];
	if (world.exact)
		return record->taint_point == world.quiet_points && watch->taints == peek(&record->taints);
	return watch->events != world.finalizers_before;
}

static void check_weak(uint32_t id, const char *when, bool is_final)
{
	struct watch *witness =
		/* Pairs: the exchange in watch_new(), whose thread has given the object up since. */
		atomic_load_explicit(&world.record[id].witness, memory_order_acquire);
	if (!world.exact && witness != NULL && (is_final || !is_made_after_revival(witness)))
		watch_check_dead(witness, when);
	for (unsigned i = 0; world.exact && i <= world.worker_count; i++) {
		struct list *watches = &world.worker[i].watches;
		for (size_t j = 0; j < watches->count; j++) {
			struct watch *watch = ((struct watch **)watches->elements)[j];
			if (watch->target == id && !is_freed(watch) &&
			    (is_final || !is_made_after_revival(watch)))
				watch_check_dead(watch, when);
		}
	}
}

static void check_slots(struct item *item, uint32_t id)
{
	const struct record *record = &world.record[id];
	for (uint32_t i = 0; i < record->slots; i++) {
		struct place place = {.container = item,
		                      .id = id,
		                      .slot = i,
		                      .value = &record->value[i],
		                      .field = i < SLOTS ? &item->slot[i] : &item->more[i - SLOTS]};
		cgc_read_lock();
		struct item *found = cgc_borrow(place.field);
		if (world.exact)
			place_compare(world_self(), &place, found, "finalizer");
		else
			code_of(found, "finalizer");
		cgc_read_unlock();
	}
}

static void store(const struct place *place, struct item *item, int64_t code)
{
	place_note(world_self(), place, code);
	cgc_store(place->container, place->field, item);
}

static void push_temporary(struct worker *worker, struct item *item, uint32_t id)
{
	REQUIRE(worker->temporaries < TEMPORARIES);
	worker->temporary[worker->temporaries++] = (struct hand){item, id};
}

/* Owned; an object with slots that may be part of a cycle, or NULL. Left in the temporaries. */
static struct item *take_neighbour(struct worker *worker, struct item *item, uint32_t *id)
{
	struct item *neighbour = cgc_load(item, &item->slot[1]);
	int64_t code = code_of(neighbour, "finalizer's neighbour");
	if (code <= 0)
		return NULL;
	*id = (uint32_t)code;
	push_temporary(worker, neighbour, *id);
	return neighbour;
}

static void give_back(struct worker *worker, struct item *item)
{
	worker->temporaries--;
	cgc_release(item);
}

static void into_mailbox(struct worker *worker, struct item *item)
{
	struct item *old = cgc_retain(item);
	/* Pairs: itself, in another thread. */
	old = atomic_exchange_explicit(&world.mailbox[item->extra / 8 % MAILBOXES], old, memory_order_acq_rel);
	if (old != NULL) {
		push_temporary(worker, old, item_identify(old, "mailbox"));
		give_back(worker, old);
	}
}

static void make_child(struct worker *worker, struct item *item, uint32_t id)
{
	struct item *child = item_new(worker, LEAF_SEEN, 0, 0, true);
	if (child == NULL)
		return;
	struct place place = place_of_slot(item, id, 3);
	place_note(worker, &place, child->id);
	cgc_store_consume(item, place.field, child);
}

static void act(struct worker *worker, struct item *item, uint32_t id)
{
	struct record *record = &world.record[id];
	struct place root = place_of_root(item->extra / 8 % ROOTS);
	struct item *neighbour;
	uint32_t neighbour_id;
	unsigned what = item->extra % 8;
	if (record->slots == 0 && what != 1 && what != 5 && what != 7)
		return;
	switch (what) {
	case 1:
		store(&root, item, id);
		break;
	case 2: /* into a neighbour */
		neighbour = take_neighbour(worker, item, &neighbour_id);
		if (neighbour == NULL)
			break;
		if (!kind_is_acyclic(world.record[neighbour_id].kind)) {
			struct place place = place_of_slot(neighbour, neighbour_id, 2);
			store(&place, item, id);
		}
		give_back(worker, neighbour);
		break;
	case 3: /* a neighbour into a root */
		neighbour = take_neighbour(worker, item, &neighbour_id);
		if (neighbour == NULL)
			break;
		store(&root, neighbour, neighbour_id);
		give_back(worker, neighbour);
		break;
	case 4: /* cuts itself off */
		for (uint32_t i = world.exact ? 0 : 1; i < record->slots; i++) {
			struct place place = place_of_slot(item, id, i);
			store(&place, NULL, 0);
		}
		break;
	case 5:
		if (cgc_generation(item) != 2)
			cgc_publish(item);
		into_mailbox(worker, item);
		break;
	case 6:
		make_child(worker, item, id);
		break;
	case 7:
		watch_new(worker, item, id, 1);
		break;
	default:
		break;
	}
}

void final_finalize(void *object)
{
	struct item *item = object;
	uint32_t id = item_identify(item, "finalizer");
	struct record *record = &world.record[id];
	struct worker *worker = world_self();
	world_enter();
	add(&world.events);
	add(&world.finalizers);
	worker->own_events++;
	if (count(&record->finalized) != 0 || peek(&record->destroyed) != 0)
		VIOLATED("finalizer of %u called again, or after destroy", id);
	if (!cgc_is_finalized(item))
		VIOLATED("finalizer of %u: not marked as finalized", id);
	/* Of a set that is found dead all are finalized, though the first may have brought back all it reaches. */
	if (record->taint_point != world.quiet_points)
		model_expect_dead(id, "finalized");
	check_weak(id, "finalizer", false);
	check_slots(item, id);
	if (world.exact)
		model_taint(id);
	act(worker, item, id);
	world_leave();
}

void seen_destroy(void *object)
{
	struct item *item = object;
	uint32_t id = item_identify(item, "destroy");
	struct record *record = &world.record[id];
	world_enter();
	add(&world.events);
	world_self()->own_events++;
	if (count(&record->destroyed) != 0)
		VIOLATED("%s %u destroyed again", types[record->kind].name, id);
	if (kind_has_finalizer(record->kind) && peek(&record->finalized) != 1)
		VIOLATED("%s %u destroyed, but finalized %u times", types[record->kind].name, id,
		         peek(&record->finalized));
	/* No order needed: whoever has made it immortal has held it. */
	if (atomic_load_explicit(&record->immortal, memory_order_relaxed))
		VIOLATED("%s %u destroyed, and was made immortal", types[record->kind].name, id);
	model_expect_dead(id, "destroyed");
	check_weak(id, "destroy", true);
	world_leave();
}

/* The most recent reference first: none that is newer and of the same target still waits for its call. */
static void check_order(const struct watch *watch)
{
	for (unsigned i = 0; i <= world.worker_count; i++) {
		struct list *watches = &world.worker[i].watches;
		for (size_t j = 0; j < watches->count; j++) {
			struct watch *other = ((struct watch **)watches->elements)[j];
			if (other->target == watch->target && other->number > watch->number &&
			    other->has_callback && !is_freed(other) && peek(&other->called) == 0)
				VIOLATED("weak reference %" PRIu64 " called back before %" PRIu64
				         ", which is newer",
				         watch->number, other->number);
		}
	}
}

void watch_called(struct cgc_weak *weak, void *argument)
{
	struct watch *watch = argument;
	world_enter();
	add(&world.events);
	world_self()->own_events++;
	if (weak != watch->weak)
		VIOLATED("callback of another weak reference");
	if (count(&watch->called) != 0)
		VIOLATED("weak reference %" PRIu64 " to %u called back again", watch->number, watch->target);
	bool is_safe = world.exact ? !is_freed(watch) : !watch->is_shared;
	if (is_safe && cgc_weak_load(weak) != NULL)
		VIOLATED("weak reference %" PRIu64 " to %u called back, but does not answer NULL",
		         watch->number, watch->target);
	if (world.exact) {
		if (!is_freed(watch))
			check_order(watch);
		model_expect_dead(watch->target, "announced dead");
	}
	if (watch->frees_itself) {
		/* No order needed: nobody else has it. */
		atomic_store_explicit(&watch->freed, true, memory_order_relaxed);
		cgc_weak_free(weak);
	}
	world_leave();
}

/* how: 0 without callback, 1 with, 2 frees itself, 3 stays as long as the object. NULL if memory is out. */
struct watch *watch_new(struct worker *worker, struct item *item, uint32_t id, unsigned how)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	if (watch == NULL)
		return NULL;
	watch->target = id;
	watch->taints = peek(&world.record[id].taints);
	watch->has_callback = how != 0;
	watch->frees_itself = how == 2;
	watch->is_shared = how < 2;
	/* No order needed: numbers that never repeat. */
	watch->number = atomic_fetch_add_explicit(&world.watch_number, 1, memory_order_relaxed) + 1;
	/* No order needed: as above. */
	watch->events = atomic_load_explicit(&world.finalizers, memory_order_relaxed);
	watch->weak = cgc_weak_new(item, how != 0 ? watch_called : NULL, watch);
	if (watch->weak == NULL) {
		free(watch);
		return NULL;
	}
	struct watch *none = NULL;
	/* Pairs: check_weak(). */
	if (how == 3 && !atomic_compare_exchange_strong_explicit(&world.record[id].witness, &none, watch,
	                                                         memory_order_release, memory_order_relaxed)) {
		cgc_weak_free(watch->weak);
		free(watch);
		return NULL;
	}
	*(struct watch **)list_add(&worker->watches, sizeof(struct watch *)) = watch;
	return watch;
}
