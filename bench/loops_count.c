/* SPDX-License-Identifier: MIT
 *
 * Retain and release of objects that stand to the calling thread in different ways: one loop, because which way it
 * is is found out at run time.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "node.h"

struct cgc_type node_type = {
	.name = "node",
	.size = sizeof(struct node),
	CGC_FIELDS(CGC_FIELD(struct node, next), CGC_FIELD(struct node, other)),
};

static struct cgc_type leaf_type = {.name = "leaf", .size = PAYLOAD};

struct holder {
	enum holding holding;
	bool is_cyclic;
	size_t count;
	void **objects;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_ready, is_over;
};

static void make(struct holder *holder)
{
	for (size_t i = 0; i < holder->count; i++) {
		holder->objects[i] = cgc_new(holder->is_cyclic ? &node_type : &leaf_type);
		if (holder->holding == HOLD_IMMORTAL)
			cgc_immortalize(holder->objects[i]);
		else if (holder->holding != HOLD_PRIVATE)
			cgc_publish(holder->objects[i]);
	}
}

static void drop(struct holder *holder)
{
	for (size_t i = 0; i < holder->count; i++)
		if (holder->holding != HOLD_IMMORTAL)
			cgc_release(holder->objects[i]);
}

static void *sleeper(void *argument)
{
	struct holder *holder = argument;
	make(holder);
	pthread_mutex_lock(&holder->lock);
	holder->is_ready = true;
	pthread_cond_broadcast(&holder->changed);
	while (!holder->is_over)
		pthread_cond_wait(&holder->changed, &holder->lock);
	pthread_mutex_unlock(&holder->lock);
	drop(holder);
	return NULL;
}

struct holder *holder_new(enum holding holding, bool is_cyclic, size_t count)
{
	struct holder *holder = calloc(1, sizeof(*holder));
	void **objects = calloc(count, sizeof(*objects));
	if (holder == NULL || objects == NULL) {
		fprintf(stderr, "bench: no memory for the objects of a loop\n");
		exit(1);
	}
	*holder =
		(struct holder){.holding = holding, .is_cyclic = is_cyclic, .count = count, .objects = objects};
	if (holding != HOLD_FOREIGN) {
		make(holder);
		return holder;
	}
	pthread_mutex_init(&holder->lock, NULL);
	pthread_cond_init(&holder->changed, NULL);
	if (pthread_create(&holder->thread, NULL, sleeper, holder) != 0) {
		fprintf(stderr, "bench: cannot start the thread that owns the objects of a loop\n");
		exit(1);
	}
	pthread_mutex_lock(&holder->lock);
	while (!holder->is_ready)
		pthread_cond_wait(&holder->changed, &holder->lock);
	pthread_mutex_unlock(&holder->lock);
	return holder;
}

void **holder_objects(struct holder *holder)
{
	return holder->objects;
}

void holder_free(struct holder *holder)
{
	if (holder->holding == HOLD_FOREIGN) {
		pthread_mutex_lock(&holder->lock);
		holder->is_over = true;
		pthread_cond_broadcast(&holder->changed);
		pthread_mutex_unlock(&holder->lock);
		pthread_join(holder->thread, NULL);
		pthread_cond_destroy(&holder->changed);
		pthread_mutex_destroy(&holder->lock);
	} else {
		drop(holder);
	}
	free(holder->objects);
	free(holder);
}

void loop_count(void **objects, size_t mask)
{
	for (size_t i = 0; i < LOOP; i++) {
		void *held = cgc_retain(objects[i & mask]);
		KEEP(held);
		cgc_release(held);
	}
}

size_t header_bytes(void)
{
	return sizeof(struct cgc__header);
}

int start_library(void)
{
	int error = cgc_start(NULL);
	return error != 0 ? error : cgc_thread_attach();
}
