/* SPDX-License-Identifier: MIT
 *
 * Stalls: one thread makes ordinary calls and times each of them, while the detector goes through a live heap again
 * and again. Beside it the same loop without a call, for what the machine does to any thread.
 *
 *   stall [SECONDS [OBJECTS]]     of each of the two loops; objects alive. 10 and 1,000,000.
 *   stall --line SECONDS OBJECTS  the same in one line, for bench/compare/run.py: nanoseconds of the longest call,
 *                                 resident bytes, the loop without a call, and a histogram of both: how many took less
 *                                 than 2^10, 2^11, ... 2^25 ns, and not less than half of that
 *
 * A call of more than a millisecond is put down to one of three causes: the thread waited (it gave up the processor
 * in the call: a lock, a fault), it computed (it used more than a millisecond of processor time), or it was
 * preempted, by the scheduler, for other threads. The first two are the library's.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <cgc.h>

#define RING 10
#define TABLE 1000
#define LONG_NS 1000000u
#define BATCH 256

struct node {
	cgc_ref(struct node) next;
	cgc_ref(struct node) other;
	char payload[32];
};

struct table {
	size_t length; /* a flexible array cannot be alone */
	cgc_ref(struct node) items[];
};

static struct cgc_type node_type = {
	.name = "node",
	.size = sizeof(struct node),
	CGC_FIELDS(CGC_FIELD(struct node, next), CGC_FIELD(struct node, other)),
};

static struct cgc_type table_type = {
	.name = "table",
	.size = sizeof(struct table),
	.trailing = CGC_TRAILING_FIELD(struct table, items),
	.flags = CGC_TRAILING,
};

static struct table **tables;
static size_t table_count;
static atomic_bool is_over;

static uint64_t now(clockid_t clock)
{
	struct timespec time;
	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* ---- durations: 16 buckets to a power of two, right to 6 % ---- */

#define STEPS 16
#define BUCKETS (STEPS * 48)

struct durations {
	uint64_t buckets[BUCKETS];
	uint64_t count, max;
	uint64_t waited, computed, preempted; /* longer than LONG_NS */
	uint64_t longest_own;                 /* of the first two */
};

static unsigned bucket_of(uint64_t value)
{
	if (value < STEPS)
		return (unsigned)value;
	unsigned shift = 59 - (unsigned)__builtin_clzll(value);
	unsigned bucket = STEPS * shift + (unsigned)(value >> shift);
	return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static uint64_t bucket_end(unsigned bucket)
{
	if (bucket < 2 * STEPS)
		return bucket;
	unsigned shift = bucket / STEPS - 1;
	return ((uint64_t)(bucket % STEPS + STEPS + 1) << shift) - 1;
}

static uint64_t percentile(const struct durations *durations, double fraction)
{
	uint64_t wanted = (uint64_t)(fraction * (double)durations->count), seen = 0;
	for (unsigned i = 0; i < BUCKETS; i++) {
		seen += durations->buckets[i];
		if (seen > wanted)
			return bucket_end(i) < durations->max ? bucket_end(i) : durations->max;
	}
	return durations->max;
}

/* ---- why a call was long: looked at after BATCH calls, and after each long one ---- */

struct moment {
	uint64_t wall, processor;
	long waits;
};

static struct moment since;
static unsigned until_moment;

static struct moment moment(void)
{
	struct rusage usage;
	getrusage(RUSAGE_THREAD, &usage);
	return (struct moment){now(CLOCK_MONOTONIC), now(CLOCK_THREAD_CPUTIME_ID), usage.ru_nvcsw};
}

static void blame(struct durations *durations, uint64_t duration)
{
	struct moment here = moment();
	/* Without the processor since the moment before: at most this much of it in the call. */
	uint64_t wall = here.wall - since.wall, processor = here.processor - since.processor;
	uint64_t away = wall > processor ? wall - processor : 0;
	bool is_own = true;
	if (duration > away + LONG_NS) {
		durations->computed++;
	} else if (here.waits != since.waits) {
		durations->waited++;
	} else {
		durations->preempted++;
		is_own = false;
	}
	if (is_own && duration > durations->longest_own)
		durations->longest_own = duration;
}

static void record(struct durations *durations, uint64_t duration)
{
	durations->buckets[bucket_of(duration)]++;
	durations->count++;
	if (duration > durations->max)
		durations->max = duration;
	if (duration > LONG_NS)
		blame(durations, duration);
	if (duration > LONG_NS || --until_moment == 0) {
		since = moment();
		until_moment = BATCH;
	}
}

static void add(struct durations *sum, const struct durations *durations)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		sum->buckets[i] += durations->buckets[i];
	sum->count += durations->count;
	sum->waited += durations->waited;
	sum->computed += durations->computed;
	sum->preempted += durations->preempted;
	if (durations->max > sum->max)
		sum->max = durations->max;
	if (durations->longest_own > sum->longest_own)
		sum->longest_own = durations->longest_own;
}

#define TIMED(durations, ...)                                      \
	do {                                                       \
		uint64_t began = now(CLOCK_MONOTONIC);             \
		__VA_ARGS__;                                       \
		record((durations), now(CLOCK_MONOTONIC) - began); \
	} while (0)

static void print_row(const char *name, const struct durations *durations)
{
	static const double fractions[] = {0.5, 0.99, 0.999, 0.9999};
	printf("%-26s %11llu", name, (unsigned long long)durations->count);
	for (size_t i = 0; i < sizeof(fractions) / sizeof(fractions[0]); i++)
		printf(" %8.2f", (double)percentile(durations, fractions[i]) / 1e3);
	printf(" %9.1f %7llu %9llu %10llu\n", (double)durations->max / 1e3,
	       (unsigned long long)durations->waited, (unsigned long long)durations->computed,
	       (unsigned long long)durations->preempted);
}

/* ---- the heap ---- */

enum { NEW, STORE_PRIVATE, LOAD, STORE_PUBLISHED, BORROW, REPLACE, RELEASE, CALLS };

static const char *const call_names[CALLS] = {
	"new",     "store, private", "load", "store, publishes", "borrow in a section", "store, drops a ring",
	"release",
};

static struct node *ring(struct durations calls[CALLS])
{
	struct node *first, *last, *node;
	TIMED(&calls[NEW], first = cgc_new(&node_type));
	last = first;
	for (int i = 1; i < RING; i++) {
		TIMED(&calls[NEW], node = cgc_new(&node_type));
		TIMED(&calls[STORE_PRIVATE], cgc_store_consume(last, &last->next, node));
		last = node;
	}
	TIMED(&calls[STORE_PRIVATE], cgc_store(last, &last->next, first));
	return first;
}

static void build(size_t objects)
{
	static struct durations ignored[CALLS];
	since = moment();
	until_moment = BATCH;
	table_count = (objects + RING * TABLE - 1) / (RING * TABLE);
	tables = calloc(table_count, sizeof(struct table *));
	if (tables == NULL) {
		fprintf(stderr, "stall: no memory for %zu tables\n", table_count);
		exit(1);
	}
	for (size_t i = 0; i < table_count; i++) {
		tables[i] = cgc_new_n(&table_type, TABLE);
		tables[i]->length = TABLE;
		cgc_publish(tables[i]);
		for (size_t j = 0; j < TABLE; j++)
			cgc_store_consume(tables[i], &tables[i]->items[j], ring(ignored));
	}
}

static void *look_again_and_again(void *looks)
{
	/* No order needed: a request. */
	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		cgc_collect(2);
		++*(unsigned long *)looks;
	}
	return NULL;
}

