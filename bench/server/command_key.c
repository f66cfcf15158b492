/* SPDX-License-Identifier: MIT
 *
 * Commands about keys of every kind.
 */
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

static struct key key_at(struct request *request, size_t index)
{
	return store_key(request->arguments[index].bytes, request->arguments[index].length);
}

static void del(struct request *request)
{
	long long deleted = 0;
	for (size_t i = 1; i < request->count; i++) {
		struct key key = key_at(request, i);
		store_lock(&key);
		struct entry *entry = store_find(&key, request->now);
		if (entry != NULL)
			store_delete(&key, entry);
		store_unlock(&key);
		deleted += entry != NULL;
	}
	reply_integer(request->reply, deleted);
}

static void exists(struct request *request)
{
	long long found = 0;
	for (size_t i = 1; i < request->count; i++) {
		struct key key = key_at(request, i);
		mem_enter();
		found += store_look(&key, request->now) != NULL;
		mem_leave();
	}
	reply_integer(request->reply, found);
}

static void type(struct request *request)
{
	static const char *const names[] = {"string", "list", "hash", "set", "zset", "graph"};
	struct key key = key_at(request, 1);
	mem_enter();
	struct entry *entry = store_look(&key, request->now);
	struct value *value = entry != NULL ? mem_get(&entry->value) : NULL;
	reply_simple(request->reply, value != NULL ? names[value->kind] : "none");
	mem_leave();
}

/* ---- expiry ------------------------------------------------------------------------------------------- */

static void expire_at(struct request *request, long long unit, bool is_relative, const char *name)
{
	long long number, base = is_relative ? request->now : 0;
	if (!argument_integer(request, 2, &number))
		return;
	if (number > (LLONG_MAX - base) / unit || number < LLONG_MIN / unit + base) {
		reply_error(request->reply, "ERR invalid expire time in '%s' command", name);
		return;
	}
	long long expires = base + number * unit;
	struct key key = key_at(request, 1);
	store_lock(&key);
	struct entry *entry = store_find(&key, request->now);
	if (entry != NULL && expires <= request->now)
		store_delete(&key, entry);
	else if (entry != NULL)
		store_set_expiry(&key, entry, expires);
	store_unlock(&key);
	reply_integer(request->reply, entry != NULL);
}

static void expire(struct request *request)
{
	expire_at(request, 1000, true, "expire");
}

static void pexpire(struct request *request)
{
	expire_at(request, 1, true, "pexpire");
}

static void expireat(struct request *request)
{
	expire_at(request, 1000, false, "expireat");
}

static void pexpireat(struct request *request)
{
	expire_at(request, 1, false, "pexpireat");
}

static void persist(struct request *request)
{
	struct key key = key_at(request, 1);
	int64_t expires = 0;
	store_lock(&key);
	struct entry *entry = store_find(&key, request->now);
	if (entry != NULL)
		expires = store_set_expiry(&key, entry, 0);
	store_unlock(&key);
	reply_integer(request->reply, expires != 0);
}

static void time_left(struct request *request, bool in_seconds)
{
	struct key key = key_at(request, 1);
	long long left = -2;
	mem_enter();
	struct entry *entry = store_look(&key, request->now);
	if (entry != NULL) {
		/* No order needed: a number by itself. */
		int64_t expires = atomic_load_explicit(&entry->expires, memory_order_relaxed);
		left = expires == 0 ? -1 : expires > request->now ? expires - request->now : 0;
		if (in_seconds && left > 0)
			left = (left + 500) / 1000;
	}
	mem_leave();
	reply_integer(request->reply, left);
}

static void ttl(struct request *request)
{
	time_left(request, true);
}

static void pttl(struct request *request)
{
	time_left(request, false);
}

/* ---- all keys ------------------------------------------------------------------------------------------ */

struct matching {
	struct request *request;
	char *pattern; /* NULL: all */
	size_t found;
};

