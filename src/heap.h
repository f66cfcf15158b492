/* SPDX-License-Identifier: MIT
 *
 * Every structure that more than one file of the library touches, field by field with who may touch it.
 *
 *      alloc.c          publish.c            count.c              window.c           verdict.c        reclaim.c
 * FREE -------> PRIVATE ---------> PUBLISHED --------> SUSPECT ----------> copied ------------> DEAD ---------> FREE
 *                  |    stored in a    |    lost a       |    words and edges |   unchanged       ^   weak refs NULL,
 *                  |    published      |    reference,   |    in arrays,      |   after a grace   |   finalized,
 *                  |    object         |    not the last |    trial deletion  |   period          |   destroyed
 *                  |                   |                 +<-------------------+                   |
 *                  |                   +---- count zero, unchanged after a grace period: reclaim.c +
 *                  +--> FREE   died private: reclaim.c (count), young.c (cycles)
 *
 * Guards of the fields below
 *   [init]     constant once the structure is reachable by others
 *   [owner]    only the thread that holds the context (in the end, who adopts it)
 *   [collector] only the background thread
 *   [lock x]   under that mutex
 *   [atomic]   any thread; the comment at each access names its pair
 *
 * Locks, none of them held while user code runs, none taken on a fast path:
 *   heap.threads (list of contexts) > context.slabs_lock; weak stripe; collector.lock; context.consuming
 *   (only ever tried, never waited for).
 */
#ifndef CGC_HEAP_H
#define CGC_HEAP_H

#include <cgc.h>
#include <pthread.h>

/* ------------------------------------------------------------------------------------------------
 * The header of an object (layout in cgc/fast.h)
 *
 * I1 No published slot refers to a private object.
 * I2 local is written only by the holder of the context that the bias names, for published objects inside
 *    a read section; or by the one thread that consumes its queue entry, a grace period after it took the
 *    bias away.
 * I3 local count + shared count = number of references, at every instant or more.
 * I4 Biased implies local count >= 1; merged implies local count 0 for ever.
 * I5 Every change of a count moves a version; the words of a published object never return to a value
 *    within a window.
 * I6 QUEUED and SUSPECT: one queue entry each; the memory goes back only when both are clear.
 * I7 HANDED: of a type without references and callbacks, merged since its publication, never yet in a published slot
 *    and without weak references. So nobody comes upon it without a reference of his own, and nobody touches it after
 *    he has given up one that was not the last.
 * ---------------------------------------------------------------------------------------------- */

/* bias: a context's id above three bits of */
enum cgc__kind {
	CGC__FREE,     /* no object, or memory given back */
	CGC__PRIVATE,  /* reachable by the context's thread only; counted in local, plainly */
	CGC__BIASED,   /* published; the context counts in local, everybody else in shared */
	CGC__UNBIASED, /* published; everybody counts in shared (merged, or the bias is being revoked) */
	CGC__IMMORTAL = CGC__BIAS_IMMORTAL, /* published; nobody counts */
	CGC__DYING,                         /* private, dead, on its thread's list */
};
#define CGC__KIND_BITS 3
#define CGC__KIND(bias) ((enum cgc__kind)((bias)&7))
/* BIASED or UNBIASED. */
#define CGC__IS_COUNTED(bias) (((bias)&6) == CGC__BIASED)
#define CGC__BIAS(id, kind) ((uint32_t)(id) << CGC__KIND_BITS | (uint32_t)(kind))

/* header.flags */
#define CGC__UNTRACKED 1      /* of an acyclic type: never in a cycle */
#define CGC__FINALIZED 2      /* its finalizer has been called */
#define CGC__DESTROYED 4      /* published, dead and destroyed: only its memory waits */
#define CGC__CONDEMNED_ONCE 8 /* was garbage, and alive again for finalizers */
#define CGC__PLAIN 16         /* its type has neither finalizer nor destroy, and its map is whole */
#define CGC__ELDER 64         /* private and of generation 1 */
/* 32 and 128: CGC__FILLED and CGC__LINKED, cgc/fast.h */

