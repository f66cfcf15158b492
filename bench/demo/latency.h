/* SPDX-License-Identifier: MIT
 *
 * A histogram of durations in nanoseconds: 32 buckets to each power of two, so a percentile is right to 3 %. By
 * hand, because HdrHistogram for C is not in Debian 12.
 */
#ifndef DEMO_LATENCY_H
#define DEMO_LATENCY_H

#include <stdint.h>

#define LATENCY_BUCKETS 1184 /* up to 2^41 ns, 36 minutes */

struct latency {
	uint64_t buckets[LATENCY_BUCKETS];
	uint64_t count;
	uint64_t max;
};

/* CLOCK_MONOTONIC, in nanoseconds. */
uint64_t latency_now(void);

/* One thread only. */
void latency_record(struct latency *latency, uint64_t nanoseconds);

void latency_add(struct latency *sum, const struct latency *latency);

/* 0.999: what 99.9 % of the durations do not exceed. 0 of none. */
uint64_t latency_percentile(const struct latency *latency, double fraction);

#endif
