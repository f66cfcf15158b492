/* SPDX-License-Identifier: MIT
 *
 * Loads and stores of reference fields that other threads may use at the same time: of published objects, and
 * of roots. (Fields of private objects are handled in cgc/fast.h; in debug mode they come here too.)
 *
 * Rules kept here
 *   - count before you place, unlink before you discount, both at once;
 *   - a reference that leaves a slot without being discounted (exchange) moves the object's version afterwards,
 *     in the same section;
 *   - a reference that a handle gives to a slot without being counted leaves a suspect: it may have closed a
 *     ring that nothing else holds.
 * Model: tests/model/window.pml, whose twins break each of the three.
 */
#include "count.h"

/* True if the container is private to this thread; refuses the dead and those private to others. */
static bool container_is_mine(struct cgc__context *self, void *object, const char *function)
{
	if (object == NULL)
		return false; /* a root */
	uint32_t bias = cgc__count_bias(cgc__header_of(object));
	switch (CGC__KIND(bias)) {
	case CGC__PRIVATE:
		if (bias != self->private_bias)
			cgc__report_misuse(
				function, object,
				"the container is private to another thread: its fields are not atomic");
		return true;
	case CGC__FREE:
		cgc__report_misuse(function, object,
		                   "use after free: the container is dead and its memory given back");
	default:
		return false;
	}
}

static void check_value(struct cgc__context *self, const void *value, const char *function)
{
	uint32_t bias = cgc__count_bias(cgc__header_of(value));
	if (CGC__KIND(bias) == CGC__PRIVATE && bias != self->private_bias)
		cgc__report_misuse(
			function, value,
			"private to another thread: publish, transfer or store it before handing it over");
	if (CGC__KIND(bias) == CGC__FREE)
		cgc__report_misuse(function, value,
		                   "use after free: the object is dead and its memory given back");
}

static bool is_private(struct cgc__context *self, const void *value)
{
	return cgc__count_bias(cgc__header_of(value)) == self->private_bias;
}

/* Puts a value into a field of a private object; returns what was there. */
static void *set_private(struct cgc__context *self, void *object, _Atomic(void *) *slot, void *value,
                         bool consumed)
{
	if (cgc__is_object(value) && is_private(self, value))
		cgc__link(object, value, consumed);
	/* No order needed: private. */
	void *old = atomic_load_explicit(slot, memory_order_relaxed);
	/* No order needed: private. */
	atomic_store_explicit(slot, value, memory_order_relaxed);
	return old;
}

static void *swap(_Atomic(void *) *slot, void *value)
{
	/* PUBLISH.w: the new object and all it reaches before its address. Acquire: the old one's contents, for
	 * whoever gets it. Pairs: PUBLISH.r in cgc__borrow(), cgc__load_slow() and window.c. */
	return atomic_exchange_explicit(slot, value, memory_order_acq_rel);
}

/* In a section. The reference that a slot held. */
static void discount(struct cgc__context *self, void *old)
{
	if (cgc__is_object(old) && CGC__KIND(cgc__count_bias(cgc__header_of(old))) != CGC__IMMORTAL)
		cgc__count_shared_down(self, old);
}

void *cgc__load_slow(void *object, _Atomic(void *) *slot)
{
	struct cgc__context *self = cgc__thread_self();
	if (container_is_mine(self, object, "cgc_load")) {
		/* Debug mode. No order needed: private. */
		return cgc__retain(atomic_load_explicit(slot, memory_order_relaxed));
	}
	cgc__grace_enter_brief(self);
	/* PUBLISH.r: what the object held before its address was stored. Pairs: PUBLISH.w in swap(). */
	void *value = atomic_load_explicit(slot, memory_order_acquire);
	cgc__pause_fast("slot.load_read");
	/* Unconditionally, even from zero: whoever unlinked it meanwhile waits for this section. */
	if (cgc__is_object(value))
		cgc__count_up(self, cgc__header_of(value));
	cgc__grace_leave_brief(self);
	return value;
}

void cgc__store_slow(void *object, _Atomic(void *) *slot, void *value)
{
	struct cgc__context *self = cgc__thread_self();
	if (cgc__is_object(value))
		check_value(self, value, "cgc_store");
	if (container_is_mine(self, object, "cgc_store")) {
		/* Debug mode. */
		cgc__release(set_private(self, object, slot, cgc__retain(value), false));
		return;
	}
	bool counted = cgc__is_object(value) && is_private(self, value);
	if (counted)
		cgc__publish_graph(self, value, CGC__SHARED_ONE, 0);
	cgc__grace_enter_brief(self);
	if (cgc__is_object(value) && !counted &&
	    CGC__KIND(cgc__count_bias(cgc__header_of(value))) != CGC__IMMORTAL) {
		cgc__count_expose(cgc__header_of(value));
		cgc__count_shared_up(cgc__header_of(value));
	}
	cgc__pause_fast("slot.store_counted");
	void *old = swap(slot, value);
	cgc__pause_fast("slot.store_swapped");
	discount(self, old);
	cgc__grace_leave_brief(self);
	cgc__pending_poll(self);
}

/* In a section: before a handle's reference goes into a published slot, it is counted in shared. True if the
 * local one is to be taken away after the store. */