/* shared: flags. While an object is private the word is scratch: publish.c and young.c. */
#define CGC__MERGED UINT64_C(1)    /* local is 0 for ever: shared is the count */
#define CGC__QUEUED UINT64_C(2)    /* in a pending queue: zero, or below zero and not merged */
#define CGC__SUSPECT UINT64_C(4)   /* in a suspect queue */
#define CGC__CONDEMNED UINT64_C(8) /* weak upgrades settle with the verdict word */
#define CGC__DEAD UINT64_C(16)     /* no reference can be made any more */
#define CGC__HAS_WEAK UINT64_C(32) /* look for weak references when it dies */
#define CGC__GONE UINT64_C(64)     /* destroyed; whoever clears SUSPECT gives the memory back */
#define CGC__HANDED UINT64_C(128)  /* a leaf that handles alone have led to since cgc_transfer(): I7 */
#define CGC__SHARED_ONE (UINT64_C(1) << 8)
#define CGC__SHARED_VERSION (UINT64_C(1) << 34)
#define CGC__SHARED_RETAIN (CGC__SHARED_VERSION + CGC__SHARED_ONE)
#define CGC__SHARED_RELEASE (CGC__SHARED_VERSION - CGC__SHARED_ONE)
/* Beyond this many an object is immortal: it leaks instead of being freed early. */
#define CGC__SHARED_LIMIT (1 << 24)

static inline int64_t cgc__shared_count(uint64_t shared)
{
	return (int64_t)(shared << 30) >> 38;
}

static inline uint32_t cgc__local_count(uint64_t local)
{
	return (uint32_t)local;
}

/* ------------------------------------------------------------------------------------------------
 * Slabs: 64 KiB, aligned, cells of one size; a larger object has a slab of its own. Of one context for
 * ever, and memory given back only by that context's holder (never published anything) or by the background
 * thread (so that a window can read any slab it has seen).
 *
 * cells in free + bumped over + in remote + outgoing + objects = cell_count
 * generation[cell] = 0: free or generation 0, 1: generation 1, 2: published
 * ---------------------------------------------------------------------------------------------- */

#define CGC__SLAB_BYTES ((size_t)65536)
#define CGC__CELL_LARGEST ((size_t)8192)
#define CGC__CLASS_COUNT 34
#define CGC__CLASS_LARGE CGC__CLASS_COUNT

struct cgc__context;

/* slab.holds */
#define CGC__HOLD_CURRENT 1 /* it allocates from it */
#define CGC__HOLD_TOUCHED 2 /* in context.touched */
#define CGC__HOLD_ELDER 4   /* in context.elder */
#define CGC__HOLD_WALK 8    /* cgc__slab_walk() is there */

/* slab.alone: what else there is to do when its owner frees a cell. */
#define CGC__ALONE_CURRENT 0        /* nothing: it allocates from it */
#define CGC__ALONE_PARTIAL 1        /* to retire it, with the last one */
#define CGC__ALONE_NEVER UINT32_MAX /* to put it on a list */

struct cgc__slab {
	/* Read by all who free one of its cells. */
	struct cgc__context *context; /* [init] */
	size_t bytes;                 /* [init] */
	uint32_t cell_bytes;          /* [init] */
	uint32_t cell_count;          /* [init] */
	uint32_t reciprocal;          /* [init] ceil(2^32 / cell_bytes) */
	uint32_t cells_offset;        /* [init] */
	uint32_t size_class;          /* [init] */
	uint32_t index;               /* [lock context.slabs_lock] in context.slabs */
	uint32_t *window_map;         /* [collector] per cell: index in the window + 1 */
	uint32_t *sites;              /* [owner] per cell: where it was allocated (sites.c); debug=1 only */
	/* Written at every allocation: a cache line of its own. */
	_Alignas(64) uint32_t bumped; /* [owner] cells never used begin here */
	uint32_t used;                /* [owner] cells not in free, not above bumped */
	uint32_t alone;           /* [owner] CGC__ALONE_...: used above this, a cell is freed with no list */
	bool is_partial;          /* [owner] */
	bool is_shared;           /* [owner] has held a published object */
	_Atomic(uint8_t) holds;   /* [atomic] written by the owner: why it still looks at the slab */
	struct cgc__header *free; /* [owner] linked through local */
	struct cgc__slab *next, *previous; /* [owner] in context.partial */
	struct cgc__slab *touched_next;    /* [owner] in context.touched */
	struct cgc__slab *elder_next;      /* [owner] in context.elder */
	/* Written by whoever frees a cell of another thread's. */
	_Alignas(64) _Atomic(uint64_t)
		remote; /* [atomic] cells freed by others: how many, offsets of last and first */
	struct cgc__slab *returned_next;            /* [atomic context.returned] */
	_Alignas(64) _Atomic(uint8_t) generation[]; /* [atomic] owner writes 0 -> 1 -> 2, who frees writes 0 */
};

