/* SPDX-License-Identifier: MIT
 *
 * What every program of `make compare` shares: PEER WORKLOAD THREADS [PARAMETER...] does one repetition of a workload
 * in a fresh process and prints nanoseconds per operation (of one thread) and the peak resident memory in bytes, then
 * further numbers as name=value. A peer names its workloads; threads, warm-up, clock and output are here.
 */
#ifndef COMPARE_HARNESS_H
#define COMPARE_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The compiler may not know which object this is, so it cannot merge what comes before with what comes after. */
#define KEEP(pointer) __asm__ volatile("" : "+r"(pointer))
/* Nor what is in it: the memory is written, and the allocation is not left out. */
#define ESCAPE(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")

/* The same for memory whose pointer the reader, and the analyzer, may know. */
#define USE(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

/* Operations between two looks at the clock, where a workload has nothing better. */
#define LOOP 1024
/* Objects that counting goes around; with one each operation would wait for the store of the one before. */
#define ROTATION 64
/* Payload where a workload names none. */
#define PAYLOAD 48

#ifdef __cplusplus
extern "C" {
#endif

/* One thread's share of a repetition. */
struct job {
	int thread, threads;
	int parameter_count;
	char **parameters;
	void *state; /* the workload's own */
	uint64_t random;
	uint64_t operations, elapsed_ns; /* the result */
	uint64_t paused_ns, paused_at;
};

struct workload {
	const char *name;
	bool is_once;                       /* one batch, no warm-up */
	void (*prepare)(struct job *job);   /* not timed; the first thread's runs before all others */
	uint64_t (*batch)(struct job *job); /* repeated until time is up; returns operations done */
	void (*finish)(struct job *job);    /* timed: what the batches have put off; may be NULL */
};

struct peer {
	const char *name;
	void (*begin)(void);        /* each on its thread, or NULL */
	void (*thread_begin)(void); /* not for the first thread */
	void (*thread_end)(void);
	const struct workload *workloads; /* ends in a NULL name */
};
extern const struct peer peer;

/* Loops that several peers have: alloc.h, gcbench.h. */
void alloc_prepare(struct job *job);
uint64_t alloc_batch(struct job *job);
void hand_over_prepare(struct job *job);
uint64_t hand_over_batch(struct job *job);
void gcbench_prepare(struct job *job);
uint64_t gcbench_batch(struct job *job);

/* What a batch does between these two is not measured. */
void job_pause(struct job *job);
void job_resume(struct job *job);
const char *job_parameter(const struct job *job, int index);
uint64_t job_number(const struct job *job, int index);

uint64_t now_ns(void);
uint64_t resident_bytes(void);
void report(const char *name, double value);
void fail(const char *what) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif

/* Marsaglia's xorshift. */
static inline uint64_t job_random(struct job *job)
{
	uint64_t x = job->random;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return job->random = x;
}

/* What every payload is initialized with. */
static inline void touch(void *payload, uint64_t value)
{
	uint64_t *words = (uint64_t *)payload;
	words[0] = value;
	words[1] = value;
}

static inline void *memory(size_t bytes)
{
	void *block = calloc(1, bytes);
	if (block == NULL)
		fail("no memory");
	return block;
}

#endif
