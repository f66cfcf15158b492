/* SPDX-License-Identifier: MIT
 *
 * An array of shared slots, each on a cache line of its own: some operations store a fresh object into a random slot,
 * the others read what is in one. After CDRC's bench_ref_count (Anderson, Blelloch, Wei, PLDI 2022).
 */
#include "cgc.h"

#define LINE 64

struct slot {
	_Alignas(LINE) cgc_ref(struct leaf) object;
};

struct slots {
	size_t count;
	uint64_t stores; /* out of 1024 */
	bool borrows;
};

static struct slot *slots;

static void put(struct slot *slot, uint64_t value)
{
	struct leaf *leaf = cgc_new(&leaf_type);
	touch(leaf->payload, value);
	cgc_store_consume(CGC_ROOT, &slot->object, leaf);
}

/* Parameters: slots, percentage of stores, load or borrow. */
void slots_prepare(struct job *job)
{
	struct slots *mine = memory(sizeof(*mine));
	mine->count = job_number(job, 0);
	mine->stores = job_number(job, 1) * 1024 / 100;
	mine->borrows = strcmp(job_parameter(job, 2), "borrow") == 0;
	job->state = mine;
	if (job->thread != 0)
		return;
	slots = aligned_alloc(LINE, mine->count * sizeof(struct slot));
	if (slots == NULL)
		fail("no memory");
	memset(slots, 0, mine->count * sizeof(struct slot));
	for (size_t i = 0; i < mine->count; i++)
		put(&slots[i], i);
}

static uint64_t read_counted(struct slot *slot)
{
	struct leaf *leaf = cgc_load(CGC_ROOT, &slot->object);
	uint64_t value = (uint64_t)leaf->payload[0];
	cgc_release(leaf);
	return value;
}

static uint64_t read_borrowed(struct slot *slot)
{
	cgc_read_lock();
	struct leaf *leaf = cgc_borrow(&slot->object);
	uint64_t value = (uint64_t)leaf->payload[0];
	cgc_read_unlock();
	return value;
}

uint64_t slots_batch(struct job *job)
{
	const struct slots *mine = job->state;
	uint64_t sum = 0;
	for (size_t i = 0; i < LOOP; i++) {
		uint64_t random = job_random(job);
		struct slot *slot = &slots[(random >> 32) * mine->count >> 32];
		if ((random & 1023) < mine->stores)
			put(slot, i);
		else if (mine->borrows)
			sum += read_borrowed(slot);
		else
			sum += read_counted(slot);
	}
	KEEP(sum);
	return LOOP;
}
