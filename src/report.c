/* SPDX-License-Identifier: MIT
 *
 * What the library says: options in, numbers and complaints out.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "heap.h"
#include "type.h"

static _Atomic(cgc_oom_handler *) oom_handler;

/* Complaints: `cgc: <function>: <what>: <why it matters>`. */
_Noreturn void cgc__report_misuse(const char *function, const void *object, const char *what)
{
	if (cgc__is_object(object)) {
		const struct cgc__header *header = cgc__header_of(object);
		const struct cgc_type *type = cgc__type_of_id(header->type);
		fprintf(stderr, "cgc: %s: object %p of type %s: %s\n", function, object,
		        type != NULL ? type->name : "unknown", what);
	} else {
		fprintf(stderr, "cgc: %s: %s\n", function, what);
	}
	abort();
}

_Noreturn void cgc__report_fatal(const char *function, const char *what, int error)
{
	fprintf(stderr, "cgc: %s: %s%s%s\n", function, what, error != 0 ? ": " : "",
	        error != 0 ? strerror(error) : "");
	abort();
}

void cgc_set_oom_handler(cgc_oom_handler *handler)
{
	/* OOM.w: what the handler relies on. Pairs: OOM.r below. */
	atomic_store_explicit(&oom_handler, handler, memory_order_release);
}

bool cgc__report_out_of_memory(size_t bytes)
{
	/* OOM.r. Pairs: OOM.w above. */
	cgc_oom_handler *handler = atomic_load_explicit(&oom_handler, memory_order_acquire);
	return handler != NULL && handler(bytes);
}

/* ---- options ---------------------------------------------------------------------------------------- */

enum option {
	DEBUG,
	POISON,
	FAIL,
	FAIL_COUNT,
	THRESHOLD0,
	THRESHOLD1,
	THRESHOLD2,
	ENABLE,
	PENDING,
	SUSPECTS,
	LIMIT,
	COLLECT,
	EAGER,
	CHUNK,
	YIELD,
	OPTIONS
};

static const struct {
	const char *name;
	uint64_t lowest, highest;
} options[OPTIONS] = {
	[DEBUG] = {"debug", 0, 1},
	[POISON] = {"poison", 0, 1},
	[FAIL] = {"fail", 0, UINT64_MAX},
	[FAIL_COUNT] = {"fail_count", 1, UINT64_MAX},
	[THRESHOLD0] = {"threshold0", 0, UINT32_MAX},
	[THRESHOLD1] = {"threshold1", 0, UINT32_MAX},
	[THRESHOLD2] = {"threshold2", 0, UINT32_MAX},
	[ENABLE] = {"enable", 0, 1},
	[PENDING] = {"pending", 1, 1 << 20},
	[SUSPECTS] = {"suspects", 1, 1 << 30},
	[LIMIT] = {"limit", 0, UINT64_MAX},
	[COLLECT] = {"collect", 0, 2},
	[EAGER] = {"eager", 0, 1},
	[CHUNK] = {"chunk", 1, CGC__CHUNK_ENTRIES},
	[YIELD] = {"yield", 0, UINT32_MAX},
};

static void set_option(enum option option, uint64_t value)
{
	switch (option) {
	case DEBUG:
		cgc__heap.debug = value != 0;
		cgc__heap.poison = value != 0;
		break;
	case POISON:
		cgc__heap.poison = value != 0;
		break;
	case FAIL:
		cgc__memory_fail_at(value);
		break;
	case FAIL_COUNT:
		cgc__memory_fail_count(value);
		break;
	case THRESHOLD0:
	case THRESHOLD1:
	case THRESHOLD2:
		/* No order needed: a setting. */
		atomic_store_explicit(&cgc__heap.threshold[option - THRESHOLD0], (unsigned)value,
		                      memory_order_relaxed);
		break;
	case ENABLE:
		/* No order needed: a setting. */
		atomic_store_explicit(&cgc__heap.is_enabled, value != 0, memory_order_relaxed);
		break;
	case PENDING:
		cgc__heap.pending_batch = (size_t)value;
		break;
	case SUSPECTS:
		cgc__heap.suspect_batch = (size_t)value;
		break;
	case LIMIT:
		cgc__heap.limit = value;
		break;
	case COLLECT:
		cgc__heap.collect_always = (unsigned)value;
		break;
	case EAGER:
		cgc__heap.eager = value != 0;
		break;
	case CHUNK:
		cgc__heap.chunk_entries = (uint32_t)value;
		break;
	case YIELD:
		cgc__heap.yield = (uint32_t)value;
		break;
	case OPTIONS:
		break;
	}
}

