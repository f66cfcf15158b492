/* SPDX-License-Identifier: MIT
 *
 * libcgc: a concurrent generational garbage collector for multithreaded C programs.
 *
 * An object is freed the moment its reference count drops to zero; cycles are found by one
 * background thread; no thread ever stops for the collector. The life of an object:
 *
 *   generation 0 -> generation 1      private: reachable by the thread that made it, and by no other
 *          \------------\-> generation 2   published: any thread may reach it
 *
 * A private object becomes published when it is stored into a published object or a root, when it
 * is handed over (cgc_publish, cgc_transfer), when a weak reference to it is made, and when it
 * survives generation 1. Everything it reaches is published with it.
 *
 * Words used below
 *   owned      the caller holds one counted reference and must release it or give it away
 *   borrowed   a pointer without a count: valid while something else holds the object
 *   consumed   the call takes over the caller's owned reference
 *   object     a pointer returned by cgc_new and friends
 *   value      an object, NULL, or a tagged immediate: any word whose lowest bit is set. Immediates
 *              are stored and loaded as they are and never counted
 *
 * Unless a contract says otherwise a call may be made by any thread (it is attached on first use),
 * inside and outside of a read section, from finalizers and from weak callbacks; it never waits for
 * another thread, and it may run finalizers and weak callbacks: of objects that die by it, and of those
 * that died by earlier calls of the thread and waited for a grace period.
 */
#ifndef CGC_H
#define CGC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGC_VERSION_MAJOR 0
#define CGC_VERSION_MINOR 1
#define CGC_VERSION_PATCH 0

#if defined(__GNUC__)
#define CGC_API __attribute__((visibility("default")))
#else
#define CGC_API
#endif

/* ---------------------------------------------------------------------------------------------
 * Types: a declaration, never a trace callback. A collector that runs beside the program cannot run
 * user code on an object that changes.
 * ------------------------------------------------------------------------------------------- */

/* A reference field. `node->next = p` does not compile, nor does `a->next = b->next`: a plain
 * assignment would lose a count. Use cgc_store() and its relatives. */
#define cgc_ref(T)                         \
	union {                            \
		_Atomic(void *) cgc__word; \
		T *const cgc__type;        \
	}

struct cgc_field {
	size_t offset;
	const char *name;
};

/* The object can never be part of a cycle: it has no references, or only to types of which the same
 * is true. Never a suspect, never traversed by trial deletion. Types without fields are acyclic by
 * themselves. */
#define CGC_ACYCLIC 0x1u
/* The object ends in a flexible array of references, `cgc_ref(T) items[];`. */
#define CGC_TRAILING 0x2u
/* The object ends in a flexible array of bytes, `char text[];`, which the library only clears: `.trailing` names
 * it (CGC_BYTES_FIELD), and cgc_new_n() takes the number of bytes. Not together with CGC_TRAILING. */
#define CGC_TRAILING_BYTES 0x4u

/* A type. Static, zero except for what the program names; checked when first used, and refused
 * (message and abort) if a field lies outside of the object, is misaligned or overlaps another. At
 * most 65,535 types. Must outlive the process. */
struct cgc_type {
	const char *name;
	size_t size;                    /* bytes of the struct, without the trailing array */
	const struct cgc_field *fields; /* its reference fields: see CGC_FIELDS */
	size_t field_count;
	struct cgc_field trailing; /* with CGC_TRAILING or CGC_TRAILING_BYTES: the array, see CGC_FIELD */
	unsigned flags;            /* CGC_ACYCLIC, CGC_TRAILING, CGC_TRAILING_BYTES */
	/* Called once in the life of an object, when it is about to die and still intact with all it
	 * refers to; every weak reference to it answers NULL by then. It may resurrect the object by
	 * storing or retaining it: then the object and all it reaches live on, and die later without
	 * another call. `object` is borrowed. Runs on whichever thread finds the death: the one that
	 * released a private object, otherwise any attached thread or the background thread; with no
	 * lock of the library held. Must not end the thread. */
	void (*finalize)(void *object);
	/* Called once, when death is final, to give back what is not an object (a file, malloc memory).
	 * Must not look at the object's reference fields, end the thread, or resurrect. */
	void (*destroy)(void *object);
	_Atomic(uint64_t) cgc__info; /* the library's; leave zero */
};

/* One entry for `fields`; refuses members that are not cgc_ref(). */
#define CGC_FIELD(structure, member)                                                                  \
	{                                                                                             \
		offsetof(structure, member) + 0 * sizeof(((structure *)0)->member.cgc__word), #member \
	}
/* The same for a trailing array. */
#define CGC_TRAILING_FIELD(structure, member)                                                            \
	{                                                                                                \
		offsetof(structure, member) + 0 * sizeof(((structure *)0)->member[0].cgc__word), #member \
	}
