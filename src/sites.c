/* SPDX-License-Identifier: MIT
 *
 * Where objects were allocated, for the report of what is still alive: with debug=1 each slab has a number per cell, of
 * the call that allocated it. The next object in the cell overwrites it, so a death costs nothing. Where there was no
 * memory for that, or more calls than the table has places, the number is 0: unknown.
 */
#define _GNU_SOURCE /* dladdr1() */
#include <dlfcn.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "heap.h"

#define SITE_BITS 14
#define SITE_LIMIT (1u << SITE_BITS)
#define PROBES 128 /* places looked at for one address */
#define NAMED 5    /* sites of a type listed one by one */

/* Entered once each, by address; a site's number is its place + 1. */
static struct site {
	_Atomic(uintptr_t) address;
	size_t objects; /* of the type that is being reported */
} sites[SITE_LIMIT];
static size_t unknown; /* objects of that type without a site */
static _Atomic(bool) is_used;

static uint32_t number_of(uintptr_t address)
{
	uint32_t place = (uint32_t)(address * UINT64_C(0x9E3779B97F4A7C15) >> (64 - SITE_BITS));
	for (int i = 0; i < PROBES; i++, place = (place + 1) % SITE_LIMIT) {
		/* No order needed: the address is all there is. */
		uintptr_t found = atomic_load_explicit(&sites[place].address, memory_order_relaxed);
		/* No order needed: as above. */
		if (found == 0 &&
		    atomic_compare_exchange_strong_explicit(&sites[place].address, &found, address,
		                                            memory_order_relaxed, memory_order_relaxed))
			found = address;
		if (found == address)
			return place + 1;
	}
	return 0;
}

/* The slab's owner: the cell's new object was asked for by the call that returns to `address`. */
void cgc__sites_record(struct cgc__slab *slab, uint32_t cell, const void *address)
{
	if (slab->sites == NULL) {
		size_t bytes = slab->cell_count * sizeof(uint32_t);
		slab->sites = cgc__memory_get(bytes, 0);
		if (slab->sites == NULL)
			return;
		memset(slab->sites, 0, bytes);
		/* No order needed: who reads it below got the slab from this thread. */
		atomic_store_explicit(&is_used, true, memory_order_relaxed);
	}
	/* One byte back is inside of the call; its end may be the next line's, or the next function's. */
	slab->sites[cell] = number_of((uintptr_t)address - 1);
}

void cgc__sites_drop(struct cgc__slab *slab)
{
	cgc__memory_put(slab->sites, slab->cell_count * sizeof(uint32_t));
	slab->sites = NULL;
}

/* The owner, before it allocates without recording: what its slabs say will not be so any more. */
void cgc__sites_forget(struct cgc__context *self)
{
	/* No order needed: as above. */
	if (!atomic_load_explicit(&is_used, memory_order_relaxed))
		return;
	pthread_mutex_lock(&self->slabs_lock);
	for (size_t i = 0; i < self->slab_count; i++)
		cgc__sites_drop(self->slabs[i]);
	pthread_mutex_unlock(&self->slabs_lock);
}

/* ---- the report: one type after the other, after all threads have detached --------------------------- */

void cgc__sites_clear(void)
{
	for (size_t i = 0; i < SITE_LIMIT; i++)
		sites[i].objects = 0;
	unknown = 0;
}

void cgc__sites_count(const struct cgc__slab *slab, uint32_t cell)
{
	if (slab->sites == NULL || slab->sites[cell] == 0)
		unknown++;
	else
		sites[slab->sites[cell] - 1].objects++;
}

static uintptr_t address_of(const struct site *site)
{
	/* No order needed: nobody writes any more. */
	return atomic_load_explicit(&site->address, memory_order_relaxed);
}

/* The most frequent; of two the one with the lower address, so that the order is always the same. */
static struct site *most_frequent(void)
{
	struct site *most = &sites[0];
	for (struct site *site = &sites[1]; site < sites + SITE_LIMIT; site++)
		if (site->objects > most->objects ||
		    (site->objects == most->objects && address_of(site) < address_of(most)))
			most = site;
	return most;
}

/* FUNCTION+0x12 (MODULE+0x345): the offset in the module is the address in its file, as addr2line wants it. */
static void print_address(uintptr_t address)
{
	Dl_info info;
	struct link_map *map = NULL;
	if (dladdr1((void *)address, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 || map == NULL) {
		fprintf(stderr, "%#" PRIxPTR, address);
		return;
	}
	/* The program itself is known by argv[0], which need not lead to it. */
	char program[1024];
	const char *module = map->l_name;
	if (module == NULL || module[0] == '\0') {
		ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
		program[length > 0 ? length : 0] = '\0';
		module = length > 0 ? program : info.dli_fname;
	}
	if (info.dli_sname != NULL)
		fprintf(stderr, "%s+%#" PRIxPTR, info.dli_sname, address - (uintptr_t)info.dli_saddr);
	else
		fputs("??", stderr);
	fprintf(stderr, " (%s+%#" PRIxPTR ")", module, address - (uintptr_t)map->l_addr);
}

void cgc__sites_print(void)
{
	for (int i = 0; i < NAMED; i++) {
		struct site *site = most_frequent();
		if (site->objects == 0)
			break;
		fprintf(stderr, "cgc: cgc_stop:   %zu allocated at ", site->objects);
		print_address(address_of(site));
		fputc('\n', stderr);
		site->objects = 0;
	}
	size_t others = 0;
	for (size_t i = 0; i < SITE_LIMIT; i++)
		others += sites[i].objects;
	if (others > 0)
		fprintf(stderr, "cgc: cgc_stop:   %zu allocated at other places\n", others);
	if (unknown > 0)
		fprintf(stderr, "cgc: cgc_stop:   %zu allocated at places unknown\n", unknown);
}
