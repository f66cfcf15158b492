/* SPDX-License-Identifier: MIT
 *
 * Objects and their records, slots and what is written into them.
 */
#include "world.h"

#include <stdlib.h>
#include <string.h>

struct world world;
_Thread_local struct worker *self;

#define ITEM_FIELDS                                                                  \
	CGC_FIELDS(CGC_FIELD(struct item, slot[0]), CGC_FIELD(struct item, slot[1]), \
	           CGC_FIELD(struct item, slot[2]), CGC_FIELD(struct item, slot[3]))
#define ITEM_ROW .flags = CGC_TRAILING, .trailing = CGC_TRAILING_FIELD(struct item, more)
#define ITEM_BYTES sizeof(struct item)
#define LEAF_BYTES offsetof(struct item, slot)

/* Without `destroy` the library takes shorter ways. */
struct cgc_type types[KINDS] = {
	[NODE] = {.name = "node", .size = ITEM_BYTES, ITEM_FIELDS},
	[NODE_SEEN] = {.name = "node_seen", .size = ITEM_BYTES, ITEM_FIELDS, .destroy = seen_destroy},
	[ROW] = {.name = "row", .size = ITEM_BYTES, ITEM_FIELDS, ITEM_ROW, .destroy = seen_destroy},
	[LEAF] = {.name = "leaf", .size = LEAF_BYTES},
	[LEAF_SEEN] = {.name = "leaf_seen", .size = LEAF_BYTES, .destroy = seen_destroy},
	[ACYCLIC] = {.name = "acyclic", .size = ITEM_BYTES, ITEM_FIELDS, .flags = CGC_ACYCLIC},
	[ACYCLIC_SEEN] = {.name = "acyclic_seen",
                          .size = ITEM_BYTES,
                          ITEM_FIELDS,
                          .flags = CGC_ACYCLIC,
                          .destroy = seen_destroy},
	[FINAL] = {.name = "final",
                   .size = ITEM_BYTES,
                   ITEM_FIELDS,
                   .finalize = final_finalize,
                   .destroy = seen_destroy},
	[FINAL_ROW] = {.name = "final_row",
                       .size = ITEM_BYTES,
                       ITEM_FIELDS,
                       ITEM_ROW,
                       .finalize = final_finalize,
                       .destroy = seen_destroy},
	[FINAL_LEAF] = {.name = "final_leaf",
                        .size = LEAF_BYTES,
                        .finalize = final_finalize,
                        .destroy = seen_destroy},
};

bool kind_is_acyclic(unsigned kind)
{
	return kind == LEAF || kind == LEAF_SEEN || kind == ACYCLIC || kind == ACYCLIC_SEEN ||
	       kind == FINAL_LEAF;
}

bool kind_has_slots(unsigned kind)
{
	return kind != LEAF && kind != LEAF_SEEN && kind != FINAL_LEAF;
}

bool kind_has_finalizer(unsigned kind)
{
	return types[kind].finalize != NULL;
}

bool kind_has_destroy(unsigned kind)
{
	return types[kind].destroy != NULL;
}

static void *checked(void *memory)
{
	if (memory == NULL) {
		fprintf(stderr, "fuzz: out of memory\n");
		_Exit(1);
	}
	return memory;
}

/* Room for one more element. */
void *list_add(struct list *list, size_t element)
{
	if (list->count == list->capacity) {
		list->capacity = list->capacity > 0 ? 2 * list->capacity : 64;
		list->elements = checked(realloc(list->elements, list->capacity * element));
	}
	return (char *)list->elements + element * list->count++;
}

void world_begin(const struct program *program)
{
	if (world.record == NULL) {
		world.record = checked(calloc(IDS, sizeof(*world.record)));
		world.stack = checked(calloc(IDS, sizeof(*world.stack)));
		pthread_mutexattr_t attributes;
		pthread_mutexattr_init(&attributes);
		pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
		pthread_mutex_init(&world.lock, &attributes);
		for (unsigned i = 0; i <= THREADS_MAX; i++) {
			sem_init(&world.worker[i].go, 0, 0);
			sem_init(&world.worker[i].done, 0, 0);
		}
		world.ids_used = 1; /* 0 is nobody */
	}
	world.program = program;
	world.exact = !program->together;
	world.worker_count = program->threads;
	world.quiet_points = 0;
	for (unsigned i = 0; i <= program->threads; i++) {
		world.worker[i].index = i;
		world.worker[i].is_main = i == 0;
		world.worker[i].operations = 0;
		world.worker[i].has_predecessor = world.worker[i].detached = false;
	}
}