static bool move_in_begin(struct cgc__context *self, void *value)
{
	if (!cgc__is_object(value))
		return false;
	cgc__count_expose(cgc__header_of(value));
	if (cgc__count_bias(cgc__header_of(value)) != self->biased_bias)
		return false;
	cgc__count_shared_up(cgc__header_of(value));
	return true;
}

static void move_in_end(struct cgc__context *self, void *value, bool is_local)
{
	if (!cgc__is_object(value))
		return;
	struct cgc__header *header = cgc__header_of(value);
	if (is_local) {
		cgc__count_down(self, value); /* which leaves a suspect */
		return;
	}
	/* No order needed: a hint; set means that an entry is on its way. */
	uint64_t shared = atomic_load_explicit(&header->shared, memory_order_relaxed);
	if ((shared & CGC__SUSPECT) == 0 && !cgc__count_is_untracked(header) &&
	    CGC__KIND(cgc__count_bias(header)) != CGC__IMMORTAL)
		cgc__count_add_suspect(self, value);
}

/* Puts a consumed value into a published slot; returns what was there. Inside a section opened here and left to
 * the caller to close. */
static void *put(struct cgc__context *self, _Atomic(void *) *slot, void *value)
{
	bool closes_ring = true, is_new = cgc__is_object(value) && is_private(self, value);
	if (is_new)
		closes_ring = cgc__publish_graph(self, value, CGC__SHARED_ONE, 1);
	cgc__grace_enter_brief(self);
	bool is_local = !is_new && move_in_begin(self, value);
	void *old;
	cgc__pause_fast("slot.put_counted");
	if (is_new && closes_ring && !cgc__count_is_untracked(cgc__header_of(value))) {
		/* Before the store: afterwards others may release it. */
		cgc__count_add_suspect(self, value);
		old = swap(slot, value);
	} else if (is_new) {
		old = swap(slot, value);
	} else {
		old = swap(slot, value);
		cgc__pause_fast("slot.put_swapped");
		move_in_end(self, value, is_local);
	}
	return old;
}

void cgc__store_consume_slow(void *object, _Atomic(void *) *slot, void *value)
{
	struct cgc__context *self = cgc__thread_self();
	if (cgc__is_object(value))
		check_value(self, value, "cgc_store_consume");
	if (container_is_mine(self, object, "cgc_store_consume")) {
		/* Debug mode. */
		cgc__release(set_private(self, object, slot, value, true));
		return;
	}
	void *old = put(self, slot, value);
	cgc__pause_fast("slot.consume_swapped");
	discount(self, old);
	cgc__grace_leave_brief(self);
	cgc__pending_poll(self);
}

void *cgc__exchange(void *object, _Atomic(void *) *slot, void *value)
{
	struct cgc__context *self = cgc__thread_self();
	if (cgc__is_object(value))
		check_value(self, value, "cgc_exchange");
	if (container_is_mine(self, object, "cgc_exchange"))
		return set_private(self, object, slot, value, true);
	void *old = put(self, slot, value);
	cgc__pause_fast("slot.exchange_swapped");
	if (cgc__is_object(old) && CGC__KIND(cgc__count_bias(cgc__header_of(old))) != CGC__IMMORTAL) {
		struct cgc__header *header = cgc__header_of(old);
		cgc__grace_stamp(header);
		/* MOVE.w: a window that saw the reference in the slot must not count it once more where it goes next:
		 * the word moves after the slot did, in the same section. Pairs: COUNT.r, the second look in
		 * verdict.c, a grace period later. */
		atomic_fetch_add_explicit(&header->shared, CGC__SHARED_VERSION, memory_order_acq_rel);
	}
	cgc__grace_leave_brief(self);
	return old;
}

static bool compare_exchange_private(struct cgc__context *self, void *object, _Atomic(void *) *slot,
                                     void *expected, void *desired)
{
	/* No order needed: private. */
	if (atomic_load_explicit(slot, memory_order_relaxed) != expected)
		return false;
	cgc__release(set_private(self, object, slot, cgc__retain(desired), false));
	return true;
}

bool cgc__compare_exchange(void *object, _Atomic(void *) *slot, void *expected, void *desired)
{
	struct cgc__context *self = cgc__thread_self();
	if (cgc__is_object(desired))
		check_value(self, desired, "cgc_compare_exchange");
	if (container_is_mine(self, object, "cgc_compare_exchange"))
		return compare_exchange_private(self, object, slot, expected, desired);
	if (cgc__is_object(desired) && is_private(self, desired))
		cgc__publish_graph(self, desired, 0, 0);
	bool counts =
		cgc__is_object(desired) && CGC__KIND(cgc__count_bias(cgc__header_of(desired))) != CGC__IMMORTAL;
	void *found = expected;
	cgc__grace_enter_brief(self);
	if (counts) {
		cgc__count_expose(cgc__header_of(desired));
		cgc__count_shared_up(cgc__header_of(desired));
	}
	/* PUBLISH.w, as in swap(). Pairs: PUBLISH.r in cgc__borrow(), cgc__load_slow() and window.c. */
	bool stored = atomic_compare_exchange_strong_explicit(slot, &found, desired, memory_order_acq_rel,
	                                                      memory_order_relaxed);
	cgc__pause_fast("slot.compare_swapped");
	if (stored)
		discount(self, expected);
	else if (counts)
		cgc__count_shared_down(self, desired);
	cgc__grace_leave_brief(self);
	cgc__pending_poll(self);
	return stored;
}
