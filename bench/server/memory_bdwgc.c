/* SPDX-License-Identifier: MIT
 *
 * The server's memory over bdwgc. See memory.h.
 */
#ifndef MEMORY_BDWGC
#define MEMORY_BDWGC /* for tools that look at this file alone */
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "types.h"

#define GC_THREADS
#include <gc.h>

void *bdwgc_new(const mem_type *type, size_t more)
{
	size_t bytes = type->size + more;
	void *object = type->has_references ? GC_MALLOC(bytes) : GC_MALLOC_ATOMIC(bytes);
	if (object == NULL) {
		fprintf(stderr, "cgc-server: out of memory for an object of %zu bytes\n", bytes);
		abort();
	}
	if (!type->has_references)
		memset(object, 0, type->size);
	return object;
}

bool mem_start(const char *options)
{
	if (options != NULL) {
		fprintf(stderr, "cgc-server: --memory %s: bdwgc takes its options from the environment\n",
		        options);
		return false;
	}
	GC_INIT();
	GC_allow_register_threads();
	return true;
}

size_t mem_stop(void)
{
	return 0;
}

void mem_thread_begin(void)
{
	struct GC_stack_base base;
	GC_get_stack_base(&base);
	GC_register_my_thread(&base);
}

void mem_thread_end(void)
{
	GC_unregister_my_thread();
}

struct memory_numbers mem_numbers(void)
{
	return (struct memory_numbers){"bdwgc", 0, GC_get_heap_size() - GC_get_free_bytes(),
	                               GC_get_heap_size()};
}

void mem_describe(void (*line)(void *argument, const char *name, uint64_t value), void *argument)
{
	line(argument, "bytes_live", GC_get_heap_size() - GC_get_free_bytes());
	line(argument, "bytes_reserved", GC_get_heap_size());
	line(argument, "collections", GC_get_gc_no());
}

void mem_reset_longest(void)
{
}