/* ------------------------------------------------------------------------------------------------
 * Queues: one producer (the owner of the context), one consumer at a time (who got context.consuming, or
 * the background thread), chunks of entries. Unbounded; `length` says how full.
 * ---------------------------------------------------------------------------------------------- */

struct cgc__entry {
	void *object;
	uint64_t word; /* shared, as the operation that queued it left it */
};

#define CGC__CHUNK_ENTRIES 254
struct cgc__chunk {
	_Atomic(struct cgc__chunk *) next; /* [atomic] */
	_Atomic(uint32_t) filled;          /* [atomic] */
	uint32_t taken;                    /* [consumer] */
	uint32_t limit;                    /* [init] entries used of the array */
	struct cgc__entry entries[];
};

struct cgc__queue {
	struct cgc__chunk *tail;            /* [owner] */
	_Atomic(struct cgc__chunk *) first; /* [atomic] set once, by the owner's first push */
	struct cgc__chunk *head;            /* [consumer] */
	_Atomic(uint64_t) pushed;           /* [atomic] written by the owner */
	_Atomic(uint64_t) popped;           /* [atomic] written by the consumer */
};

/* ------------------------------------------------------------------------------------------------
 * A context: what a thread owns. Outlives the thread; a new thread adopts it, and with it the bias of
 * all its objects, so ids are never given to a second writer.
 * ---------------------------------------------------------------------------------------------- */

/* Counters that the owner adds to and anybody sums up. */
enum cgc__counter {
	CGC__MADE_LARGE_BYTES,
	CGC__GIVEN_LARGE_BYTES,
	CGC__PUBLISHED,
	CGC__DIED_BY_COUNT, /* and context.died */
	CGC__DIED_LOCALLY,
	CGC__DIED_BY_DETECTOR,
	CGC__WAIT_BEGUN, /* dead or dying, behind a grace period */
	CGC__WAIT_BEGUN_BYTES,
	CGC__WAIT_ENDED,
	CGC__WAIT_ENDED_BYTES,
	CGC__YOUNG_COLLECTIONS, /* 5 for each of the generations 0 and 1, as in cgc_generation_stats */
	CGC__COUNTERS = CGC__YOUNG_COLLECTIONS + 10,
};

#define CGC__FALLEN 16

struct cgc__context {
	uint32_t id;              /* [init] */
	uint32_t private_bias;    /* [init] of its private objects */
	uint32_t biased_bias;     /* [init] of its published objects */
	bool draining;            /* [owner] dying objects are being destroyed further up the stack */
	bool collecting;          /* [owner] a young collection runs further up the stack */
	bool polling;             /* [owner] its queue is being consumed further up the stack */
	unsigned in_callback;     /* [owner] finalizers and callbacks on the stack */
	uint64_t pending_tried;   /* [owner] entries pushed when it last tried to end a grace period */
	uint64_t helped_before;   /* [collector] helped, a round ago */
	bool is_helping;          /* [collector] helped has moved since */
	uint64_t poll_at;         /* [owner] entries pushed when it is time to settle some */
	uint64_t callback_ns;     /* [owner] time spent in them */
	uint64_t freed_tracked;   /* [owner] objects of cyclic types destroyed by this thread */
	uint64_t freed_condemned; /* [owner] those of them that died by count, but condemned before */
	uint64_t ended_objects;   /* [owner] published objects destroyed by this thread */
	uint64_t ended_bytes;     /* [owner] of published objects destroyed by this thread */

	struct cgc__slab *outgoing; /* [owner] another's: cells freed, not yet in remote; NULL: none */
	struct cgc__header *outgoing_first, *outgoing_last; /* [owner] linked through local */
	uint32_t outgoing_count;                            /* [owner] */
	struct cgc__slab *current[CGC__CLASS_COUNT];        /* [owner] */
	struct cgc__slab *partial[CGC__CLASS_COUNT];        /* [owner] */
	struct cgc__slab *touched;                          /* [owner] may hold objects of generation 0 */
	struct cgc__slab *elder;                            /* [owner] may hold objects of generation 1 */
	struct cgc__slab *collected;                        /* [owner] off `returned`, still to be looked at */
	_Atomic(struct cgc__slab *) returned;               /* [atomic] slabs with cells in remote */
	pthread_mutex_t slabs_lock;
	struct cgc__slab **slabs; /* [lock slabs_lock] all of them, the shared ones first */
	size_t slab_count, slab_shared_count, slab_capacity; /* [lock slabs_lock] */