/* ---- the two loops ---- */

static void spin(struct durations *spins, uint64_t end)
{
	since = moment();
	until_moment = BATCH;
	while (now(CLOCK_MONOTONIC) < end)
		for (int i = 0; i < BATCH; i++)
			TIMED(spins, __asm__ volatile(""));
}

/* One round: an object is hung into a published ring, in place of the one that hung there; now and then a whole
 * ring, which becomes garbage, is replaced by a new one. The heap stays as large as it is. */
static void call(struct durations calls[CALLS], uint64_t end)
{
	uint64_t random = 88172645463325252u;
	since = moment();
	until_moment = BATCH;
	while (now(CLOCK_MONOTONIC) < end) {
		for (int i = 0; i < BATCH; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			struct table *table = tables[(random >> 32) % table_count];
			size_t item = (random & 0xffffffff) % table->length;
			struct node *fresh, *node;
			char first;
			TIMED(&calls[NEW], fresh = cgc_new(&node_type));
			TIMED(&calls[LOAD], node = cgc_load(table, &table->items[item]));
			TIMED(&calls[STORE_PRIVATE], cgc_store(fresh, &fresh->next, node));
			TIMED(&calls[STORE_PUBLISHED], cgc_store(node, &node->other, fresh));
			TIMED(&calls[BORROW], {
				cgc_read_lock();
				first = cgc_borrow(&node->next)->payload[0];
				__asm__ volatile("" : "+r"(first));
				cgc_read_unlock();
			});
			TIMED(&calls[RELEASE], cgc_release(fresh));
			TIMED(&calls[RELEASE], cgc_release(node));
			if (i % 16 == 0) {
				struct node *other = ring(calls);
				TIMED(&calls[REPLACE], cgc_store_consume(table, &table->items[item], other));
			}
		}
	}
}