/* 0, or EINVAL with a message. */
int cgc__report_read_options(const char *text)
{
	while (text != NULL && *text != '\0') {
		size_t length = strcspn(text, ",");
		size_t name_length = strcspn(text, "=,");
		enum option option = 0;
		while (option < OPTIONS && (strlen(options[option].name) != name_length ||
		                            strncmp(options[option].name, text, name_length) != 0))
			option++;
		char *end = NULL;
		errno = 0;
		uint64_t value = name_length < length ? strtoull(text + name_length + 1, &end, 10) : 0;
		if (option == OPTIONS || end == NULL || end != text + length || end == text + name_length + 1 ||
		    errno != 0 || value < options[option].lowest || value > options[option].highest) {
			fprintf(stderr, "cgc: cgc_start: option \"%.*s\": %s\n", (int)length, text,
			        option == OPTIONS ? "unknown name"
			                          : "value missing, not a number or out of range");
			return EINVAL;
		}
		set_option(option, value);
		text += length;
		text += *text == ',';
	}
	cgc__report_settle_limit();
	return 0;
}

/* ---- settings --------------------------------------------------------------------------------------- */

/* What cgc_new compares with. Under a lock, so that the last of several threads that change settings has it right. */
void cgc__report_settle_limit(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&lock);
	/* No order needed, here and below: settings. */
	unsigned limit = atomic_load_explicit(&cgc__heap.threshold[0], memory_order_relaxed);
	/* No order needed: a setting. */
	if (limit == 0 || !atomic_load_explicit(&cgc__heap.is_enabled, memory_order_relaxed))
		limit = UINT_MAX;
	else if (cgc__heap.collect_always != 0)
		limit = 0;
	/* No order needed: a setting. */
	atomic_store_explicit(&cgc__heap.young_limit, limit, memory_order_relaxed);
	pthread_mutex_unlock(&lock);
}

void cgc_set_threshold(const unsigned threshold[3])
{
	for (int i = 0; i < 3; i++)
		/* No order needed: a setting. */
		atomic_store_explicit(&cgc__heap.threshold[i], threshold[i], memory_order_relaxed);
	cgc__report_settle_limit();
}

void cgc_get_threshold(unsigned threshold[3])
{
	for (int i = 0; i < 3; i++)
		/* No order needed: a setting. */
		threshold[i] = atomic_load_explicit(&cgc__heap.threshold[i], memory_order_relaxed);
}

bool cgc_enable(void)
{
	/* No order needed: a setting. */
	bool was_enabled = atomic_exchange_explicit(&cgc__heap.is_enabled, true, memory_order_relaxed);
	cgc__report_settle_limit();
	return was_enabled;
}

bool cgc_disable(void)
{
	/* No order needed: a setting. */
	bool was_enabled = atomic_exchange_explicit(&cgc__heap.is_enabled, false, memory_order_relaxed);
	cgc__report_settle_limit();
	return was_enabled;
}

bool cgc_is_enabled(void)
{
	/* No order needed: a setting. */
	return atomic_load_explicit(&cgc__heap.is_enabled, memory_order_relaxed);
}

