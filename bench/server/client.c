/* SPDX-License-Identifier: MIT
 *
 * One connection. hiredis reads the protocol: a request is an array of bulk strings, which is what it takes for a
 * reply. A request that begins otherwise is a line of words (telnet).
 */
#include "client.h"

#include <ctype.h>
#include <hiredis/sds.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"

#define MAX_ARGUMENTS (1024 * 1024)
#define MAX_INLINE 65536

static void out_of_memory(void)
{
	fprintf(stderr, "server: out of memory for a connection\n");
	abort();
}

static void *grown(void *memory, size_t *capacity, size_t wanted, size_t element)
{
	size_t count = *capacity > 0 ? *capacity : 64;
	while (count < wanted)
		count *= 2;
	memory = realloc(memory, count * element);
	if (memory == NULL)
		out_of_memory();
	*capacity = count;
	return memory;
}

/* ---- requests ------------------------------------------------------------------------------------------- */

static void add_argument(struct client *client, const char *bytes, size_t length)
{
	if (client->used + length > client->capacity)
		client->bytes = grown(client->bytes, &client->capacity, client->used + length, 1);
	if (client->count == client->ends_capacity)
		client->ends = grown(client->ends, &client->ends_capacity, client->count + 1, sizeof(size_t));
	memcpy(client->bytes + client->used, bytes, length);
	client->used += length;
	client->ends[client->count++] = client->used;
}

/* hiredis builds replies by these; here the objects mean nothing but "not NULL". */
static void *on_string(const redisReadTask *task, char *bytes, size_t length)
{
	struct client *client = task->privdata;
	client->is_bad |= task->type != REDIS_REPLY_STRING || task->parent == NULL;
	add_argument(client, bytes, length);
	return client;
}

static void *on_array(const redisReadTask *task, int elements)
{
	struct client *client = task->privdata;
	(void)elements;
	client->is_bad |= task->parent != NULL;
	return client;
}

static void *on_integer(const redisReadTask *task, long long number)
{
	struct client *client = task->privdata;
	(void)number;
	client->is_bad = true;
	return client;
}

static void *on_nil(const redisReadTask *task)
{
	struct client *client = task->privdata;
	client->is_bad |= task->parent != NULL;
	return client;
}

static void on_free(void *object)
{
	(void)object;
}

static redisReplyObjectFunctions functions = {
	.createString = on_string,
	.createArray = on_array,
	.createInteger = on_integer,
	.createNil = on_nil,
	.freeObject = on_free,
};

