/* SPDX-License-Identifier: MIT
 *
 * One connection: bytes in, requests, replies, bytes out. Belongs to the loop that accepted it.
 */
#ifndef SERVER_CLIENT_H
#define SERVER_CLIENT_H

#include <hiredis/read.h>
#include <uv.h>

#include "command.h"

struct loop;

struct client {
	uv_tcp_t stream; /* first: its address is the client's */
	struct loop *loop;
	struct client *next, *previous; /* in loop.clients */
	uint64_t id;
	char *name; /* CLIENT SETNAME, or NULL */
	redisReader *reader;
	/* The request being read: its arguments are copied to `bytes`, where `ends` says each one's end. */
	char *bytes;
	size_t used, capacity;
	size_t *ends;
	size_t count, ends_capacity;
	bool is_bad;     /* something in the request is no bulk string */
	bool is_closing; /* nothing more is read: the rest is sent, then it is closed */
	bool is_closed;
	struct reply reply; /* not sent yet */
	size_t sending;     /* bytes given to libuv */
};

struct client *client_accept(struct loop *loop, uv_stream_t *listener);
void client_close(struct client *client);

#endif
