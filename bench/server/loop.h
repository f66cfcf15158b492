/* SPDX-License-Identifier: MIT
 *
 * A thread with an event loop. Every loop listens on the same socket, so the kernel spreads the connections.
 */
#ifndef SERVER_LOOP_H
#define SERVER_LOOP_H

#include <stdatomic.h>
#include <uv.h>

#ifndef SERVER_VERSION
#define SERVER_VERSION "0" /* for tools that look at a file alone */
#endif

struct settings {
	const char *bind;
	int port;
	unsigned threads;
	uint64_t max_memory;
	size_t max_clients; /* all loops together */
	size_t max_request; /* bytes of one request */
	size_t max_output;  /* bytes that a client has not read */
	const char *memory_options;
};

struct server {
	struct settings settings;
	_Atomic(uint64_t) clients, connections, refused, commands, slow_readers, protocol_errors, next_id;
	int64_t started; /* milliseconds since 1970 */
	_Atomic(int) is_stopping;
};
extern struct server server;

struct loop {
	unsigned index;
	uv_loop_t uv;
	uv_tcp_t listener;
	uv_async_t stop;
	uv_timer_t timer;
	struct client *clients;
	char buffer[65536]; /* what is read from a socket; one at a time */
};

/* Makes the loops on the bound socket; 0 or an errno value. */
int loops_begin(int socket);
/* Runs them until server_stop(); 0 or an errno value. */
int loops_run(void);
/* From any thread and from a command. */
void server_stop(void);
int64_t server_now(void);

#endif
