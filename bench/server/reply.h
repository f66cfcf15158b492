/* SPDX-License-Identifier: MIT
 *
 * Replies in RESP 2, appended to a buffer that its connection sends.
 */
#ifndef SERVER_REPLY_H
#define SERVER_REPLY_H

#include <stdbool.h>
#include <stddef.h>

struct reply {
	char *bytes;
	size_t length, capacity;
};

void reply_raw(struct reply *reply, const char *bytes, size_t length);
void reply_simple(struct reply *reply, const char *text); /* +text */
__attribute__((format(printf, 2, 3))) void reply_error(struct reply *reply, const char *format, ...); /* -... */
void reply_integer(struct reply *reply, long long number);
void reply_bulk(struct reply *reply, const char *bytes, size_t length);
void reply_text(struct reply *reply, const char *text); /* as bulk */
void reply_null(struct reply *reply);
void reply_null_array(struct reply *reply);
void reply_array(struct reply *reply, size_t count);
void reply_double(struct reply *reply, double number);

/* An array whose length is known later. */
size_t reply_array_begin(struct reply *reply);
void reply_array_end(struct reply *reply, size_t begin, size_t count);

#endif