/* The same for an array of bytes. */
#define CGC_BYTES_FIELD(structure, member)                                                   \
	{                                                                                    \
		offsetof(structure, member) +                                                \
			0 * sizeof(char[sizeof(((structure *)0)->member[0]) == 1 ? 1 : -1]), \
			#member                                                              \
	}
/* In an initializer: `CGC_FIELDS(CGC_FIELD(struct node, next), CGC_FIELD(struct node, previous))`. */
#define CGC_FIELDS(...)                                    \
	.fields = (const struct cgc_field[]){__VA_ARGS__}, \
	.field_count = sizeof((const struct cgc_field[]){__VA_ARGS__}) / sizeof(struct cgc_field)

/* ---------------------------------------------------------------------------------------------
 * Start and stop
 * ------------------------------------------------------------------------------------------- */

/* Starts the library: reads `options`, then the environment variable CGC_OPTIONS (which wins), and
 * starts the background thread. Optional: the first use starts it with default options, and aborts
 * where this call would return an error. `options` is borrowed, may be NULL, and has the form
 * "name=value,name=value"; docs/manual.md lists the names.
 * Returns 0, EALREADY if the library runs, EINVAL for an unknown option, or the error of the call
 * that failed. Not from finalizers or callbacks. */
CGC_API int cgc_start(const char *options);

/* Ends the background thread after a last full collection. For tests, leak checks and libraries that
 * are unloaded; a program that just exits need not call it. The caller must be the last thread that
 * uses the library, and outside of read sections. Objects still alive stay readable; nothing is
 * collected any more until cgc_start(). Returns the number of objects still alive; with debug=1 also
 * prints them on stderr by type, and for each type the calls that allocated most of them. */
CGC_API size_t cgc_stop(void);

/* ---------------------------------------------------------------------------------------------
 * Objects
 * ------------------------------------------------------------------------------------------- */

/* A new object: private to the calling thread, generation 0, memory zeroed (all references NULL), the
 * result owned. Constant time, except when it is this allocation that starts a collection of the
 * young generations, or that needs more memory: then what the thread has released and what is dead by
 * now is given back first, at most a few thousand objects. When memory is out it calls the handler
 * (cgc_set_oom_handler), and aborts if that gives up; cgc_try_new returns NULL instead, and nothing is
 * lost. The same when it is the attaching of the thread, on its first use, that finds no memory. */
CGC_API void *cgc_new(struct cgc_type *type);
CGC_API void *cgc_try_new(struct cgc_type *type);

/* The same for a type with a trailing array, with `count` references or bytes in it (at most 2^32 - 1). */
CGC_API void *cgc_new_n(struct cgc_type *type, size_t count);
CGC_API void *cgc_try_new_n(struct cgc_type *type, size_t count);

/* The `count` an object was made with; 0 for types without a trailing array. Reads the end of the object's memory:
 * a program that wants it often keeps it. */
CGC_API size_t cgc_trailing_count(const void *object);

/* Called with the bytes that could not be had; returns true to try again, after giving something
 * back. May run on any thread. NULL restores the default, which gives up. */
typedef bool cgc_oom_handler(size_t bytes);
CGC_API void cgc_set_oom_handler(cgc_oom_handler *handler);

/* p: a value, owned, or borrowed and valid; adds one reference that the caller owns and returns p.
 * The owner thread counts without an atomic operation, other threads with one (biased reference
 * counting: Choi, Shull, Torrellas, PACT 2018). */
#define cgc_retain(p) ((__typeof__(p))cgc__retain((void *)(p)))

/* p: a value, consumed. A private object whose count drops to zero dies now, with all that only it
 * held, on constant C stack; a published one as soon as no reader can still see it. */
#define cgc_release(p) cgc__release((void *)(p))

/* Makes an object that nothing needs to count any more: it and its memory are never given back, and
 * retain and release of it cost next to nothing from any thread. Publishes it. p: owned, consumed;
 * from now on a borrowed pointer to it is valid for ever. */
CGC_API void cgc_immortalize(void *object);

/* ---------------------------------------------------------------------------------------------
 * References: fields of objects, and roots. `object` is the one that contains the field, which the
 * caller holds; CGC_ROOT says that the field is a root: a cgc_ref() in a global, static or malloc
 * variable, which any thread may use and which needs no registration. `field` is the address of a
 * cgc_ref(T).
 * ------------------------------------------------------------------------------------------- */

#define CGC_ROOT ((void *)0)

/* What the field refers to: NULL, an immediate, or an owned reference. */
#define cgc_load(object, field) ((__typeof__((field)->cgc__type))cgc__load((object), &(field)->cgc__word))

/* The same, borrowed and without counting: the fastest read of a shared graph. Only inside a read
 * section (RCU: McKenney, Slingwine 1998). Valid until the section ends; a private object of the
 * calling thread only until that thread itself releases what holds it, because private objects die at
 * once. */