void world_end(void)
{
	for (unsigned i = 0; i <= world.worker_count; i++) {
		struct list *watches = &world.worker[i].watches;
		for (size_t j = 0; j < watches->count; j++) {
			struct watch *watch = ((struct watch **)watches->elements)[j];
			/* No order needed: everything is quiet. */
			if (!atomic_load_explicit(&watch->freed, memory_order_relaxed))
				cgc_weak_free(watch->weak);
			free(watch);
		}
		struct list *immortals = &world.worker[i].immortals;
		world.immortal_before += immortals->count;
		for (size_t j = 0; j < immortals->count; j++)
			id_give(((struct hand *)immortals->elements)[j].id);
		watches->count = immortals->count = world.worker[i].log.count = 0;
	}
}

/* Exact: one thing at a time. */
void world_enter(void)
{
	if (world.exact)
		pthread_mutex_lock(&world.lock);
}

void world_leave(void)
{
	if (world.exact)
		pthread_mutex_unlock(&world.lock);
}

struct worker *world_self(void)
{
	return self != NULL ? self : &world.worker[world.worker_count];
}

/* Numbers go back to the thread that used them, at quiet points. */
uint32_t id_take(struct worker *worker)
{
	if (worker->ids.count == 0) {
		/* Only the record array is shared, and handed out in blocks under a lock. */
		static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
		pthread_mutex_lock(&lock);
		uint32_t first = world.ids_used, count = IDS - first < 64 ? IDS - first : 64;
		world.ids_used += count;
		pthread_mutex_unlock(&lock);
		for (uint32_t i = count; i > 0; i--)
			*(uint32_t *)list_add(&worker->ids, sizeof(uint32_t)) = first + i - 1;
		if (count == 0)
			return 0;
	}
	return ((uint32_t *)worker->ids.elements)[--worker->ids.count];
}

void id_give(uint32_t id)
{
	struct record *record = &world.record[id];
	free(record->value);
	record->value = NULL;
	record->in_use = false;
	record->magic = 0;
	/* A maker beyond the threads of this program does not get numbers any more. */
	unsigned maker = record->maker <= world.worker_count ? record->maker : 0;
	*(uint32_t *)list_add(&world.worker[maker].ids, sizeof(uint32_t)) = id;
}

/* The object must be what its number says. */
uint32_t item_identify(const struct item *item, const char *where)
{
	uint32_t id = item->id;
	if (id == 0 || id >= IDS)
		VIOLATED("%s: %p has no number but 0x%08x: freed, or overwritten", where, (const void *)item,
		         id);
	const struct record *record = &world.record[id];
	if (item->magic != record->magic || record->address != item)
		VIOLATED("%s: %p has number %u and magic 0x%016" PRIx64 ", expected 0x%016" PRIx64
		         ": freed, or overwritten",
		         where, (const void *)item, id, item->magic, record->magic);
	return id;
}