static void add(_Atomic(uint64_t) *counter, uint64_t amount)
{
	/* No order needed: statistics. */
	atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

static void protocol_error(struct client *client, const char *what)
{
	reply_error(&client->reply, "ERR Protocol error: %s", what);
	client->is_closing = true;
	add(&server.protocol_errors, 1);
}

static void run(struct client *client, int64_t now)
{
	struct argument few[16], *arguments = few;
	if (client->count > 16 && (arguments = malloc(client->count * sizeof(*arguments))) == NULL)
		out_of_memory();
	for (size_t i = 0, begin = 0; i < client->count; begin = client->ends[i++])
		arguments[i] = (struct argument){client->bytes + begin, client->ends[i] - begin};
	struct request request = {arguments, client->count, &client->reply, client, now};
	if (client->count > 0)
		command_run(&request);
	if (arguments != few)
		free(arguments);
	add(&server.commands, client->count > 0);
	client->count = client->used = 0;
	if (client->capacity > 1048576) { /* one large request does not keep its memory */
		free(client->bytes);
		client->bytes = NULL;
		client->capacity = 0;
	}
}

/* A line of words, with quotes as in a shell. False if it is not complete or wrong. */
static bool read_inline(struct client *client)
{
	redisReader *reader = client->reader;
	const char *begin = reader->buf + reader->pos, *end = memchr(begin, '\n', reader->len - reader->pos);
	if (end == NULL) {
		if (reader->len - reader->pos > MAX_INLINE)
			protocol_error(client, "too big inline request");
		return false;
	}
	reader->pos += (size_t)(end - begin) + 1;
	if (end > begin && end[-1] == '\r')
		end--;
	while (begin < end) {
		if (isspace((unsigned char)*begin)) {
			begin++;
			continue;
		}
		const char quote = *begin == '"' || *begin == '\'' ? *begin++ : 0;
		const char *word = begin;
		while (begin < end && (quote ? *begin != quote : !isspace((unsigned char)*begin)))
			begin++;
		if (quote && (begin == end || (begin + 1 < end && !isspace((unsigned char)begin[1])))) {
			protocol_error(client, "unbalanced quotes in request");
			return false;
		}
		add_argument(client, word, (size_t)(begin - word));
		begin += quote != 0;
	}
	return true;
}

/* What is announced but not there yet may be too much already. */
static bool announces_too_much(struct client *client)
{
	const redisReader *reader = client->reader;
	const char *next = reader->buf + reader->pos;
	size_t left = reader->len - reader->pos;
	if (left > server.settings.max_request || client->used > server.settings.max_request) {
		protocol_error(client, "request too large");
		return true;
	}
	/* Within a request hiredis has read the kind already. */
	const redisReadTask *task = reader->ridx >= 0 ? &reader->rstack[reader->ridx] : NULL;
	bool is_bulk = task != NULL && task->type == REDIS_REPLY_STRING;
	bool is_array = task != NULL ? task->type == REDIS_REPLY_ARRAY : left > 0 && next[0] == '*';
	if (left == 0 || (!is_bulk && !is_array))
		return false;
	if (memchr(next, '\n', left) == NULL) {
		if (left <= 64)
			return false;
		protocol_error(client, is_array ? "too big mbulk count string" : "too big bulk count string");
		return true;
	}
	char *end;
	const char *digits = task != NULL ? next : next + 1;
	long long announced = strtoll(digits, &end, 10);
	bool is_number = end > digits && *end == '\r';
	if (is_array && (!is_number || announced > MAX_ARGUMENTS)) {
		protocol_error(client, "invalid multibulk length");
		return true;
	}
	if (is_bulk &&
	    (!is_number || announced < 0 || (unsigned long long)announced > server.settings.max_request)) {
		protocol_error(client, "invalid bulk length");
		return true;
	}
	return false;
}

static bool is_at_begin(const redisReader *reader)
{
	return reader->ridx == -1;
}

/* Runs every complete request. */
static void take_requests(struct client *client)
{
	redisReader *reader = client->reader;
	int64_t now = server_now();
	while (!client->is_closing) {
		if (reader->pos == reader->len && is_at_begin(reader))
			return;
		if (is_at_begin(reader) && reader->buf[reader->pos] != '*') {
			if (!read_inline(client))
				return;
			run(client, now);
			if (reader->pos >= 1024) { /* hiredis does so for what it reads itself */
				sdsrange(reader->buf, (ssize_t)reader->pos, -1);
				reader->len -= reader->pos;
				reader->pos = 0;
			}
			continue;
		}
		if (announces_too_much(client))
			return;
		void *object = NULL;
		client->is_bad = false;
		if (redisReaderGetReply(reader, &object) != REDIS_OK) {
			protocol_error(client, strstr(reader->errstr, "ulti")  ? "invalid multibulk length"
			                       : strstr(reader->errstr, "ulk") ? "invalid bulk length"
			                                                       : "invalid request");
			return;
		}
		if (client->is_bad) {
			protocol_error(client, "expected '$'");
			return;
		}
		if (object == NULL) {
			announces_too_much(client);
			return;
		}
		run(client, now);
	}
}

/* ---- bytes ---------------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	struct client *client = (struct client *)handle;
	if (client->next != NULL)
		client->next->previous = client->previous;
	if (client->previous != NULL)
		client->previous->next = client->next;
	else
		client->loop->clients = client->next;
	redisReaderFree(client->reader);
	free(client->bytes);
	free(client->ends);
	free(client->reply.bytes);
	free(client->name);
	free(client);
	add(&server.clients, (uint64_t)-1);
}

void client_close(struct client *client)
{
	if (client->is_closed)
		return;
	client->is_closed = client->is_closing = true;
	uv_close((uv_handle_t *)&client->stream, on_closed);
}

struct sending {
	uv_write_t write;
	struct client *client;
	size_t length;
	char bytes[];
};

static void on_sent(uv_write_t *write, int status)
{
	struct sending *sending = (struct sending *)write;
	struct client *client = sending->client;
	client->sending -= sending->length;
	free(sending);
	if (status != 0 || (client->is_closing && client->sending == 0))
		client_close(client);
}

/* At once as far as the socket takes it; the rest when it can. */
static void send_replies(struct client *client)
{
	struct reply *reply = &client->reply;
	size_t done = 0;
	if (reply->length > 0 && client->sending == 0) {
		uv_buf_t buffer = uv_buf_init(reply->bytes,
		                              (unsigned)(reply->length < 1u << 30 ? reply->length : 1u << 30));
		int written = uv_try_write((uv_stream_t *)&client->stream, &buffer, 1);
		if (written < 0 && written != UV_EAGAIN) {
			client_close(client);
			return;
		}
		done = written > 0 ? (size_t)written : 0;
	}
	size_t left = reply->length - done;
	if (client->sending + left > server.settings.max_output) {
		add(&server.slow_readers, 1);
		client_close(client);
		return;
	}
	if (left > 0) {
		struct sending *sending = malloc(sizeof(*sending) + left);
		if (sending == NULL)
			out_of_memory();
		memcpy(sending->bytes, reply->bytes + done, left);
		sending->client = client;
		sending->length = left;
		client->sending += left;
		uv_buf_t buffer = uv_buf_init(sending->bytes, (unsigned)left);
		int error = uv_write(&sending->write, (uv_stream_t *)&client->stream, &buffer, 1, on_sent);
		if (error != 0) {
			client->sending -= left;
			free(sending);
			client_close(client);
			return;
		}
	}
	reply->length = 0;
	if (reply->capacity > 1048576) {
		free(reply->bytes);
		*reply = (struct reply){0};
	}
	if (client->is_closing && client->sending == 0)
		client_close(client);
}

static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	(void)suggested;
	struct loop *loop = ((struct client *)handle)->loop;
	*buffer = uv_buf_init(loop->buffer, sizeof(loop->buffer));
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct client *client = (struct client *)stream;
	if (length < 0) {
		client_close(client);
		return;
	}
	if (length == 0 || client->is_closing)
		return;
	if (redisReaderFeed(client->reader, buffer->base, (size_t)length) != REDIS_OK)
		out_of_memory();
	take_requests(client);
	if (client->is_closing)
		uv_read_stop(stream);
	send_replies(client);
}

