/* SPDX-License-Identifier: MIT
 *
 * What a program works on: objects with a number and a magic word, roots, mailboxes, hands; and what the driver knows
 * of them, which is what the library is compared with.
 *
 * Two ways to run (program.together):
 *   exact     one operation at a time, whatever the thread. A record's `value` says what each slot holds; finalizers
 *             and callbacks change it too, under one lock, on whichever thread they run. So reachability is known at
 *             every moment, and whatever dies, is finalized or answers NULL is compared with it at once.
 *   together  threads run freely. A record's `value` is what the last quiet point read; every write since is in a log
 *             of the thread that wrote, and at the next one a slot must hold one of the values written. Slot 0 is
 *             written by the thread that made the object alone, which knows what is in it.
 */
#ifndef WORLD_H
#define WORLD_H

#include <cgc.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>

#include "program.h"

#define SLOTS 4u
#define IDS (1u << 18)
#define TEMPORARIES 16u

enum kind { NODE, NODE_SEEN, ROW, LEAF, LEAF_SEEN, ACYCLIC, ACYCLIC_SEEN, FINAL, FINAL_ROW, FINAL_LEAF, KINDS };

struct item;
typedef cgc_ref(struct item) item_ref;

/* Leaves end before the slots, and only rows have more of them. */
struct item {
	uint64_t magic;
	uint32_t id;
	uint32_t extra; /* what its finalizer does */
	item_ref slot[SLOTS];
	item_ref more[];
};

/* What the driver knows of an object. Written before the object can be seen by others, but for the atomics. */
struct record {
	struct item *address;
	uint64_t magic;
	int64_t *value; /* see above; NULL 0, an object its number, an immediate minus the word */
	int64_t own;    /* together: what slot 0 holds, by the thread that made the object */
	uint32_t slots;
	uint8_t kind, maker;
	bool in_use;
	_Atomic(bool) immortal;
	_Atomic(uint32_t) finalized, destroyed;
	uint32_t taint_point;            /* exact: quiet points before the last of these */
	_Atomic(uint32_t) taints;        /* times that it was reached by garbage with a finalizer */
	_Atomic(struct watch *) witness; /* a weak reference that is not freed while the object lives */
	uint32_t mark, references;
};

/* A weak reference. */
struct watch {
	struct cgc_weak *weak;
	uint32_t target, taints;
	uint64_t number; /* order of making */
	uint64_t events; /* finalizers called before */
	bool has_callback, frees_itself, cleared;
	bool is_shared; /* in a thread's table: it may free it at any time */
	_Atomic(bool) freed;
	_Atomic(uint32_t) called;
};

struct hand {
	struct item *item;
	uint32_t id;
};

struct write {
	uint32_t id, slot;
	int64_t code;
};

struct list {
	void *elements;
	size_t count, capacity;
};

struct worker {
	unsigned index;
	struct hand hand[HANDS], temporary[TEMPORARIES], borrowed[BORROWED];
	unsigned temporaries, depth;
	struct watch *weak[WEAKS];
	bool detached;
	struct list ids, log, watches, immortals;
	uint64_t operations, serial, own_events;
	/* The thread that runs it, and what it is to do: threads.c */
	pthread_t thread, predecessor;
	bool has_predecessor, is_main;
	int command;
	size_t position, end;
	sem_t go, done;
};

/* A slot or a root. */
struct place {
	struct item *container; /* CGC_ROOT for a root */
	item_ref *field;
	int64_t *value;
	uint32_t id, slot;
};

struct world {
	const struct program *program;
	bool exact;
	unsigned quiet_points;
	unsigned worker_count; /* threads of the program; one more for finalizers on the background thread */
	struct worker worker[THREADS_MAX + 1];
	struct record *record;
	uint32_t ids_used;
	item_ref root[ROOTS];
	int64_t root_value[ROOTS];
	_Atomic(struct item *) mailbox[MAILBOXES];
	pthread_mutex_t lock;     /* exact: held around every operation, finalizer and callback; recursive */
	_Atomic(uint64_t) events; /* finalizers, callbacks and destructors called */
	_Atomic(uint64_t) finalizers;
	uint64_t finalizers_before; /* by the last quiet point */
	_Atomic(uint64_t) watch_number;
	uint64_t immortal_before; /* of earlier programs: never given back */
	uint32_t mark;
	uint32_t *stack;
};

extern struct world world;
extern _Thread_local struct worker *self; /* NULL: the background thread */

extern struct cgc_type types[KINDS];

/* world.c */
void world_begin(const struct program *program);
void world_end(void);
void world_enter(void);
void world_leave(void);
struct worker *world_self(void);
void *list_add(struct list *list, size_t element);
uint32_t id_take(struct worker *worker);
void id_give(uint32_t id);
uint32_t item_identify(const struct item *item, const char *where);
struct item *item_new(struct worker *worker, unsigned kind, unsigned extra, unsigned more, bool may_fail);
int64_t code_of(struct item *value, const char *where);
struct item *value_of(int64_t code);
struct place place_of_root(unsigned number);
struct place place_of_slot(struct item *item, uint32_t id, unsigned slot);
void place_note(struct worker *worker, const struct place *place, int64_t code);
bool place_expects(struct worker *worker, const struct place *place, int64_t *code);
void place_compare(struct worker *worker, const struct place *place, struct item *found, const char *where);
bool kind_is_acyclic(unsigned kind);
bool kind_has_slots(unsigned kind);
bool kind_has_finalizer(unsigned kind);
bool kind_has_destroy(unsigned kind);

/* model.c: what can be reached */
enum { BY_OWNERS = 1, BY_BORROWERS = 2 };
bool model_reaches(uint32_t id, int how);
size_t model_count(void);
void model_taint(uint32_t id);
void model_expect_dead(uint32_t id, const char *what);

/* death.c: what the library calls */
void final_finalize(void *object);
void seen_destroy(void *object);
void watch_called(struct cgc_weak *weak, void *argument);
struct watch *watch_new(struct worker *worker, struct item *item, uint32_t id, unsigned how);
void watch_check_dead(struct watch *watch, const char *when);

/* watch.c */
void watch_make(struct worker *worker, const struct op *op);
void watch_load(struct worker *worker, const struct op *op);
void watch_free(struct worker *worker, unsigned number);

/* compose.c */
void compose_one(struct worker *worker, const struct op *op);
void compose_ring(struct worker *worker, const struct op *op);
void compose_storm(struct worker *worker, const struct op *op);
void compose_carousel(struct worker *worker, const struct op *op);
void compose_close(struct worker *worker, const struct op *op);

/* execute.c */
void execute(struct worker *worker, const struct op *op);
struct hand *hand_of(struct worker *worker, unsigned number);
void hand_put(struct worker *worker, unsigned number, struct item *item, uint32_t id);
void section_leave_all(struct worker *worker);
void worker_drop_hands(struct worker *worker);
void worker_collect(struct worker *worker);
void worker_attach(struct worker *worker);

/* quiet.c */
void quiet_point(unsigned how);
void quiet_reset(void);
size_t stop_silently(void);

/* threads.c */
void run_program(const struct program *program);
enum command { RUN, COLLECT_YOUNG, DROP_ALL, DETACH_NOW, END };
void command_all(enum command command);

/* drive.c */
__attribute__((format(printf, 3, 4))) _Noreturn void violated(const char *file, int line, const char *format,
                                                              ...);
#define VIOLATED(...) violated(__FILE__, __LINE__, __VA_ARGS__)
#define REQUIRE(condition)                                  \
	do {                                                \
		if (!(condition))                           \
			VIOLATED("not so: %s", #condition); \
	} while (0)

#endif
