/* SPDX-License-Identifier: MIT
 *
 * The inline halves of the calls in cgc.h, and the only layout that is ABI. Not an API: include cgc.h.
 *
 * Every fast path here handles one case, an object that is private to the calling thread, with plain
 * (relaxed) loads and stores: no other thread reads or writes such an object. Everything else goes to
 * the `_slow` half in the library.
 */
#ifndef CGC_FAST_H
#define CGC_FAST_H

/* In front of every object.
 *
 *    0        2       3          4             8                 16
 *    +--------+-------+----------+-------------+-----------------+---------------+
 *    | type   | flags | unlinked | bias        | local           | shared        |
 *    +--------+-------+----------+-------------+-----------------+---------------+
 *
 * bias      who counts where: see src/heap.h
 * local     count[31:0] version[63:32]; written only by the owner's context while the bias is its own
 * shared    flags[7:0] count[33:8] (signed) version[63:34]; atomic read-modify-write only
 * A version moves with every change of its count and is never reset while the object is published, so an
 * equal word means that nothing happened in between. */
struct cgc__header {
	union {
		struct {
			uint16_t type;
			_Atomic(uint8_t) flags;
			_Atomic(uint8_t) unlinked;
			_Atomic(uint32_t) bias;
		};
		_Atomic(uint64_t) first; /* the four, which are written at once when an object is made */
	};
	_Atomic(uint64_t) local;
	_Atomic(uint64_t) shared;
};

/* One count and one version in `local`. */
#define CGC__LOCAL_RETAIN ((UINT64_C(1) << 32) + 1)
#define CGC__LOCAL_RELEASE ((UINT64_C(1) << 32) - 1)

/* As if retained and released: of a private object, this difference of count and version says that it may be all
 * that is left of a ring (src/young.c). */
#define CGC__LOCAL_SUSPECT (UINT64_C(2) << 32)

/* flags, of a private object: some field of it has held a private one; it has been in a field of one. */
#define CGC__FILLED 32
#define CGC__LINKED 128

/* The bias of objects that nobody counts. */
#define CGC__BIAS_IMMORTAL 4

/* What the fast paths compare with: the bias of the calling thread's private objects. A thread that is
 * not attached, and every thread with debug=1, has a value that no object has. */
extern CGC_API _Thread_local uint32_t cgc__private_bias __attribute__((tls_model("initial-exec")));

CGC_API void cgc__retain_slow(void *object);
CGC_API void cgc__release_slow(void *object);
CGC_API void cgc__release_last_private(void *object);
CGC_API void *cgc__load_slow(void *object, _Atomic(void *) *slot);
CGC_API void cgc__store_slow(void *object, _Atomic(void *) *slot, void *value);
CGC_API void cgc__store_consume_slow(void *object, _Atomic(void *) *slot, void *value);
CGC_API void *cgc__exchange(void *object, _Atomic(void *) *slot, void *value);
CGC_API bool cgc__compare_exchange(void *object, _Atomic(void *) *slot, void *expected, void *desired);
CGC_API void *cgc__cast(void *object, struct cgc_type *type);

/* The value, after the compiler has compared its type with the field's. */
#define CGC__CHECKED(field, value) ((void *)(1 ? (value) : (field)->cgc__type))

/* NULL and tagged immediates are no objects. */
static inline bool cgc__is_object(const void *value)
{
	return value != NULL && ((uintptr_t)value & 1) == 0;
}

static inline struct cgc__header *cgc__header_of(const void *object)
{
	return (struct cgc__header *)((uintptr_t)object - sizeof(struct cgc__header));
}

static inline uint32_t cgc__bias_of(const void *object)
{
	/* No order needed: only the owner ever stores the value that the fast paths look for; immortal is for ever. */
	return atomic_load_explicit(&cgc__header_of(object)->bias, memory_order_relaxed);
}

/* Private to the calling thread? */
static inline bool cgc__is_mine(const void *object)
{
	return cgc__bias_of(object) == cgc__private_bias;
}

