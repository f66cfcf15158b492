/* SPDX-License-Identifier: MIT
 *
 * A window: a copy of part of the old generation, words and edges in arrays, on which the detector decides.
 * Background thread only.
 *
 * W1 The words of an object are read before every slot that is counted for it.
 * W2 A grace period lies between the last read and the first second look.
 * W3 A second look compares whole words; what changed lives, with all it reaches in the copy.
 * W4 While a window is open, no memory of a published object goes back.
 * An object whose referrers were not all copied keeps a count that no edge explains, and so lives: a partial
 * window is sound. Models: tests/model/window.pml, window_arm.pml, whose twins leave out W1 to W4 in turn.
 */
#ifndef CGC_WINDOW_H
#define CGC_WINDOW_H

#include "heap.h"

struct cgc__member {
	void *object;
	uint64_t local, shared; /* the words as first read */
	uint32_t first_edge;    /* its edges end where the next member's begin */
	int32_t external;       /* count that no edge explains */
	bool is_live;
	bool is_changed;   /* a checkpoint has seen another word */
	bool is_condemned; /* its weak references are held up */
	bool is_kept;      /* dead, but a finalizer's object reaches it */
};

struct cgc__window {
	struct cgc__member *members;
	size_t member_count, member_capacity;
	uint32_t *edges; /* indexes of members */
	size_t edge_count, edge_capacity;
	uint32_t *stack; /* members whose edges are still to be followed */
	size_t stack_count, stack_capacity;
	struct cgc__slab **slabs;
	size_t slab_capacity;
	uint64_t checked; /* nanoseconds: when the words were last looked at */
	bool failed;      /* out of memory: nothing is decided */
};

/* Opens a window; whole: every published object, else what `roots` reach. `roots` is what the suspect queues
 * held; their flags are cleared here. */
void cgc__window_open(struct cgc__context *self, struct cgc__window *window, bool whole);
/* Takes the dead out of the suspect queues while nobody looks at suspects; returns how many are left. */
uint64_t cgc__window_sweep(struct cgc__context *self);
void cgc__window_close(struct cgc__window *window);
void cgc__window_free(struct cgc__window *window);
void cgc__window_trim(struct cgc__window *window);

/* A version repeats after 2^30 changes of one word, which take longer than this; so the words are looked at again
 * at least so often. */
#define CGC__WINDOW_CHECK_NS UINT64_C(1500000000)
#define CGC__WINDOW_LIMIT_NS UINT64_C(4000000000)
bool cgc__window_has_changed(const struct cgc__member *member);

/* Trial deletion on the copy: afterwards is_live says who is held from outside. */
void cgc__window_decide(struct cgc__window *window);
/* From members on the stack on: what they reach lives. */
void cgc__window_spread(struct cgc__window *window);
void cgc__window_save(struct cgc__window *window, uint32_t index);
/* Index of an object in the window, or UINT32_MAX. */
uint32_t cgc__window_find(const void *object);

/* What a look did. */
struct cgc__verdict_result {
	size_t candidates, freed;
	size_t kept;  /* finalizers ran, and these want another look at once */
	bool aborted; /* nothing was decided: try again */
};

/* verdict.c: one look, from the suspects or at the whole generation. */
struct cgc__verdict_result cgc__verdict_look(struct cgc__context *self, struct cgc__window *window, bool whole);

#endif
