/* SPDX-License-Identifier: MIT
 *
 * What cgc_debug_verify() says of objects: I1 of every slot, then I3, I4, I6 of every header, and that kind, flags,
 * generation and type of a cell agree.
 */
#include <inttypes.h>

#include "count.h"
#include "object.h"
#include "verify.h"

/* What the flags of a header say of its type, as info_of() in type.c. */
#define OF_TYPE (CGC__UNTRACKED | CGC__PLAIN)

static struct cgc_type *type_of(const struct cgc__header *header)
{
	return header->type != 0 ? cgc__type_of_id(header->type) : NULL;
}

static bool is_published(enum cgc__kind kind)
{
	return kind == CGC__BIASED || kind == CGC__UNBIASED || kind == CGC__IMMORTAL;
}

static uint32_t bias_of(const struct cgc__header *header)
{
	/* No order needed: the heap is quiet. */
	return atomic_load_explicit(&header->bias, memory_order_relaxed);
}

static bool has_array(const struct cgc_type *type)
{
	return (type->flags & (CGC_TRAILING | CGC_TRAILING_BYTES)) != 0;
}

/* Bytes from the header to the end of the trailing array and of its length. */
static size_t bytes_of(const struct cgc__header *header, const struct cgc_type *type)
{
	size_t bytes = type->size;
	if (has_array(type)) {
		size_t each = (type->flags & CGC_TRAILING) != 0 ? sizeof(void *) : 1;
		size_t end = type->trailing.offset + *cgc__slab_trailing(header) * each;
		bytes = (end > bytes ? end : bytes) + sizeof(uint64_t);
	}
	return sizeof(*header) + bytes;
}

/* The slots are where the type says, and in the cell. */
static bool has_slots(const struct cgc__verify_slab *entry, const struct cgc__header *header)
{
	const struct cgc_type *type = type_of(header);
	return type != NULL && bytes_of(header, type) <= entry->cell_bytes;
}

/* ---- references ---------------------------------------------------------------------------------------- */

static void check_reference(struct cgc__verify *verify, struct cgc__header *header, size_t slot, void *value)
{
	void *object = cgc__object_of(header);
	struct cgc__verify_cell *cell = cgc__verify_find(verify, value);
	if (cell == NULL) {
		cgc__verify_object_is(verify, object,
		                      "reference %zu is %p, where no object is: a slot holds a value", slot,
		                      value);
		return;
	}
	const struct cgc__header *target = cgc__header_of(value);
	enum cgc__kind from = cgc__verify_kind(header), to = cgc__verify_kind(target);
	if (cell->references < UINT32_MAX)
		cell->references++;
	if (!cgc__verify_is_object(cell, target))
		cgc__verify_object_is(verify, object,
		                      "reference %zu is %p, which has been given back: a reference counts (I3)",
		                      slot, value);
	else if (to == CGC__DYING)
		cgc__verify_object_is(verify, object,
		                      "reference %zu is %p, which is dying: a reference counts (I3)", slot,
		                      value);
	else if (to == CGC__PRIVATE && from != CGC__PRIVATE)
		cgc__verify_object_is(verify, object,
		                      "published, and reference %zu is %p, which is private: publication takes "
		                      "along all that is reached (I1)",
		                      slot, value);
	else if (from != CGC__PRIVATE && to != CGC__PRIVATE &&
	         (cgc__verify_word(&target->shared) & CGC__HANDED) != 0)
		cgc__verify_object_is(
			verify, object,
			"published, and reference %zu is %p, which is HANDED: it would die while readers "
			"borrow it (I7)",
			slot, value);
	else if (to == CGC__PRIVATE && bias_of(header) != bias_of(target))
		cgc__verify_object_is(verify, object,
		                      "reference %zu is %p, private to another context, which alone counts in "
		                      "local (I2)",
		                      slot, value);
	else if (to == CGC__PRIVATE && ((cgc__verify_flags(header) & CGC__FILLED) == 0 ||
	                                (cgc__verify_flags(target) & CGC__LINKED) == 0))
		cgc__verify_object_is(
			verify, object,
			"reference %zu is %p, and one is not FILLED or the other not LINKED: a ring of "
			"them may be closed unseen",
			slot, value);
	if ((cgc__verify_flags(header) & CGC__DESTROYED) != 0)
		cgc__verify_object_is(verify, object,
		                      "destroyed, and reference %zu is %p: its references go with it", slot,
		                      value);
}

