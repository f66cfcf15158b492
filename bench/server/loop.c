/* SPDX-License-Identifier: MIT
 *
 * The threads. See loop.h.
 */
#include "loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "client.h"
#include "store.h"

#define BACKLOG 511
#define TICK_MS 100

static struct loop *loops;

int64_t server_now(void)
{
	struct timeval now;
	gettimeofday(&now, NULL);
	return (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
}

static void on_connection(uv_stream_t *listener, int status)
{
	if (status == 0)
		client_accept(listener->data, listener);
}

/* Each loop looks after some of the shards. */
static void on_tick(uv_timer_t *timer)
{
	struct loop *loop = timer->data;
	int64_t now = server_now();
	for (unsigned shard = loop->index; shard < SHARDS; shard += server.settings.threads)
		store_expire(shard, now);
}

static void close_handle(uv_handle_t *handle, void *argument)
{
	(void)argument;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void on_stop(uv_async_t *stop)
{
	struct loop *loop = stop->data;
	for (struct client *client = loop->clients; client != NULL; client = client->next)
		client_close(client);
	uv_walk(&loop->uv, close_handle, NULL);
}

static int begin(struct loop *loop, unsigned index, int socket)
{
	loop->index = index;
	int error = uv_loop_init(&loop->uv);
	if (error == 0)
		error = uv_tcp_init(&loop->uv, &loop->listener);
	if (error == 0)
		error = uv_tcp_open(&loop->listener, index == 0 ? socket : dup(socket));
	loop->listener.data = loop->stop.data = loop->timer.data = loop;
	if (error == 0)
		error = uv_listen((uv_stream_t *)&loop->listener, BACKLOG, on_connection);
	if (error == 0)
		error = uv_async_init(&loop->uv, &loop->stop, on_stop);
	if (error == 0)
		error = uv_timer_init(&loop->uv, &loop->timer);
	if (error == 0)
		error = uv_timer_start(&loop->timer, on_tick, TICK_MS, TICK_MS);
	return -error;
}

static void *run(void *argument)
{
	struct loop *loop = argument;
	mem_thread_begin();
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	uv_loop_close(&loop->uv);
	mem_thread_end();
	return NULL;
}

void server_stop(void)
{
	/* No order needed: once. */
	if (atomic_exchange_explicit(&server.is_stopping, 1, memory_order_relaxed) != 0)
		return;
	for (unsigned i = 0; i < server.settings.threads; i++)
		uv_async_send(&loops[i].stop);
}

int loops_begin(int socket)
{
	unsigned count = server.settings.threads;
	loops = calloc(count, sizeof(*loops));
	if (loops == NULL)
		return ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		int error = begin(&loops[i], i, socket);
		if (error != 0)
			return error;
	}
	return 0;
}

int loops_run(void)
{
	unsigned count = server.settings.threads;
	pthread_t *threads = calloc(count, sizeof(*threads));
	if (threads == NULL)
		return ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		int error = pthread_create(&threads[i], NULL, run, &loops[i]);
		if (error != 0)
			return error;
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	return 0;
}