struct client *client_accept(struct loop *loop, uv_stream_t *listener)
{
	struct client *client = calloc(1, sizeof(*client));
	if (client == NULL || (client->reader = redisReaderCreateWithFunctions(&functions)) == NULL)
		out_of_memory();
	client->reader->privdata = client;
	client->loop = loop;
	client->id =
		atomic_fetch_add_explicit(&server.next_id, 1, memory_order_relaxed) + 1; /* No order needed. */
	client->next = loop->clients;
	if (client->next != NULL)
		client->next->previous = client;
	loop->clients = client;
	add(&server.clients, 1);
	add(&server.connections, 1);
	uv_tcp_init(&loop->uv, &client->stream);
	if (uv_accept(listener, (uv_stream_t *)&client->stream) != 0) {
		client_close(client);
		return NULL;
	}
	uv_tcp_nodelay(&client->stream, 1);
	/* No order needed: a number. */
	if (atomic_load_explicit(&server.clients, memory_order_relaxed) > server.settings.max_clients) {
		add(&server.refused, 1);
		reply_error(&client->reply, "ERR max number of clients reached");
		client->is_closing = true;
		send_replies(client);
		return client;
	}
	uv_read_start((uv_stream_t *)&client->stream, on_buffer, on_read);
	return client;
}