void cgc__verify_references(struct cgc__verify *verify, struct cgc__verify_slab *entry)
{
	for (uint32_t i = 0; i < entry->bumped; i++) {
		struct cgc__header *header = cgc__verify_header(entry, i);
		if (!cgc__verify_is_object(&entry->cells[i], header) || !has_slots(entry, header))
			continue;
		struct cgc__slots slots = cgc__slots_of(cgc__object_of(header));
		size_t number = 0;
		for (_Atomic(void *) *slot; (slot = cgc__slots_next(&slots)) != NULL; number++) {
			/* No order needed: the heap is quiet. */
			void *value = atomic_load_explicit(slot, memory_order_relaxed);
			if (cgc__is_object(value))
				check_reference(verify, header, number, value);
		}
	}
}

/* ---- headers ------------------------------------------------------------------------------------------- */

static void check_type(struct cgc__verify *verify, const struct cgc__verify_slab *entry,
                       const struct cgc__header *header)
{
	const void *object = header + 1;
	const struct cgc_type *type = type_of(header);
	uint8_t flags = cgc__verify_flags(header);
	if (type == NULL) {
		cgc__verify_object_is(verify, object, "type number %u is of no type", header->type);
		return;
	}
	uint64_t info = cgc__verify_word(&type->cgc__info);
	if (CGC__INFO_ID(info) != header->type)
		cgc__verify_object_is(verify, object, "type number %u, the type's own is %u: one number each",
		                      header->type, CGC__INFO_ID(info));
	else if (((flags ^ CGC__INFO_FLAGS(info)) & OF_TYPE) != 0)
		cgc__verify_object_is(verify, object, "flags %#x, of the type are %#x: these never change",
		                      flags, CGC__INFO_FLAGS(info));
	if (!has_slots(entry, header))
		cgc__verify_object_is(verify, object,
		                      "%zu bytes in a cell of %zu: with a trailing array it fits",
		                      bytes_of(header, type), entry->cell_bytes);
	if ((flags & CGC__FINALIZED) != 0 && type->finalize == NULL)
		cgc__verify_object_is(verify, object, "FINALIZED, and its type has no finalizer");
}

static void check_private(struct cgc__verify *verify, const struct cgc__verify_slab *entry,
                          const struct cgc__header *header, const struct cgc__verify_cell *cell,
                          uint8_t generation)
{
	const void *object = header + 1;
	const struct cgc__slab *slab = entry->slab;
	uint8_t flags = cgc__verify_flags(header);
	uint32_t count = cgc__local_count(cgc__verify_word(&header->local));
	bool is_elder = (flags & CGC__ELDER) != 0;
	if (bias_of(header) != slab->context->private_bias)
		cgc__verify_object_is(verify, object, "private with bias %#x, in a slab of context %u: I2",
		                      bias_of(header), slab->context->id);
	else if (!entry->is_owned)
		cgc__verify_object_is(verify, object,
		                      "private, and its context has no thread: the end of a thread publishes");
	if (generation != is_elder)
		cgc__verify_object_is(verify, object,
		                      "private, generation %u, flags %#x: 0, or 1 and ELDER with it",
		                      generation, flags);
	/* No order needed: the heap is quiet. */
	uint8_t holds = atomic_load_explicit(&slab->holds, memory_order_relaxed);
	if ((flags & CGC__UNTRACKED) == 0 && (holds & (is_elder ? CGC__HOLD_ELDER : CGC__HOLD_TOUCHED)) == 0)
		cgc__verify_object_is(
			verify, object,
			"of generation %d, and its slab is not in %s: no collection would find it", is_elder,
			is_elder ? "elder" : "touched");
	if ((flags & (CGC__DESTROYED | CGC__CONDEMNED_ONCE)) != 0)
		cgc__verify_object_is(verify, object,
		                      "private, flags %#x: DESTROYED and CONDEMNED_ONCE are of the "
		                      "published",
		                      flags);
	if (cgc__verify_word(&header->shared) != 0)
		cgc__verify_object_is(verify, object,
		                      "private, shared is %#" PRIx64 ": scratch, zero outside of a collection",
		                      cgc__verify_word(&header->shared));
	if (count == 0 || count < cell->references)
		cgc__verify_object_is(
			verify, object,
			"private, count %u, %u references: local is all of them and at least one (I3)", count,
			cell->references);
	if (cell->pending > 0 || cell->suspects > 0 || cell->is_overflow)
		cgc__verify_object_is(verify, object,
		                      "private, and has an entry: entries are of the published (I6)");
}