static bool matches(const char *pattern, const struct entry *entry)
{
	char small[256], *text = entry->length < sizeof(small) ? small : malloc(entry->length + 1);
	if (text == NULL)
		return false;
	memcpy(text, entry->key, entry->length);
	text[entry->length] = '\0';
	bool result = fnmatch(pattern, text, 0) == 0;
	if (text != small)
		free(text);
	return result;
}

static void reply_if_matching(void *argument, const struct entry *entry)
{
	struct matching *matching = argument;
	if (matching->pattern != NULL && !matches(matching->pattern, entry))
		return;
	reply_bulk(matching->request->reply, entry->key, entry->length);
	matching->found++;
}

static void keys(struct request *request)
{
	struct matching matching = {request, strndup(request->arguments[1].bytes, request->arguments[1].length),
	                            0};
	size_t begin = reply_array_begin(request->reply);
	for (unsigned shard = 0; shard < SHARDS; shard++)
		store_visit(shard, 0, SIZE_MAX, request->now, reply_if_matching, &matching);
	reply_array_end(request->reply, begin, matching.found);
	free(matching.pattern);
}

/* A cursor counts in shards below and in chains of the shard above. */
static void scan(struct request *request)
{
	struct matching matching = {request, NULL, 0};
	long long position, count = 10;
	if (!string_read_integer(request->arguments[1].bytes, request->arguments[1].length, &position) ||
	    position < 0) {
		reply_error(request->reply, "ERR invalid cursor");
		return;
	}
	size_t pattern = 0;
	for (size_t i = 2; i < request->count; i += 2) {
		const struct argument *argument = &request->arguments[i];
		if (i + 1 < request->count && argument_is(argument, "match")) {
			pattern = i + 1;
		} else if (i + 1 < request->count && argument_is(argument, "count")) {
			if (!argument_integer(request, i + 1, &count))
				return;
			if (count < 1) {
				syntax_error(request);
				return;
			}
		} else {
			syntax_error(request);
			return;
		}
	}
	if (pattern != 0)
		matching.pattern =
			strndup(request->arguments[pattern].bytes, request->arguments[pattern].length);
	uint64_t shard = (uint64_t)position % SHARDS, cursor = (uint64_t)position / SHARDS;
	struct reply found = {0}, *reply = request->reply;
	request->reply = &found;
	while (shard < SHARDS && matching.found < (size_t)count) {
		cursor = store_visit((unsigned)shard, cursor, (size_t)count - matching.found, request->now,
		                     reply_if_matching, &matching);
		if (cursor == 0)
			shard++;
	}
	request->reply = reply;
	char text[24];
	reply_array(reply, 2);
	reply_bulk(reply, text,
	           (size_t)snprintf(text, sizeof(text), "%llu",
	                            shard < SHARDS ? (unsigned long long)(cursor * SHARDS + shard) : 0));
	reply_array(reply, matching.found);
	reply_raw(reply, found.bytes, found.length);
	free(found.bytes);
	free(matching.pattern);
}

static void dbsize(struct request *request)
{
	reply_integer(request->reply, (long long)store_numbers().keys);
}

static void flush(struct request *request)
{
	if (request->count > 2 || (request->count == 2 && !argument_is(&request->arguments[1], "async") &&
	                           !argument_is(&request->arguments[1], "sync"))) {
		syntax_error(request);
		return;
	}
	store_flush();
	reply_simple(request->reply, "OK");
}

const struct command commands_key[] = {
	{"del", -2, 0, del},          {"unlink", -2, 0, del},
	{"exists", -2, 0, exists},    {"type", 2, 0, type},
	{"expire", 3, 0, expire},     {"pexpire", 3, 0, pexpire},
	{"expireat", 3, 0, expireat}, {"pexpireat", 3, 0, pexpireat},
	{"persist", 2, 0, persist},   {"ttl", 2, 0, ttl},
	{"pttl", 2, 0, pttl},         {"keys", 2, 0, keys},
	{"scan", -2, 0, scan},        {"dbsize", 1, 0, dbsize},
	{"flushall", -1, 0, flush},   {"flushdb", -1, 0, flush},
	{NULL, 0, 0, NULL},
};
