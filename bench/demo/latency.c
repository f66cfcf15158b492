/* SPDX-License-Identifier: MIT
 *
 * Durations below 32 ns have a bucket each; above, the five bits after the highest one choose it.
 */
#include "latency.h"

#include <time.h>

uint64_t latency_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static unsigned bucket_of(uint64_t value)
{
	if (value < 32)
		return (unsigned)value;
	unsigned exponent = 63 - (unsigned)__builtin_clzll(value);
	unsigned bucket = (exponent - 4) * 32 + (unsigned)(value >> (exponent - 5) & 31);
	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/* The greatest duration in it. */
static uint64_t bucket_end(unsigned bucket)
{
	if (bucket < 32)
		return bucket;
	unsigned exponent = bucket / 32 + 4;
	return ((uint64_t)(bucket % 32 + 33) << (exponent - 5)) - 1;
}

void latency_record(struct latency *latency, uint64_t nanoseconds)
{
	latency->buckets[bucket_of(nanoseconds)]++;
	latency->count++;
	if (nanoseconds > latency->max)
		latency->max = nanoseconds;
}

void latency_add(struct latency *sum, const struct latency *latency)
{
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		sum->buckets[i] += latency->buckets[i];
	sum->count += latency->count;
	if (latency->max > sum->max)
		sum->max = latency->max;
}

uint64_t latency_percentile(const struct latency *latency, double fraction)
{
	uint64_t wanted = (uint64_t)(fraction * (double)latency->count + 0.5), seen = 0;
	if (wanted == 0)
		wanted = 1;
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		seen += latency->buckets[i];
		if (seen >= wanted)
			return bucket_end(i) < latency->max ? bucket_end(i) : latency->max;
	}
	return latency->max;
}
