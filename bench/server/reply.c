/* SPDX-License-Identifier: MIT
 *
 * Replies. See reply.h.
 */
#include "reply.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct reply *reply, size_t more)
{
	size_t wanted = reply->length + more;
	if (wanted <= reply->capacity)
		return;
	size_t capacity = reply->capacity > 0 ? reply->capacity : 1024;
	while (capacity < wanted)
		capacity *= 2;
	char *bytes = realloc(reply->bytes, capacity);
	if (bytes == NULL) {
		fprintf(stderr, "server: out of memory for a reply of %zu bytes\n", wanted);
		abort();
	}
	reply->bytes = bytes;
	reply->capacity = capacity;
}

void reply_raw(struct reply *reply, const char *bytes, size_t length)
{
	reserve(reply, length);
	memcpy(reply->bytes + reply->length, bytes, length);
	reply->length += length;
}

static void line(struct reply *reply, char kind, const char *text, size_t length)
{
	reserve(reply, length + 3);
	reply->bytes[reply->length++] = kind;
	reply_raw(reply, text, length);
	reply_raw(reply, "\r\n", 2);
}

static void number_line(struct reply *reply, char kind, long long number)
{
	char text[24];
	line(reply, kind, text, (size_t)snprintf(text, sizeof(text), "%lld", number));
}

void reply_simple(struct reply *reply, const char *text)
{
	line(reply, '+', text, strlen(text));
}

void reply_error(struct reply *reply, const char *format, ...)
{
	char text[256];
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	size_t used = (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1;
	/* What a client sent must not end the line. */
	for (size_t i = 0; i < used; i++)
		if (text[i] == '\r' || text[i] == '\n')
			text[i] = ' ';
	line(reply, '-', text, used);
}

void reply_integer(struct reply *reply, long long number)
{
	number_line(reply, ':', number);
}

void reply_bulk(struct reply *reply, const char *bytes, size_t length)
{
	reserve(reply, length + 32);
	number_line(reply, '$', (long long)length);
	reply_raw(reply, bytes, length);
	reply_raw(reply, "\r\n", 2);
}

void reply_text(struct reply *reply, const char *text)
{
	reply_bulk(reply, text, strlen(text));
}

void reply_null(struct reply *reply)
{
	reply_raw(reply, "$-1\r\n", 5);
}

void reply_null_array(struct reply *reply)
{
	reply_raw(reply, "*-1\r\n", 5);
}

void reply_array(struct reply *reply, size_t count)
{
	number_line(reply, '*', (long long)count);
}

void reply_double(struct reply *reply, double number)
{
	char text[64];
	if (isinf(number))
		reply_text(reply, number > 0 ? "inf" : "-inf");
	else if (number == floor(number) && fabs(number) < 1e17)
		reply_bulk(reply, text, (size_t)snprintf(text, sizeof(text), "%lld", (long long)number));
	else
		reply_bulk(reply, text, (size_t)snprintf(text, sizeof(text), "%.17g", number));
}

/* Room for the longest number; what is left of it is taken out again. */
#define COUNT_ROOM 23

size_t reply_array_begin(struct reply *reply)
{
	size_t begin = reply->length;
	reserve(reply, COUNT_ROOM);
	reply->length += COUNT_ROOM;
	return begin;
}

void reply_array_end(struct reply *reply, size_t begin, size_t count)
{
	char text[COUNT_ROOM + 1];
	size_t length = (size_t)snprintf(text, sizeof(text), "*%zu\r\n", count);
	memmove(reply->bytes + begin + length, reply->bytes + begin + COUNT_ROOM,
	        reply->length - begin - COUNT_ROOM);
	memcpy(reply->bytes + begin, text, length);
	reply->length -= COUNT_ROOM - length;
}