	long young_count[2];               /* [owner] as cgc_get_count; below 0 after finalizers */
	void **young_set;                  /* [owner] scratch of young.c, kept */
	size_t young_capacity;             /* [owner] */
	struct cgc__header *dying;         /* [owner] dead objects to destroy, linked through local */
	uintptr_t fallen[CGC__FALLEN];     /* [owner] references of the destroyed, to be released: a ring */
	unsigned fallen_first, fallen_end; /* [owner] of it, counted on */

	struct cgc__queue pending; /* zero or negative counts, and the dead that wait */
	struct cgc__queue suspects;
	uint64_t pending_sealed; /* [lock consuming] entries before this one ... */
	uint64_t pending_epoch;  /* [lock consuming] ... are ready once this grace period is over */
	_Atomic(bool) consuming; /* [atomic] a try-lock */

	_Atomic(uint64_t) counter[CGC__COUNTERS];      /* [atomic] written by the owner */
	_Atomic(uint64_t) made[CGC__CLASS_COUNT + 1];  /* [atomic] cells taken, by size */
	_Atomic(uint64_t) given[CGC__CLASS_COUNT + 1]; /* [atomic] cells given back by this thread, anybody's */
	_Atomic(uint64_t) died[CGC__CLASS_COUNT];      /* [atomic] given back as well: its own, died by count */
	_Atomic(uint64_t) longest_stall;               /* [atomic] nanoseconds */
	_Atomic(uint32_t) brief;        /* [atomic] written by the owner: odd in a brief section */
	_Atomic(uint32_t) reading;      /* [atomic] written by the owner: depth of liburcu's sections */
	_Atomic(uint64_t) helped;       /* [atomic] written by the owner: batches that it has settled itself */
	_Atomic(bool) is_attached;      /* [atomic] */
	struct cgc__context *next;      /* [init] all contexts, newest first */
	struct cgc__context *pool_next; /* [lock threads] without a thread */
};

struct cgc__heap {
	_Atomic(struct cgc__context *) contexts; /* [atomic] only ever grows */
	pthread_mutex_t threads;
	struct cgc__context *pool;      /* [lock threads] */
	uint32_t context_count;         /* [lock threads] */
	_Atomic(unsigned) threshold[3]; /* [atomic] */
	_Atomic(unsigned) young_limit;  /* [atomic] of threshold[0] and collect_always: as many make one due */
	_Atomic(bool) is_enabled;       /* [atomic] automatic collection */
	_Atomic(bool) window_open;      /* [atomic] memory of published objects stays */
	_Atomic(bool) lost_entry;       /* [atomic] a queue had no memory: the next whole window looks */
	_Atomic(struct cgc__header *) overflow; /* [atomic] merged objects for which a queue had no memory */
	_Atomic(uint64_t) elder_collections;    /* [atomic] of generation 1 since the last whole window */
	_Atomic(uint64_t) promoted;             /* [atomic] survivors of 1 since then */
	_Atomic(uint64_t) long_lived;           /* [atomic] survivors of that window */
	bool debug, poison;                     /* [init] options */
	uint64_t limit;       /* [init] bytes beyond which there is none for objects; 0: none */
	size_t pending_batch; /* [init] entries before an owner consumes its queue */
	size_t suspect_batch; /* [init] suspects that wake the detector at least */
	/* Rare paths made common, for tests (docs/manual.md): */
	unsigned
		collect_always; /* [init] a local collection of this generation - 1 at every cgc_new; 0: none */
	bool eager;             /* [init] the detector never pauses between looks */
	uint32_t chunk_entries; /* [init] of a queue's chunk */
	uint32_t yield;         /* [init] one in so many named points yields; 0: none */
};

extern struct cgc__heap cgc__heap;
extern _Thread_local struct cgc__context *cgc__self __attribute__((tls_model("initial-exec")));
/* The same for the fast path of cgc_new(); NULL where an allocation has to be looked at: before the first one, and
 * with debug=1. */
extern _Thread_local struct cgc__context *cgc__alloc_self __attribute__((tls_model("initial-exec")));

