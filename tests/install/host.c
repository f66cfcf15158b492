/* SPDX-License-Identifier: MIT
 *
 * A program that is not linked with the library and loads it, or a plugin that needs it, while threads run:
 *
 *     host library|plugin FILE
 *
 * One thread starts before the library is there, one after; both work; a ring is collected; the library stops and is
 * closed; then it is loaded and used a second time, with the same type. Both threads end after the last close; the
 * one that came after without having detached.
 */
#include <cgc.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

enum { ROUNDS = 2, WORK = 2000 };

#define MUST(condition)                                                                         \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			exit(1);                                                                \
		}                                                                               \
	} while (0)

/* ---- the two sets of calls ---------------------------------------------------------------------------- */

static struct {
	__typeof__(&plugin_start) start;
	__typeof__(&plugin_work) work;
	__typeof__(&plugin_ring) ring;
	__typeof__(&plugin_detach) detach;
	__typeof__(&plugin_stop) stop;
} plugin;

static struct {
	__typeof__(&cgc_start) start;
	__typeof__(&cgc_stop) stop;
	__typeof__(&cgc_new) new;
	__typeof__(&cgc_generation) generation;
	__typeof__(&cgc_publish) publish;
	__typeof__(&cgc_collect) collect;
	__typeof__(&cgc_thread_detach) detach;
	__typeof__(&cgc__store_slow) store;
	__typeof__(&cgc__store_consume_slow) store_consume;
	__typeof__(&cgc__load_slow) load;
	__typeof__(&cgc__release_slow) release;
} library;

struct node {
	_Atomic(void *) next;
	int value;
};
static const struct cgc_field node_fields[] = {{offsetof(struct node, next), "next"}};
static struct cgc_type node_type = {
	.name = "node", .size = sizeof(struct node), .fields = node_fields, .field_count = 1};
static _Atomic(void *) shared;
static void *handle;

static int start_library(void)
{
	return library.start("enable=0");
}

/* The slow halves: a caller that has only addresses cannot use the inline ones, whose variable belongs to the library.
 * What it holds of that variable must be the library's own, of this thread. */
static bool work_with_library(int count)
{
	const uint32_t *private_bias = dlsym(handle, "cgc__private_bias");
	if (private_bias == NULL || *private_bias != UINT32_MAX)
		return false;
	for (int i = 0; i < count; i++) {
		struct node *node = library.new(&node_type);
		if (library.generation(node) != 0 ||
		    *private_bias != atomic_load_explicit(&cgc__header_of(node)->bias, memory_order_relaxed))
			return false;
		node->value = i;
		library.store_consume(CGC_ROOT, &shared, node);
		struct node *other = library.load(CGC_ROOT, &shared);
		if (other == NULL || other->value < 0 || other->value >= count)
			return false;
		library.release(other);
	}
	return true;
}

static long collect_ring_of_library(void)
{
	struct node *first = library.new(&node_type), *second = library.new(&node_type);
	library.store(first, &first->next, second);
	library.store_consume(second, &second->next, first);
	library.publish(second);
	library.release(second);
	return library.collect(2);
}

static void detach_from_library(void)
{
	library.detach();
}

static size_t stop_library(void)
{
	library.store(CGC_ROOT, &shared, NULL);
	return library.stop();
}

/* ---- loading ------------------------------------------------------------------------------------------ */

static void find(const char *name, void *variable)
{
	void *address = dlsym(handle, name);
	if (address == NULL) {
		fprintf(stderr, "host: %s\n", dlerror());
		exit(1);
	}
	memcpy(variable, &address, sizeof(address));
}

static void find_library(void)
{
	find("cgc_start", &library.start);
	find("cgc_stop", &library.stop);
	find("cgc_new", &library.new);
	find("cgc_generation", &library.generation);
	find("cgc_publish", &library.publish);
	find("cgc_collect", &library.collect);
	find("cgc_thread_detach", &library.detach);
	find("cgc__store_slow", &library.store);
	find("cgc__store_consume_slow", &library.store_consume);
	find("cgc__load_slow", &library.load);
	find("cgc__release_slow", &library.release);
	plugin.start = start_library;
	plugin.work = work_with_library;
	plugin.ring = collect_ring_of_library;
	plugin.detach = detach_from_library;
	plugin.stop = stop_library;
}

static void find_plugin(void)
{
	find("plugin_start", &plugin.start);
	find("plugin_work", &plugin.work);
	find("plugin_ring", &plugin.ring);
	find("plugin_detach", &plugin.detach);
	find("plugin_stop", &plugin.stop);
}

/* ---- threads ------------------------------------------------------------------------------------------ */

static pthread_barrier_t loaded, worked;

static void *work(void *stays_attached)
{
	for (int round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&loaded);
		MUST(plugin.work(WORK));
		if (stays_attached == NULL || round < ROUNDS - 1)
			plugin.detach();
		pthread_barrier_wait(&worked);
	}
	/* Until it is closed for the last time: the thread's own end comes after that. */
	pthread_barrier_wait(&loaded);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 3 || (strcmp(argv[1], "library") != 0 && strcmp(argv[1], "plugin") != 0)) {
		fprintf(stderr, "usage: %s library|plugin FILE\n", argv[0]);
		return 1;
	}
	bool is_plugin = strcmp(argv[1], "plugin") == 0;
	pthread_t early, late;
	bool stays_attached = true;
	pthread_barrier_init(&loaded, NULL, 3);
	pthread_barrier_init(&worked, NULL, 3);
	MUST(pthread_create(&early, NULL, work, NULL) == 0);
	for (int round = 0; round < ROUNDS; round++) {
		handle = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
		if (handle == NULL) {
			fprintf(stderr, "host: %s\n", dlerror());
			return 2;
		}
		(is_plugin ? find_plugin : find_library)();
		MUST(plugin.start() == 0);
		if (round == 0)
			MUST(pthread_create(&late, NULL, work, &stays_attached) == 0);
		pthread_barrier_wait(&loaded);
		MUST(plugin.work(WORK));
		pthread_barrier_wait(&worked);
		MUST(plugin.ring() == 2);
		MUST(plugin.stop() == 0);
		MUST(dlclose(handle) == 0);
	}
	pthread_barrier_wait(&loaded);
	pthread_join(early, NULL);
	pthread_join(late, NULL);
	return 0;
}