/* Who counts, and how much. */
static void check_counts(struct cgc__verify *verify, const struct cgc__verify_slab *entry,
                         const struct cgc__header *header, const struct cgc__verify_cell *cell)
{
	const void *object = header + 1;
	uint64_t shared = cgc__verify_word(&header->shared);
	uint32_t bias = bias_of(header), local = cgc__local_count(cgc__verify_word(&header->local));
	enum cgc__kind kind = CGC__KIND(bias);
	bool is_merged = (shared & CGC__MERGED) != 0;
	if (bias != (kind == CGC__BIASED ? entry->slab->context->biased_bias : (uint32_t)kind))
		cgc__verify_object_is(verify, object, "published with bias %#x, in a slab of context %u: I2",
		                      bias, entry->slab->context->id);
	if (kind == CGC__BIASED && is_merged)
		cgc__verify_object_is(verify, object, "biased and MERGED: the merge takes the bias away (I4)");
	if (!is_merged && local == 0)
		cgc__verify_object_is(verify, object,
		                      "not MERGED, and the local count is 0: the last one merges (I4)");
	if (is_merged && local != 0 && !cell->is_overflow)
		cgc__verify_object_is(verify, object, "MERGED, and the local count is %u: 0 for ever (I4)",
		                      local);
	/* Nobody counts the immortal; and verdict.c drops the local counts of the dead, not what they stand for. */
	if (kind == CGC__IMMORTAL || (shared & CGC__DEAD) != 0)
		return;
	int64_t total = cgc__shared_count(shared) + (is_merged ? 0 : (int64_t)local);
	if (total < (int64_t)cell->references)
		cgc__verify_object_is(verify, object,
		                      "count %" PRId64 ", %u references to it: never fewer than there are (I3)",
		                      total, cell->references);
	/* No order needed: the heap is quiet. */
	bool was_lost = !is_merged && atomic_load_explicit(&cgc__heap.lost_entry, memory_order_relaxed);
	if (cgc__count_needs_entry(shared) && !was_lost)
		cgc__verify_object_is(verify, object,
		                      "shared count %" PRId64 "%s, and not QUEUED: nobody settles it",
		                      cgc__shared_count(shared), is_merged ? ", MERGED" : "");
}

/* Flags against entries. */
static void check_entries(struct cgc__verify *verify, const struct cgc__header *header,
                          const struct cgc__verify_cell *cell)
{
	const void *object = header + 1;
	uint64_t shared = cgc__verify_word(&header->shared);
	bool is_queued = (shared & CGC__QUEUED) != 0, is_dead = (shared & CGC__DEAD) != 0;
	bool is_suspect = (shared & CGC__SUSPECT) != 0, is_gone = (shared & CGC__GONE) != 0;
	unsigned entries = cell->pending + cell->is_overflow;
	unsigned expected = is_queued || (is_dead && !(is_gone && is_suspect));
	/* An immortal one keeps the flag after its entry is settled. */
	bool may_be_settled = is_queued && entries == 0 && cgc__verify_kind(header) == CGC__IMMORTAL;
	if (entries != expected && !may_be_settled)
		cgc__verify_object_is(
			verify, object,
			"%s, and %u pending entries: QUEUED or DEAD have one, all others none (I6)",
			is_dead     ? "DEAD"
			: is_queued ? "QUEUED"
				    : "not QUEUED",
			entries);
	if (cell->suspects != is_suspect)
		cgc__verify_object_is(verify, object, "%sSUSPECT, and %u entries: one goes with the flag (I6)",
		                      is_suspect ? "" : "not ", cell->suspects);
	if (is_suspect && (cgc__verify_flags(header) & CGC__UNTRACKED) != 0)
		cgc__verify_object_is(verify, object, "a SUSPECT of an acyclic type: never in a ring");
}