/* thread.c */
struct cgc__context *cgc__thread_attach_slow(void);
struct cgc__context *cgc__thread_try_attach(void);
int cgc__thread_attach_background(void);
void cgc__thread_detach(void);
void cgc__thread_refuse_child(const char *function);

static inline struct cgc__context *cgc__thread_self(void)
{
	struct cgc__context *self = cgc__self;
	return __builtin_expect(self != NULL, 1) ? self : cgc__thread_attach_slow();
}

/* Only the owner writes, so no read-modify-write. No order needed: statistics. */
static inline void cgc__counter_raise(_Atomic(uint64_t) *word, uint64_t amount)
{
	atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + amount,
	                      memory_order_relaxed);
}

static inline void cgc__counter_add(struct cgc__context *self, int counter, uint64_t amount)
{
	cgc__counter_raise(&self->counter[counter], amount);
}

/* memory.c: jemalloc */
void *cgc__memory_get(size_t bytes, size_t alignment);
void cgc__memory_put(void *memory, size_t bytes);
void cgc__memory_put_slab(void *memory, size_t bytes);
void cgc__memory_decay(void);
void cgc__memory_start(void);
uint64_t cgc__memory_reserved(void);
void cgc__memory_fail_at(uint64_t call);
void cgc__memory_fail_count(uint64_t calls);

/* report.c */
_Noreturn void cgc__report_misuse(const char *function, const void *object, const char *what);
_Noreturn void cgc__report_fatal(const char *function, const char *what, int error);
int cgc__report_read_options(const char *text);
void cgc__report_settle_limit(void);
uint64_t cgc__report_died_by_count(void);
uint64_t cgc__report_now(void);
void cgc__report_stall(struct cgc__context *self, uint64_t began, uint64_t callbacks);
bool cgc__report_out_of_memory(size_t bytes);

/* pace.c */
uint64_t cgc__pace_measure(void);
void cgc__pace_take(struct cgc__context *self, size_t bytes);
void cgc__pace_renew(uint64_t began, uint64_t ended);
bool cgc__pace_is_pressed(void);
bool cgc__pace_is_look_due(void);
void cgc__pace_stats(struct cgc_stats *stats);

/* leaks.c */
void cgc__leaks_print(void);

/* sites.c */
void cgc__sites_record(struct cgc__slab *slab, uint32_t cell, const void *address);
void cgc__sites_drop(struct cgc__slab *slab);
void cgc__sites_forget(struct cgc__context *self);
void cgc__sites_clear(void);
void cgc__sites_count(const struct cgc__slab *slab, uint32_t cell);
void cgc__sites_print(void);

/* slab.c */
struct cgc__header *cgc__slab_take(struct cgc__context *self, size_t cell_bytes);
void cgc__slab_give(struct cgc__context *self, struct cgc__header *header);
void cgc__slab_start(void);
void cgc__slab_leave(struct cgc__context *self);
void cgc__slab_share(struct cgc__slab *slab);
void cgc__slab_hold(struct cgc__context *self, struct cgc__slab *slab, uint8_t reason);
void cgc__slab_let_go(struct cgc__context *self, struct cgc__slab *slab, uint8_t reason);
void cgc__remote_send(struct cgc__context *self);
void cgc__remote_release_retired(struct cgc__context *self);
struct cgc__slab *cgc__slab_walk(struct cgc__context *self, size_t *position, struct cgc__slab *previous);
void cgc__slab_sum(struct cgc__context *context, uint64_t *made, uint64_t *live, uint64_t *live_bytes);
size_t cgc__slab_snapshot(struct cgc__context *context, struct cgc__slab **out, size_t capacity);

static inline struct cgc__slab *cgc__slab_of(const void *address)
{
	return (struct cgc__slab *)((uintptr_t)address & ~(uintptr_t)(CGC__SLAB_BYTES - 1));
}

/* Only the owner writes it. No order needed for the owner to read it. */
static inline bool cgc__slab_is_held(const struct cgc__slab *slab, uint8_t reason)
{
	return (atomic_load_explicit(&slab->holds, memory_order_relaxed) & reason) != 0;
}

static inline uint32_t cgc__slab_cell(const struct cgc__slab *slab, const struct cgc__header *header)
{
	uint64_t offset = (uintptr_t)header - (uintptr_t)slab - slab->cells_offset;
	return (uint32_t)(offset * slab->reciprocal >> 32);
}