#define cgc_borrow(field) ((__typeof__((field)->cgc__type))cgc__borrow(&(field)->cgc__word))

/* Stores a value; the old one is released. `value` stays the caller's, the field gets a reference of
 * its own. Stored into a published object or a root, a private value is published first, with all it
 * reaches: cost linear in that. */
#define cgc_store(object, field, value) cgc__store((object), &(field)->cgc__word, CGC__CHECKED(field, value))

/* The same, but consumes `value`: the cheap way to build graphs and to hand objects over. */
#define cgc_store_consume(object, field, value) \
	cgc__store_consume((object), &(field)->cgc__word, CGC__CHECKED(field, value))

/* Puts `value`, consumed, into the field and returns the old value, owned. Atomic. */
#define cgc_exchange(object, field, value)                                            \
	((__typeof__((field)->cgc__type))cgc__exchange((object), &(field)->cgc__word, \
	                                               CGC__CHECKED(field, value)))

/* If the field holds `expected` (compared as a word; borrowed), stores `desired` as cgc_store() does
 * and returns true; otherwise changes nothing and returns false. Atomic, strong. The caller keeps
 * both. Without holding `expected` the comparison is open to ABA. */
#define cgc_compare_exchange(object, field, expected, desired)                              \
	cgc__compare_exchange((object), &(field)->cgc__word, CGC__CHECKED(field, expected), \
	                      CGC__CHECKED(field, desired))

/* A read section: between the two, pointers from cgc_borrow() stay valid. Nests; waits for nothing;
 * a few instructions. Keep it short: memory that others release waits for it. Do not block inside, and
 * do not call cgc_collect(2), cgc_start or cgc_stop (refused with a message and abort). */
CGC_API void cgc_read_lock(void);
CGC_API void cgc_read_unlock(void);

/* Makes an object reachable by other threads without a store, before its pointer goes to one through
 * a C variable, a queue or pthread_create. The caller still owns its reference. */
CGC_API void cgc_publish(void *object);

/* Hand-off: publishes, and makes the caller's owned reference one that any thread may release at the
 * cost of its own. The pointer is then given to exactly one other thread, which owns it. An object
 * without references, finalizer and destructor, given away with its only reference, dies at once when
 * the last one is released, if it has not been stored in a published object or a root, nor had a weak
 * reference since. */
CGC_API void cgc_transfer(void *object);

/* ---------------------------------------------------------------------------------------------
 * Weak references
 * ------------------------------------------------------------------------------------------- */

struct cgc_weak;

/* Called once, after the object died and every weak reference to it answers NULL; the most recently
 * made reference first. `weak` is borrowed and still has to be freed by its maker, now or later. Not
 * called for a reference that was freed before. Runs as finalizers do. */
typedef void cgc_weak_callback(struct cgc_weak *weak, void *argument);

/* A weak reference to `object` (borrowed; published by this call, because a weak reference is a way
 * for other threads to reach it). callback may be NULL. NULL if memory is out. Takes a short lock that
 * only makers and freers of weak references and dying objects share. */
CGC_API struct cgc_weak *cgc_weak_new(void *object, cgc_weak_callback *callback, void *argument);

/* The object, owned, or NULL once it is dead or finalized. Lock-free, from any thread. */
CGC_API void *cgc_weak_load(struct cgc_weak *weak);

/* Ends the weak reference. No other thread may be using it. NULL is allowed. If its callback has
 * started, on another thread, this call does not wait for it. */
CGC_API void cgc_weak_free(struct cgc_weak *weak);

/* ---------------------------------------------------------------------------------------------
 * Collection
 * ------------------------------------------------------------------------------------------- */

/* Collects generation 0, 1 (with 0) or 2 (with 0 and 1) and returns how many objects of cyclic types
 * were freed as cyclic garbage. 0 and 1 are the calling thread's own and concern no other thread (trial
 * deletion: Christopher 1984; Bacon, Rajan, ECOOP 2001). 2 asks the background thread for a look at the
 * whole old generation that begins after this call, and waits for its result; whatever was dead by
 * counting before the call is reclaimed as well. Any number of threads may do so at once. Inside a
 * finalizer or callback that runs on the background thread it returns 0 at once. Returns -EINVAL for
 * another generation. Not inside a read section (generation 2). */
CGC_API long cgc_collect(int generation);

/* Automatic collection: of 0 when a thread's net allocations since the last one exceed threshold[0] (0:
 * never), of 1 after threshold[1] collections of 0, of 2 as a whole after threshold[2] collections of 1
 * if more than a quarter of the survivors of the last one has been promoted since (CPython's rule; 0: never).
 * Defaults 10000, 2, 0: a local collection looks at 20,000 objects or so at the most, and what a request makes
 * and drops causes none; generation 2 is collected by looks at what has lost a reference, which needs no
 * threshold and misses no ring. */