void cgc_get_count(size_t count[3])
{
	struct cgc__context *self = cgc__thread_self();
	count[0] = self->young_count[0] > 0 ? (size_t)self->young_count[0] : 0;
	count[1] = (size_t)self->young_count[1];
	/* No order needed: a statistic. */
	count[2] = (size_t)atomic_load_explicit(&cgc__heap.elder_collections, memory_order_relaxed);
}

/* ---- numbers ---------------------------------------------------------------------------------------- */

uint64_t cgc__report_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A slow path that began then, with that much time in callbacks before, ends now. */
void cgc__report_stall(struct cgc__context *self, uint64_t began, uint64_t callbacks)
{
	uint64_t stall = cgc__report_now() - began - (self->callback_ns - callbacks);
	/* No order needed: a statistic that only its owner raises. */
	if (!cgc__collector_is_self() &&
	    stall > atomic_load_explicit(&self->longest_stall, memory_order_relaxed))
		/* No order needed: as above. */
		atomic_store_explicit(&self->longest_stall, stall, memory_order_relaxed);
}

void cgc_reset_longest_stall(void)
{
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	struct cgc__context *context = atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
	for (; context != NULL; context = context->next)
		/* No order needed: a statistic. */
		atomic_store_explicit(&context->longest_stall, 0, memory_order_relaxed);
}

uint64_t cgc__report_died_by_count(void)
{
	uint64_t sum = 0;
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	struct cgc__context *context = atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
	for (; context != NULL; context = context->next) {
		/* No order needed: a statistic, and a number that paces. */
		sum += atomic_load_explicit(&context->counter[CGC__DIED_BY_COUNT], memory_order_relaxed);
		for (int i = 0; i < CGC__CLASS_COUNT; i++)
			/* No order needed: as above. */
			sum += atomic_load_explicit(&context->died[i], memory_order_relaxed);
	}
	return sum;
}

void cgc_get_stats(struct cgc_stats *stats)
{
	uint64_t sum[CGC__COUNTERS] = {0};
	memset(stats, 0, sizeof(*stats));
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	struct cgc__context *context = atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
	for (; context != NULL; context = context->next) {
		for (int i = 0; i < CGC__COUNTERS; i++)
			/* No order needed: statistics; exact once the threads are quiet. */
			sum[i] += atomic_load_explicit(&context->counter[i], memory_order_relaxed);
		/* No order needed: as above. */
		uint64_t stall = atomic_load_explicit(&context->longest_stall, memory_order_relaxed);
		if (stall > stats->longest_stall_nanoseconds)
			stats->longest_stall_nanoseconds = stall;
		/* No order needed: as above. */
		stats->threads += atomic_load_explicit(&context->is_attached, memory_order_relaxed);
		stats->suspects += cgc__queue_length(&context->suspects);
		cgc__slab_sum(context, &stats->objects_allocated, &stats->objects_live, &stats->bytes_live);
	}
	for (int i = 0; i < 2; i++) {
		const uint64_t *numbers = &sum[CGC__YOUNG_COLLECTIONS + 5 * i];
		stats->generation[i] = (struct cgc_generation_stats){numbers[0], numbers[1], numbers[2],
		                                                     numbers[3], numbers[4]};
	}
	stats->objects_freed_by_count = cgc__report_died_by_count();
	stats->objects_freed_locally = sum[CGC__DIED_LOCALLY];
	stats->objects_freed_by_detector = sum[CGC__DIED_BY_DETECTOR];
	stats->objects_published = sum[CGC__PUBLISHED];
	stats->objects_waiting = sum[CGC__WAIT_BEGUN] - sum[CGC__WAIT_ENDED];
	stats->bytes_waiting = sum[CGC__WAIT_BEGUN_BYTES] - sum[CGC__WAIT_ENDED_BYTES];
	stats->bytes_reserved = cgc__memory_reserved();
	cgc__collector_stats(stats);
}