static inline struct cgc__header *cgc__slab_header(const struct cgc__slab *slab, uint32_t cell)
{
	return (struct cgc__header *)((uintptr_t)slab + slab->cells_offset + (size_t)cell * slab->cell_bytes);
}

static inline void *cgc__object_of(struct cgc__header *header)
{
	return header + 1;
}

/* Headers are where the object behind is aligned like malloc's. */
#define CGC__ALIGNMENT ((size_t)16)
_Static_assert(sizeof(struct cgc__header) % CGC__ALIGNMENT == 8, "cells begin 8 bytes after a multiple of 16");

/* Of the first cell, where so many bytes of slab and generations are in front. */
static inline size_t cgc__slab_cells_offset(size_t cell_count)
{
	return ((sizeof(struct cgc__slab) + cell_count + 7) & ~(CGC__ALIGNMENT - 1)) + 8;
}

/* Bytes of a cell that holds so many, header included. */
static inline size_t cgc__slab_cell_for(size_t bytes)
{
	return (bytes + CGC__ALIGNMENT - 1) & ~(CGC__ALIGNMENT - 1);
}

/* The length of a trailing array: the last bytes of the cell; only in objects of types that have one. [init] */
static inline uint32_t *cgc__slab_trailing(const struct cgc__header *header)
{
	struct cgc__slab *slab = cgc__slab_of(header);
	uintptr_t end =
		slab->cell_bytes != 0 ? (uintptr_t)header + slab->cell_bytes : (uintptr_t)slab + slab->bytes;
	return (uint32_t *)(end - sizeof(uint64_t));
}

/* queue.c */
bool cgc__queue_push(struct cgc__queue *queue, void *object, uint64_t word);
bool cgc__queue_pop(struct cgc__queue *queue, struct cgc__entry *entry);
uint64_t cgc__queue_length(struct cgc__queue *queue);

/* publish.c */
bool cgc__publish_graph(struct cgc__context *self, void *object, uint64_t to_shared, uint32_t from_local);

/* young.c */
long cgc__young_collect(struct cgc__context *self, int generation);
void cgc__young_collect_due(struct cgc__context *self);

/* pending.c */
void cgc__pending_push(struct cgc__context *self, void *object, uint64_t word);
void cgc__pending_help(struct cgc__context *self);
void cgc__pending_relieve(struct cgc__context *self);
bool cgc__pending_consume(struct cgc__context *self, struct cgc__context *context, size_t limit);
void cgc__pending_see_who_helps(void);
uint64_t cgc__pending_consume_all(struct cgc__context *self, bool all);
void cgc__pending_retry_overflow(struct cgc__context *self);

/* From slow paths, once enough has been pushed. */
static inline void cgc__pending_poll(struct cgc__context *self)
{
	/* No order needed: own number. */
	if (__builtin_expect(atomic_load_explicit(&self->pending.pushed, memory_order_relaxed) >= self->poll_at,
	                     0))
		cgc__pending_help(self);
}

/* reclaim.c */
void cgc__reclaim_private(struct cgc__context *self, void *object);
void cgc__reclaim_dead(struct cgc__context *self, void *object);
void cgc__reclaim_handed(struct cgc__context *self, void *object);
void cgc__reclaim_condemned(struct cgc__context *self, void *object);
void cgc__reclaim_drop_private_child(struct cgc__context *self, void *child);
void cgc__reclaim_drain(struct cgc__context *self);
void cgc__reclaim_run(struct cgc__context *self, void (*callback)(void *), void *object);
size_t cgc__reclaim_bytes(const void *object);

/* weak.c */
struct cgc_weak *cgc__weak_detach(void *object, struct cgc_weak *before);
void cgc__weak_call(struct cgc__context *self, struct cgc_weak *list);
bool cgc__weak_walk(unsigned stripe, void (*visit)(void *argument, const void *target, bool is_in_place),
                    void *argument, size_t *cell_count);

/* window.c, verdict.c: see window.h. collector.c */
void cgc__collector_wake(void);
void cgc__collector_wake_if_idle(void);
bool cgc__collector_is_self(void);
bool cgc__collector_is_running(void);
void cgc__collector_stats(struct cgc_stats *stats);
void cgc__collector_whole_due(void);
size_t cgc__collector_verify(void);

/* verify.c */
size_t cgc__verify_all(void);

#endif