CGC_API void cgc_set_threshold(const unsigned threshold[3]);
CGC_API void cgc_get_threshold(unsigned threshold[3]);

/* The calling thread's net allocations, its collections of 0 since one of 1, and its collections of 1
 * since the last look at the whole of 2. */
CGC_API void cgc_get_count(size_t count[3]);

/* Automatic collection of cycles, on by default; reclamation by counting always works. Both return what
 * held before. */
CGC_API bool cgc_enable(void);
CGC_API bool cgc_disable(void);
CGC_API bool cgc_is_enabled(void);

/* ---------------------------------------------------------------------------------------------
 * Threads
 * ------------------------------------------------------------------------------------------- */

/* Attaches the calling thread; every other call does so by itself. Returns 0 or an errno value. */
CGC_API int cgc_thread_attach(void);

/* Detaches it, as the end of the thread does: its garbage is collected, what is left lives on,
 * published. Outside of read sections. It may attach again; with debug=1 using objects without
 * attaching again is an error. */
CGC_API void cgc_thread_detach(void);

/* Before and after a long wait: collects the thread's young garbage, hands its queues to the
 * background thread, and memory of objects that others made back to them (it keeps up to 4 KiB of that
 * for a while). Forgetting it costs only that and the garbage cycles that are still private. */
CGC_API void cgc_park(void);
CGC_API void cgc_unpark(void);

/* ---------------------------------------------------------------------------------------------
 * Numbers
 * ------------------------------------------------------------------------------------------- */

struct cgc_generation_stats {
	uint64_t collections;
	uint64_t candidates;  /* objects looked at */
	uint64_t collected;   /* objects freed as cyclic garbage */
	uint64_t resurrected; /* objects that their finalizers brought back, with what they reach */
	uint64_t nanoseconds;
};

struct cgc_stats {
	struct cgc_generation_stats generation[3];
	uint64_t objects_allocated;
	uint64_t objects_freed_by_count;
	uint64_t objects_freed_locally; /* by the collection of generations 0 and 1 */
	uint64_t objects_freed_by_detector;
	uint64_t objects_published;
	uint64_t objects_live;    /* allocated and memory not yet given back */
	uint64_t bytes_live;      /* the same in bytes, headers included */
	uint64_t objects_waiting; /* dead or dying, until a grace period has passed */
	uint64_t bytes_waiting;
	uint64_t bytes_reserved;  /* taken from jemalloc, for all purposes */
	uint64_t suspects;        /* waiting for the detector */
	uint64_t windows;         /* looks of the detector, whole or partial */
	uint64_t windows_aborted; /* because of time, memory or a weak upgrade */
	uint64_t grace_periods;
	uint64_t yields;            /* of threads that took memory while the heap had outgrown the detector */
	uint64_t paced_nanoseconds; /* that they waited, where yielding was not enough */
	uint64_t threads;           /* attached now */
	uint64_t longest_stall_nanoseconds; /* longest slow path of any call of a mutator, without user
	                                       callbacks and explicit collections */
};

/* Sums over all threads; each number is exact once the threads it counts are quiet. */
CGC_API void cgc_get_stats(struct cgc_stats *stats);

/* Sets longest_stall_nanoseconds to zero. */
CGC_API void cgc_reset_longest_stall(void);

/* ---------------------------------------------------------------------------------------------
 * Looking at an object. Borrowed argument; meant for tests and tools.
 * ------------------------------------------------------------------------------------------- */

CGC_API const struct cgc_type *cgc_type_of(const void *object);
CGC_API int cgc_generation(const void *object); /* 0, 1 or 2 */
CGC_API bool cgc_is_finalized(const void *object);
CGC_API long cgc_reference_count(const void *object); /* exact only while nobody changes it */

/* Calls visit for every object that `object` refers to, borrowed, inside a read section. */
CGC_API void cgc_visit_references(void *object, void (*visit)(void *referent, void *argument), void *argument);

/* Checks the whole heap against the invariants of docs/design.md: headers against references, flags against
 * queues, lists against slabs, counters against cells. Returns how many are violated, each told in one line on
 * stderr; SIZE_MAX, with a line too, if there is no memory to find out. Changes nothing. Runs on the background
 * thread, between two looks, while the caller waits. All other threads must be quiet, and known to be by the
 * caller: outside of calls of the library and of read sections; they may hold objects, private ones too. Not
 * inside a read section, a finalizer or a callback (refused with a message and abort). Time and memory linear
 * in the heap; for tests. */
CGC_API size_t cgc_debug_verify(void);

/* p, after checking with debug=1 that it is NULL or of that type. */
#define cgc_cast(p, T, type) ((T *)cgc__cast((p), (type)))

#include "cgc/fast.h"

#endif
