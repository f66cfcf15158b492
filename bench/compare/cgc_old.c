/* SPDX-License-Identifier: MIT
 *
 * The detector beside old objects that live: how long some garbage rings take, and how much trash there is while a
 * program makes self-cycles for ever.
 */
#include <time.h>

#include "cgc.h"

#define LIVE_RING 1000
#define RINGS 1000
#define RING_LENGTH 10
#define ROUNDS 5
#define WARM_ROUNDS 20

static cgc_ref(struct node) * live;

/* So many old objects, in rings that roots hold. */
static void make_live(size_t count)
{
	size_t rings = count / LIVE_RING;
	live = memory((rings + 1) * sizeof(*live));
	for (size_t i = 0; i < rings; i++) {
		struct node *ring = ring_of(LIVE_RING);
		cgc_store_consume(CGC_ROOT, &live[i], ring);
	}
}

static struct cgc_generation_stats old_stats(void)
{
	struct cgc_stats stats;
	cgc_get_stats(&stats);
	return stats.generation[2];
}

/* Makes garbage rings and waits until the background thread has found them all. */
static void round_of_rings(void)
{
	static struct node *rings[RINGS];
	const struct timespec moment = {.tv_nsec = 50000};
	uint64_t before = old_stats().collected;
	for (size_t i = 0; i < RINGS; i++) {
		rings[i] = ring_of(RING_LENGTH);
		cgc_publish(rings[i]);
	}
	for (size_t i = 0; i < RINGS; i++)
		cgc_release(rings[i]);
	while (old_stats().collected - before < RINGS * RING_LENGTH)
		nanosleep(&moment, NULL);
}

/* Parameter: live objects. A heap that has grown is looked at as a whole, and the detector rests after that, which is
 * not the question: rounds go on until one needed no such look. */
void beside_prepare(struct job *job)
{
	make_live(job_number(job, 0));
	for (int i = 0; i < WARM_ROUNDS; i++) {
		uint64_t before = old_stats().candidates;
		round_of_rings();
		if (old_stats().candidates - before <= 2 * RINGS * RING_LENGTH)
			break;
	}
}

/* Operations are rounds; detector_ns is what the background thread worked for each, looked_at the objects. */
uint64_t beside_batch(struct job *job)
{
	(void)job;
	struct cgc_generation_stats before = old_stats();
	for (int i = 0; i < ROUNDS; i++)
		round_of_rings();
	struct cgc_generation_stats after = old_stats();
	report("detector_ns", (double)(after.nanoseconds - before.nanoseconds) / ROUNDS);
	report("looked_at", (double)(after.candidates - before.candidates) / ROUNDS);
	return ROUNDS;
}

/* Parameters: cycles, live objects. */
uint64_t self_cycles_batch(struct job *job)
{
	uint64_t cycles = job_number(job, 0), objects = job_number(job, 1), most = 0, half = 0;
	job_pause(job);
	make_live(objects);
	job_resume(job);
	for (uint64_t i = 0; i < cycles; i++) {
		struct node *node = cgc_new(&node_type);
		cgc_store(node, &node->next, node);
		cgc_publish(node);
		cgc_release(node);
		if (i == cycles / 2)
			half = resident_bytes();
		if (i % 4096 != 0)
			continue;
		struct cgc_stats stats;
		cgc_get_stats(&stats);
		if (stats.objects_live > objects + most)
			most = stats.objects_live - objects;
	}
	report("rss_half", (double)half);
	report("rss_end", (double)resident_bytes());
	report("live", (double)objects);
	report("trash", (double)most);
	return cycles;
}
