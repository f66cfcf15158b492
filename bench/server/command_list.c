/* SPDX-License-Identifier: MIT
 *
 * Lists.
 */
#include <string.h>

#include "command.h"

static struct key key_of(struct request *request)
{
	return store_key(request->arguments[1].bytes, request->arguments[1].length);
}

static long cost(const struct string *string)
{
	return (long)(sizeof(struct list_node) + sizeof(struct string) + string->length);
}

static void push(struct request *request, bool at_front, bool if_present)
{
	struct key key = key_of(request);
	bool ok;
	store_lock(&key);
	struct entry *entry = store_find(&key, request->now);
	struct list *list = (struct list *)value_of_kind(request, entry, KIND_LIST, &ok);
	if (ok && list == NULL && !if_present) {
		list = list_new();
		entry = store_add(&key, &list->base);
	}
	if (ok && list != NULL)
		for (size_t i = 2; i < request->count; i++) {
			struct string *string =
				string_new(request->arguments[i].bytes, request->arguments[i].length);
			store_charge(&key, entry, cost(string));
			list_push(list, at_front, string);
		}
	if (ok)
		reply_integer(request->reply, list != NULL ? (long long)list->length : 0);
	store_unlock(&key);
}

static void lpush(struct request *request)
{
	push(request, true, false);
}

static void rpush(struct request *request)
{
	push(request, false, false);
}

static void lpushx(struct request *request)
{
	push(request, true, true);
}

static void rpushx(struct request *request)
{
	push(request, false, true);
}

static void pop(struct request *request, bool at_front)
{
	long long wanted = 1;
	bool is_counted = request->count == 3, ok;
	if (request->count > 3) {
		wrong_arity(request);
		return;
	}
	if (is_counted &&
	    (!string_read_integer(request->arguments[2].bytes, request->arguments[2].length, &wanted) ||
	     wanted < 0)) {
		reply_error(request->reply, "ERR value is out of range, must be positive");
		return;
	}
	struct key key = key_of(request);
	store_lock(&key);
	mem_enter();
	struct entry *entry = store_find(&key, request->now);
	struct list *list = (struct list *)value_of_kind(request, entry, KIND_LIST, &ok);
	if (ok && list == NULL) {
		if (is_counted)
			reply_null_array(request->reply);
		else
			reply_null(request->reply);
	} else if (ok) {
		if ((size_t)wanted > list->length)
			wanted = (long long)list->length;
		if (is_counted)
			reply_array(request->reply, (size_t)wanted);
		while (wanted-- > 0) {
			struct string *value = list_pop(list, at_front);
			store_charge(&key, entry, -cost(value));
			reply_bulk(request->reply, value->bytes, value->length);
		}
		if (list->length == 0)
			store_delete(&key, entry);
	}
	mem_leave();
	store_unlock(&key);
}

static void lpop(struct request *request)
{
	pop(request, true);
}

static void rpop(struct request *request)
{
	pop(request, false);
}

static void length_of(struct request *request)
{
	struct key key = key_of(request);
	bool ok;
	store_lock(&key);
	struct list *list =
		(struct list *)value_of_kind(request, store_find(&key, request->now), KIND_LIST, &ok);
	if (ok)
		reply_integer(request->reply, list != NULL ? (long long)list->length : 0);
	store_unlock(&key);
}

/* From the end if negative; clipped to what there is. False if nothing is left. */
bool range_clip(long long *start, long long *stop, size_t length)
{
	if (*start < 0)
		*start += (long long)length;
	if (*stop < 0)
		*stop += (long long)length;
	if (*start < 0)
		*start = 0;
	if (*stop >= (long long)length)
		*stop = (long long)length - 1;
	return *start <= *stop;
}

static void range(struct request *request)
{
	long long start, stop;
	bool ok;
	if (!argument_integer(request, 2, &start) || !argument_integer(request, 3, &stop))
		return;
	struct key key = key_of(request);
	store_lock(&key);
	struct list *list =
		(struct list *)value_of_kind(request, store_find(&key, request->now), KIND_LIST, &ok);
	if (ok && (list == NULL || !range_clip(&start, &stop, list->length))) {
		reply_array(request->reply, 0);
	} else if (ok) {
		reply_array(request->reply, (size_t)(stop - start + 1));
		struct list_node *node = list_at(list, (size_t)start);
		for (; start <= stop; start++, node = mem_get(&node->next)) {
			struct string *value = mem_get(&node->value);
			reply_bulk(request->reply, value->bytes, value->length);
		}
	}
	store_unlock(&key);
}

static void at(struct request *request)
{
	long long index;
	bool ok;
	if (!argument_integer(request, 2, &index))
		return;
	struct key key = key_of(request);
	store_lock(&key);
	struct list *list =
		(struct list *)value_of_kind(request, store_find(&key, request->now), KIND_LIST, &ok);
	if (ok) {
		if (list != NULL && index < 0)
			index += (long long)list->length;
		struct list_node *node = list != NULL && index >= 0 ? list_at(list, (size_t)index) : NULL;
		struct string *value = node != NULL ? mem_get(&node->value) : NULL;
		if (value != NULL)
			reply_bulk(request->reply, value->bytes, value->length);
		else
			reply_null(request->reply);
	}
	store_unlock(&key);
}

const struct command commands_list[] = {
	{"lpush", -3, COMMAND_WRITE, lpush},
	{"rpush", -3, COMMAND_WRITE, rpush},
	{"lpushx", -3, COMMAND_WRITE, lpushx},
	{"rpushx", -3, COMMAND_WRITE, rpushx},
	{"lpop", -2, 0, lpop},
	{"rpop", -2, 0, rpop},
	{"llen", 2, 0, length_of},
	{"lrange", 4, 0, range},
	{"lindex", 3, 0, at},
	{NULL, 0, 0, NULL},
};
