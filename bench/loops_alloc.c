/* SPDX-License-Identifier: MIT
 *
 * Objects made and given back at once, one at a time or in batches; beside them the program's malloc, which is
 * jemalloc. calloc stands for the zeroed memory that cgc_new gives.
 */
#include <stdio.h>
#include <stdlib.h>

#include "node.h"

static struct cgc_type cyclic_types[] = {
#define TYPE(bytes)                                                                          \
	{                                                                                    \
		.name = "node" #bytes, .size = (bytes),                                      \
		CGC_FIELDS({offsetof(struct node, next), "next"}, {sizeof(void *), "other"}) \
	}
	TYPE(16), TYPE(32), TYPE(48), TYPE(64), TYPE(128), TYPE(256), TYPE(512), TYPE(1024),
#undef TYPE
};

static struct cgc_type leaf_types[] = {
#define TYPE(bytes)                                    \
	{                                              \
		.name = "leaf" #bytes, .size = (bytes) \
	}
	TYPE(16), TYPE(32), TYPE(48), TYPE(64), TYPE(128), TYPE(256), TYPE(512), TYPE(1024),
#undef TYPE
};

static struct cgc_type *type_of_size(size_t size, bool is_cyclic)
{
	for (size_t i = 0; i < sizeof(leaf_types) / sizeof(leaf_types[0]); i++)
		if (leaf_types[i].size == size)
			return is_cyclic ? &cyclic_types[i] : &leaf_types[i];
	fprintf(stderr, "bench: no type of %zu bytes\n", size);
	exit(1);
}

void loop_cgc_alloc(size_t size, bool is_cyclic)
{
	struct cgc_type *type = type_of_size(size, is_cyclic);
	for (size_t i = 0; i < LOOP; i++) {
		void *object = cgc_new(type);
		ESCAPE(object);
		cgc_release(object);
	}
}

void loop_cgc_publish(size_t size)
{
	struct cgc_type *type = type_of_size(size, true);
	for (size_t i = 0; i < LOOP; i++) {
		void *object = cgc_new(type);
		cgc_publish(object);
		ESCAPE(object);
		cgc_release(object);
	}
}

void loop_malloc(size_t size)
{
	for (size_t i = 0; i < LOOP; i++) {
		void *memory = malloc(size);
		ESCAPE(memory);
		free(memory);
	}
}

void loop_calloc(size_t size)
{
	for (size_t i = 0; i < LOOP; i++) {
		void *memory = calloc(1, size);
		ESCAPE(memory);
		free(memory);
	}
}

void batch_cgc_alloc(size_t size, bool is_cyclic)
{
	struct cgc_type *type = type_of_size(size, is_cyclic);
	void *objects[BATCH];
	for (size_t i = 0; i < BATCH; i++) {
		objects[i] = cgc_new(type);
		ESCAPE(objects[i]);
	}
	for (size_t i = 0; i < BATCH; i++)
		cgc_release(objects[i]);
}

void batch_malloc(size_t size)
{
	void *blocks[BATCH];
	for (size_t i = 0; i < BATCH; i++) {
		blocks[i] = malloc(size);
		ESCAPE(blocks[i]);
	}
	for (size_t i = 0; i < BATCH; i++)
		free(blocks[i]);
}

void batch_calloc(size_t size)
{
	void *blocks[BATCH];
	for (size_t i = 0; i < BATCH; i++) {
		blocks[i] = calloc(1, size);
		ESCAPE(blocks[i]);
	}
	for (size_t i = 0; i < BATCH; i++)
		free(blocks[i]);
}