struct item *item_new(struct worker *worker, unsigned kind, unsigned extra, unsigned more, bool may_fail)
{
	bool is_row = (types[kind].flags & CGC_TRAILING) != 0;
	uint32_t id = id_take(worker);
	if (id == 0)
		return NULL;
	struct item *item;
	if (is_row)
		item = may_fail ? cgc_try_new_n(&types[kind], more) : cgc_new_n(&types[kind], more);
	else
		item = may_fail ? cgc_try_new(&types[kind]) : cgc_new(&types[kind]);
	if (item == NULL) {
		*(uint32_t *)list_add(&worker->ids, sizeof(uint32_t)) = id;
		return NULL;
	}
	struct record *record = &world.record[id];
	record->address = item;
	record->magic = mix(++worker->serial << 24 ^ (uint64_t)worker->index << 18 ^ id) | 1;
	record->kind = (uint8_t)kind;
	record->maker = (uint8_t)worker->index;
	record->slots = kind_has_slots(kind) ? SLOTS + (is_row ? more : 0) : 0;
	record->value = checked(calloc(record->slots + 1, sizeof(*record->value)));
	record->own = 0;
	record->mark = 0;
	record->taint_point = UINT32_MAX;
	/* No order needed, here and below: nobody sees the object yet. */
	atomic_store_explicit(&record->immortal, false, memory_order_relaxed);
	atomic_store_explicit(&record->finalized, 0, memory_order_relaxed);
	atomic_store_explicit(&record->destroyed, 0, memory_order_relaxed);
	atomic_store_explicit(&record->taints, 0, memory_order_relaxed);
	atomic_store_explicit(&record->witness, NULL, memory_order_relaxed);
	record->in_use = true;
	if (item->magic != 0 || item->id != 0)
		VIOLATED("new: memory of %s is not zero", types[kind].name);
	cgc_read_lock();
	for (uint32_t i = 0; i < record->slots; i++) {
		struct item *found = cgc_borrow(i < SLOTS ? &item->slot[i] : &item->more[i - SLOTS]);
		if (found != NULL)
			VIOLATED("new: slot %u of %s is not NULL", i, types[kind].name);
	}
	cgc_read_unlock();
	if (cgc_trailing_count(item) != (is_row ? more : 0))
		VIOLATED("new: trailing count is %zu, expected %u", cgc_trailing_count(item), more);
	if (cgc_generation(item) != 0)
		VIOLATED("new: generation is %d", cgc_generation(item));
	item->magic = record->magic;
	item->id = id;
	item->extra = extra;
	return item;
}

int64_t code_of(struct item *value, const char *where)
{
	if (value == NULL)
		return 0;
	if (((uintptr_t)value & 1) != 0)
		return -(int64_t)(uintptr_t)value;
	return item_identify(value, where);
}

struct item *value_of(int64_t code)
{
	if (code <= 0)
		return (struct item *)(uintptr_t)-code;
	return world.record[code].address;
}

struct place place_of_root(unsigned number)
{
	return (struct place){.container = CGC_ROOT,
	                      .field = &world.root[number],
	                      .slot = number,
	                      .value = &world.root_value[number]};
}

/* Together, slot 0 is the maker's. */
struct place place_of_slot(struct item *item, uint32_t id, unsigned slot)
{
	struct record *record = &world.record[id];
	slot %= record->slots;
	if (!world.exact && slot == 0 && record->maker != world_self()->index)
		slot = 1;
	return (struct place){.container = item,
	                      .id = id,
	                      .slot = slot,
	                      .value = &record->value[slot],
	                      .field = slot < SLOTS ? &item->slot[slot] : &item->more[slot - SLOTS]};
}

/* The driver's side of a store. */
void place_note(struct worker *worker, const struct place *place, int64_t code)
{
	if (world.exact) {
		*place->value = code;
		return;
	}
	if (place->id != 0 && place->slot == 0)
		world.record[place->id].own = code;
	*(struct write *)list_add(&worker->log, sizeof(struct write)) =
		(struct write){place->id, place->slot, code};
}

/* True if it is known what the place holds. */
bool place_expects(struct worker *worker, const struct place *place, int64_t *code)
{
	if (world.exact) {
		*code = *place->value;
		return true;
	}
	if (place->id == 0 || place->slot != 0 || world.record[place->id].maker != worker->index)
		return false;
	*code = world.record[place->id].own;
	return true;
}

/* `found` was read from there, and is held if it is an object; `expected` was right before. */
void place_compare(struct worker *worker, const struct place *place, struct item *found, const char *where)
{
	int64_t expected;
	if (place_expects(worker, place, &expected) && found != value_of(expected))
		VIOLATED("%s: slot %u of %s %u holds %p, expected %p (%" PRId64 ")", where, place->slot,
		         place->id != 0 ? types[world.record[place->id].kind].name : "root", place->id,
		         (void *)found, (void *)value_of(expected), expected);
	code_of(found, where);
}