static void check_end(struct cgc__verify *verify, const struct cgc__header *header, uint32_t references)
{
	const void *object = header + 1;
	uint64_t shared = cgc__verify_word(&header->shared);
	bool is_dead = (shared & CGC__DEAD) != 0,
	     is_destroyed = (cgc__verify_flags(header) & CGC__DESTROYED) != 0;
	if ((shared & CGC__CONDEMNED) != 0)
		cgc__verify_object_is(verify, object, "CONDEMNED, and no window is open");
	if ((shared & CGC__HANDED) != 0 &&
	    ((shared & (CGC__MERGED | CGC__HAS_WEAK)) != CGC__MERGED || !cgc__count_is_untracked(header)))
		cgc__verify_object_is(
			verify, object,
			"HANDED, and not merged, with weak references, or of a type with references (I7)");
	if (is_dead && ((shared & (CGC__MERGED | CGC__QUEUED)) != CGC__MERGED ||
	                cgc__verify_kind(header) != CGC__UNBIASED))
		cgc__verify_object_is(verify, object,
		                      "DEAD, shared is %#" PRIx64 ": merged, not QUEUED and without bias",
		                      shared);
	if (is_dead && references > 0)
		cgc__verify_object_is(verify, object, "DEAD, and %u references to it: nothing reaches the dead",
		                      references);
	if (is_destroyed && !is_dead)
		cgc__verify_object_is(verify, object, "destroyed, and not DEAD");
	if ((shared & CGC__GONE) != 0 && !is_destroyed)
		cgc__verify_object_is(verify, object, "GONE, and not destroyed: only its memory waits (I6)");
}

static void check_published(struct cgc__verify *verify, const struct cgc__verify_slab *entry,
                            const struct cgc__header *header, const struct cgc__verify_cell *cell,
                            uint8_t generation)
{
	const void *object = header + 1;
	if (generation != 2)
		cgc__verify_object_is(verify, object,
		                      "published, and of generation %u: a window would not see it", generation);
	if (!entry->slab->is_shared)
		cgc__verify_object_is(verify, object,
		                      "published, and its slab is not shared: a window would not see it");
	check_counts(verify, entry, header, cell);
	check_entries(verify, header, cell);
	check_end(verify, header, cell->references);
}

static void check_free(struct cgc__verify *verify, const struct cgc__verify_slab *entry, uint32_t cell,
                       uint8_t generation)
{
	const struct cgc__header *header = cgc__verify_header(entry, cell);
	if (!entry->cells[cell].is_free)
		cgc__verify_object_is(verify, header + 1,
		                      "no object, and neither in free nor in remote: its cell is lost");
	else if (bias_of(header) != CGC__FREE)
		cgc__verify_object_is(verify, header + 1, "in a list of free cells, and its bias is %#x: FREE",
		                      bias_of(header));
	if (generation != 0)
		cgc__verify_object_is(verify, header + 1, "no object, and of generation %u: free is 0",
		                      generation);
}

void cgc__verify_headers(struct cgc__verify *verify, struct cgc__verify_slab *entry)
{
	for (uint32_t i = 0; i < entry->bumped; i++) {
		const struct cgc__header *header = cgc__verify_header(entry, i);
		const struct cgc__verify_cell *cell = &entry->cells[i];
		/* No order needed: the heap is quiet. */
		uint8_t generation = atomic_load_explicit(&entry->slab->generation[i], memory_order_relaxed);
		enum cgc__kind kind = cgc__verify_kind(header);
		if (!cgc__verify_is_object(cell, header)) {
			check_free(verify, entry, i, generation);
			continue;
		}
		check_type(verify, entry, header);
		if (kind == CGC__PRIVATE)
			check_private(verify, entry, header, cell, generation);
		else if (is_published(kind))
			check_published(verify, entry, header, cell, generation);
		else
			cgc__verify_object_is(
				verify, header + 1,
				"kind %d: dying ones, and other kinds, are nowhere in a quiet heap", (int)kind);
	}
}
