/* SPDX-License-Identifier: MIT
 *
 * Objects made and released.
 */
#include "cgc.h"

typedef struct cgc_type *kind;

/* The first 16 bytes of every payload are data. */
struct tracked {
	uint64_t data[2];
	cgc_ref(struct tracked) next;
	cgc_ref(struct tracked) other;
};

#define SIZES(with) with(16), with(32), with(48), with(64), with(128), with(256), with(512), with(1024)
#define LEAF(bytes)                                    \
	{                                              \
		.name = "leaf" #bytes, .size = (bytes) \
	}
#define TRACKED(bytes)                                                                        \
	{                                                                                     \
		.name = "tracked" #bytes, .size = (bytes),                                    \
		CGC_FIELDS(CGC_FIELD(struct tracked, next), CGC_FIELD(struct tracked, other)) \
	}
static struct cgc_type leaf_types[] = {SIZES(LEAF)};
static struct cgc_type tracked_types[] = {TRACKED(32),  TRACKED(48),  TRACKED(64),  TRACKED(128),
                                          TRACKED(256), TRACKED(512), TRACKED(1024)};

static kind type_of_size(kind types, size_t count, size_t bytes)
{
	for (size_t i = 0; i < count; i++)
		if (types[i].size == bytes)
			return &types[i];
	fail("no type of that size");
}

/* Parameters: order, bytes, and perhaps tracked: of a type with references, which can be part of a cycle. */
static kind kind_of(struct job *job)
{
	size_t bytes = job_number(job, 1);
	if (job->parameter_count > 2 && strcmp(job_parameter(job, 2), "tracked") == 0)
		return type_of_size(tracked_types, sizeof(tracked_types) / sizeof(tracked_types[0]), bytes);
	return type_of_size(leaf_types, sizeof(leaf_types) / sizeof(leaf_types[0]), bytes);
}

static inline void *make(kind what)
{
	return cgc_new(what);
}

static inline void drop(void *object)
{
	cgc_release(object);
}

static inline void hand_over(void *object)
{
	cgc_transfer(object);
}

#include "alloc.h"
