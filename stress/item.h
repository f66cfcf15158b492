/* SPDX-License-Identifier: MIT
 *
 * The objects of the stress programs: four references, a number, and a checksum over the number. Freed memory
 * is filled (poison=1), so an item that was freed too early fails its checksum; one whose memory has been used
 * again shows another number than the one its holder remembers.
 */
#ifndef STRESS_ITEM_H
#define STRESS_ITEM_H

#include "stress.h"

#define ITEM_SLOTS 4u
#define ITEM_SALT UINT64_C(0x6c69626367632121)

struct item {
	cgc_ref(struct item) slot[ITEM_SLOTS];
	uint64_t number;
	uint64_t checksum;
};

STRESS_UNUSED static struct cgc_type item_type = {
	.name = "item",
	.size = sizeof(struct item),
	CGC_FIELDS(CGC_FIELD(struct item, slot[0]), CGC_FIELD(struct item, slot[1]),
                   CGC_FIELD(struct item, slot[2]), CGC_FIELD(struct item, slot[3])),
};

STRESS_UNUSED static void item_fail(const struct item *item, uint64_t number, const char *file, int line)
{
	bool is_filled = number == UINT64_C(0x5a5a5a5a5a5a5a5a);
	stress_violated(file, line, "item %p: %s: number %#" PRIx64 ", checksum %#" PRIx64, (const void *)item,
	                is_filled ? "freed while reachable" : "damaged", number, item->checksum);
}

/* Verifies the checksum and returns the item's number. */
STRESS_UNUSED static inline uint64_t item_check_at(struct worker *worker, const struct item *item,
                                                   const char *file, int line)
{
	uint64_t number = item->number;
	if (__builtin_expect(item->checksum != mix(number ^ ITEM_SALT), 0))
		item_fail(item, number, file, line);
	worker->checked++;
	return number;
}

#define CHECK_ITEM(worker, item) item_check_at((worker), (item), __FILE__, __LINE__)
#define CHECK_NUMBER(worker, item, expected)                                                  \
	do {                                                                                  \
		uint64_t number_ = CHECK_ITEM(worker, item);                                  \
		if (number_ != (expected))                                                    \
			VIOLATED("item %p: freed and used again while held: number %#" PRIx64 \
			         ", was %#" PRIx64,                                           \
			         (const void *)(item), number_, (uint64_t)(expected));        \
	} while (0)

/* A private item, owned. */
STRESS_UNUSED static struct item *item_new(struct worker *worker)
{
	struct item *item = cgc_new(&item_type);
	item->number = next_random(worker);
	item->checksum = mix(item->number ^ ITEM_SALT);
	stress_forget(item);
	return item;
}

/* A ring of `length` items through slot 0; the first one, owned. */
STRESS_UNUSED static struct item *item_new_ring(struct worker *worker, unsigned length)
{
	struct item *first = item_new(worker), *last = first;
	for (unsigned i = 1; i < length; i++) {
		struct item *item = item_new(worker);
		cgc_store_consume(last, &last->slot[0], item);
		last = item; /* borrowed: the ring holds it */
	}
	cgc_store(last, &last->slot[0], first);
	return first;
}

/* A tree of 2^depth - 1 items through slots 1 and 2, owned. */
STRESS_UNUSED static struct item *item_new_tree(struct worker *worker, unsigned depth)
{
	struct item *item = item_new(worker);
	for (unsigned i = 1; depth > 1 && i <= 2; i++)
		cgc_store_consume(item, &item->slot[i], item_new_tree(worker, depth - 1));
	return item;
}

#endif