static inline void *cgc__retain(void *value)
{
	if (cgc__is_object(value)) {
		uint32_t bias = cgc__bias_of(value);
		if (__builtin_expect(bias == cgc__private_bias, 1)) {
			struct cgc__header *header = cgc__header_of(value);
			/* No order needed: private, only this thread reads or writes it. */
			uint64_t local = atomic_load_explicit(&header->local, memory_order_relaxed);
			atomic_store_explicit(&header->local, local + CGC__LOCAL_RETAIN, memory_order_relaxed);
		} else if (bias != CGC__BIAS_IMMORTAL) {
			cgc__retain_slow(value);
		}
	}
	return value;
}

static inline void cgc__release(void *value)
{
	if (cgc__is_object(value)) {
		uint32_t bias = cgc__bias_of(value);
		if (__builtin_expect(bias == cgc__private_bias, 1)) {
			struct cgc__header *header = cgc__header_of(value);
			/* No order needed: private, only this thread reads or writes it. */
			uint64_t local = atomic_load_explicit(&header->local, memory_order_relaxed);
			if (__builtin_expect((uint32_t)local > 1, 1))
				atomic_store_explicit(&header->local, local + CGC__LOCAL_RELEASE,
				                      memory_order_relaxed);
			else
				cgc__release_last_private(value);
		} else if (bias != CGC__BIAS_IMMORTAL) {
			cgc__release_slow(value);
		}
	}
}

static inline void *cgc__load(void *object, _Atomic(void *) *slot)
{
	if (object != NULL && cgc__is_mine(object))
		/* No order needed: a private object's fields are this thread's own. */
		return cgc__retain(atomic_load_explicit(slot, memory_order_relaxed));
	return cgc__load_slow(object, slot);
}

static inline void *cgc__borrow(_Atomic(void *) *slot)
{
	/* PUBLISH.r: what the object held before its address was stored must be visible. Pairs: PUBLISH.w
	 * in slot.c; the section keeps the memory (GRACE). */
	return atomic_load_explicit(slot, memory_order_acquire);
}

/* A private object gets a private one into a field. A ring can be closed by that only if the value has fields that
 * were set and the container is in a field itself; and be garbage with that only if no handle is left: `consumed`. */
static inline void cgc__link(void *object, void *value, bool consumed)
{
	struct cgc__header *container = cgc__header_of(object), *header = cgc__header_of(value);
	/* No order needed, here and below: private. */
	uint8_t flags = atomic_load_explicit(&container->flags, memory_order_relaxed);
	/* No order needed: as above. */
	atomic_store_explicit(&container->flags, flags | CGC__FILLED, memory_order_relaxed);
	/* No order needed: as above; it may be the container. */
	flags = atomic_load_explicit(&header->flags, memory_order_relaxed) | CGC__LINKED;
	/* No order needed: as above. */
	atomic_store_explicit(&header->flags, flags, memory_order_relaxed);
	if (!consumed || (flags & CGC__FILLED) == 0)
		return;
	/* No order needed: as above. */
	if ((atomic_load_explicit(&container->flags, memory_order_relaxed) & CGC__LINKED) == 0)
		return;
	/* No order needed: as above. */
	uint64_t local = atomic_load_explicit(&container->local, memory_order_relaxed);
	/* No order needed: as above. */
	atomic_store_explicit(&container->local, local + CGC__LOCAL_SUSPECT, memory_order_relaxed);
}

static inline void cgc__set(void *object, _Atomic(void *) *slot, void *value, bool consumed)
{
	if (cgc__is_object(value) && cgc__is_mine(value))
		cgc__link(object, value, consumed);
	/* No order needed: a private object's fields are this thread's own. */
	void *old = atomic_load_explicit(slot, memory_order_relaxed);
	/* No order needed: publication comes later and orders it (PUBLISH.w). */
	atomic_store_explicit(slot, value, memory_order_relaxed);
	if (cgc__is_object(old))
		cgc__release(old);
}

static inline void cgc__store_consume(void *object, _Atomic(void *) *slot, void *value)
{
	if (object != NULL && cgc__is_mine(object))
		cgc__set(object, slot, value, true);
	else
		cgc__store_consume_slow(object, slot, value);
}

static inline void cgc__store(void *object, _Atomic(void *) *slot, void *value)
{
	if (object != NULL && cgc__is_mine(object))
		cgc__set(object, slot, cgc__retain(value), false);
	else
		cgc__store_slow(object, slot, value);
}

#endif
