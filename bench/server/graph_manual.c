/* SPDX-License-Identifier: MIT
 *
 * What falls off the graph, found by hand. A node of the graph has no owner: it lives as long as a key's node is
 * connected with it. So all nodes are on a list, and a thread marks, now and then, what the owned ones reach, with
 * every lock of the graph held, and ends the rest. Readers go on meanwhile; writers wait.
 */
#ifndef MEMORY_MANUAL
#define MEMORY_MANUAL /* for tools that look at this file alone */
#endif
#include "graph.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stopping = PTHREAD_COND_INITIALIZER;
static struct node **nodes, **stack; /* [lock] */
static size_t count, capacity;       /* [lock] */
static bool is_stopping;             /* [lock] */
static pthread_t sweeper;
static _Atomic(uint64_t) ended; /* owners that ended since the last sweep */

void graph_manual_add(void *node)
{
	pthread_mutex_lock(&lock);
	if (count == capacity) {
		capacity = capacity > 0 ? 2 * capacity : 1024;
		nodes = realloc(nodes, capacity * sizeof(struct node *));
		stack = realloc(stack, capacity * sizeof(struct node *));
		if (nodes == NULL || stack == NULL) {
			fprintf(stderr, "cgc-server: out of memory for a list of %zu nodes\n", capacity);
			abort();
		}
	}
	nodes[count++] = node;
	pthread_mutex_unlock(&lock);
}

void graph_manual_ended(void)
{
	/* No order needed: a hint to the sweeper. */
	atomic_fetch_add_explicit(&ended, 1, memory_order_relaxed);
}

static size_t push(size_t depth, struct edges *edges)
{
	for (size_t i = 0; edges != NULL && i < edges->count; i++) {
		struct node *to = mem_get(&edges->to[i]);
		if (!to->is_marked) {
			to->is_marked = true;
			stack[depth++] = to;
		}
	}
	return depth;
}

static void sweep(void)
{
	size_t depth = 0, kept = 0;
	graph_lock_all();
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < count; i++)
		if ((nodes[i]->is_marked = manual_is_owned(nodes[i])))
			stack[depth++] = nodes[i];
	while (depth > 0) {
		struct node *node = stack[--depth];
		depth = push(depth, mem_get(&node->out));
		depth = push(depth, mem_get(&node->in));
	}
	for (size_t i = 0; i < count; i++) {
		if (nodes[i]->is_marked)
			nodes[kept++] = nodes[i];
		else
			manual_retire_shared(nodes[i]);
	}
	count = kept;
	pthread_mutex_unlock(&lock);
	graph_unlock_all();
}

static void *run(void *unused)
{
	(void)unused;
	mem_thread_begin();
	pthread_mutex_lock(&lock);
	while (!is_stopping) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		while (!is_stopping && pthread_cond_timedwait(&stopping, &lock, &until) != ETIMEDOUT)
			;
		pthread_mutex_unlock(&lock);
		/* No order needed: a hint. */
		if (atomic_exchange_explicit(&ended, 0, memory_order_relaxed) > 0)
			sweep();
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
	mem_thread_end();
	return NULL;
}

int graph_manual_start(void)
{
	return pthread_create(&sweeper, NULL, run, NULL);
}

/* Ends all that no key owns. */
void graph_manual_stop(void)
{
	pthread_mutex_lock(&lock);
	is_stopping = true;
	pthread_cond_signal(&stopping);
	pthread_mutex_unlock(&lock);
	pthread_join(sweeper, NULL);
	mem_thread_begin();
	urcu_memb_barrier(); /* owners that end later have ended */
	sweep();
	urcu_memb_barrier();
	mem_thread_end();
	free(nodes);
	free(stack);
}