/* ---- what is printed ---- */

#define LEAST_POWER 10
#define MOST_POWER 25

static void print_histogram(const char *name, const struct durations *durations)
{
	uint64_t powers[MOST_POWER + 1] = {0};
	for (unsigned i = 0; i < BUCKETS; i++) {
		unsigned power = LEAST_POWER;
		while (power < MOST_POWER && bucket_end(i) >> power != 0)
			power++;
		powers[power] += durations->buckets[i];
	}
	for (unsigned power = LEAST_POWER; power <= MOST_POWER; power++)
		printf(" %s%u=%llu", name, power, (unsigned long long)powers[power]);
}

static uint64_t over_a_millisecond(const struct durations *durations)
{
	return durations->waited + durations->computed + durations->preempted;
}

static void print_line(const struct durations *spins, const struct durations *all)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	printf("%llu %ld longest_own=%llu p9999=%llu spin=%llu spin_p9999=%llu over_1ms=%llu "
	       "spin_over_1ms=%llu",
	       (unsigned long long)all->max, usage.ru_maxrss * 1024, (unsigned long long)all->longest_own,
	       (unsigned long long)percentile(all, 0.9999), (unsigned long long)spins->max,
	       (unsigned long long)percentile(spins, 0.9999), (unsigned long long)over_a_millisecond(all),
	       (unsigned long long)over_a_millisecond(spins));
	print_histogram("call", all);
	print_histogram("spin", spins);
	printf("\n");
}

static unsigned long number(const char *text, const char *what)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);
	if (*text == '\0' || *end != '\0' || value == 0) {
		fprintf(stderr, "stall: %s: \"%s\" is not a number above zero\n", what, text);
		exit(1);
	}
	return value;
}

int main(int argc, char **argv)
{
	bool is_line = argc > 1 && strcmp(argv[1], "--line") == 0;
	argc -= is_line;
	argv += is_line;
	uint64_t seconds = argc > 1 ? number(argv[1], "seconds") : 10;
	size_t objects = argc > 2 ? number(argv[2], "objects") : 1000000;
	static struct durations spins, calls[CALLS], all;
	unsigned long looks = 0;
	pthread_t looker;
	struct cgc_stats before, after;

	build(objects);
	int error = pthread_create(&looker, NULL, look_again_and_again, &looks);
	if (error != 0) {
		fprintf(stderr, "stall: cannot start a thread: %s\n", strerror(error));
		return 1;
	}
	spin(&spins, now(CLOCK_MONOTONIC) + seconds * 1000000000u);
	cgc_reset_longest_stall();
	cgc_get_stats(&before);
	call(calls, now(CLOCK_MONOTONIC) + seconds * 1000000000u);
	cgc_get_stats(&after);
	/* No order needed: a request. */
	atomic_store_explicit(&is_over, true, memory_order_relaxed);
	pthread_join(looker, NULL);

	for (int i = 0; i < CALLS; i++)
		add(&all, &calls[i]);
	if (is_line) {
		print_line(&spins, &all);
		return 0;
	}
	printf("Microseconds of each call, with what two looks at the clock take. %zu objects live, the "
	       "detector "
	       "always at work.\n\n",
	       objects);
	printf("%-26s %11s %8s %8s %8s %8s %9s   over 1 ms:\n", "", "", "", "", "", "", "");
	printf("%-26s %11s %8s %8s %8s %8s %9s %7s %9s %10s\n", "", "calls", "p50", "p99", "p99.9", "p99.99",
	       "max", "waited", "computed", "preempted");
	print_row("no call", &spins);
	for (int i = 0; i < CALLS; i++)
		print_row(call_names[i], &calls[i]);
	print_row("all calls", &all);
	uint64_t own = all.waited + all.computed;
	printf("\nLonger than 1 ms by the library: %llu of %llu calls", (unsigned long long)own,
	       (unsigned long long)all.count);
	if (all.longest_own > 0)
		printf(", the longest %.3f ms", (double)all.longest_own / 1e6);
	printf(".\nLongest slow path by the library's own clock (preemption included): %.3f ms.\n",
	       (double)after.longest_stall_nanoseconds / 1e6);
	unsigned long long windows = after.windows - before.windows;
	unsigned long long aborted = after.windows_aborted - before.windows_aborted;
	unsigned long long freed = after.objects_freed_by_detector - before.objects_freed_by_detector;
	printf("Detector meanwhile: %llu looks (%llu given up), %llu objects freed as cyclic garbage; %llu "
	       "waiting at "
	       "the end.\n",
	       windows, aborted, freed, (unsigned long long)after.objects_waiting);
	printf("Requests for a whole look answered, both loops: %lu.\n", looks);
	return 0;
}
