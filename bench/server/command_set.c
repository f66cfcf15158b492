/* SPDX-License-Identifier: MIT
 *
 * Sets.
 */
#include <string.h>

#include "command.h"

static struct dict *find(struct request *request, struct key *key, struct entry **entry, bool *ok)
{
	*key = store_key(request->arguments[1].bytes, request->arguments[1].length);
	store_lock(key);
	*entry = store_find(key, request->now);
	return (struct dict *)value_of_kind(request, *entry, KIND_SET, ok);
}

static long cost(size_t name)
{
	return (long)(sizeof(struct member) + name);
}

static void sadd(struct request *request)
{
	struct key key;
	struct entry *entry;
	bool ok, is_new;
	long long added = 0;
	struct dict *set = find(request, &key, &entry, &ok);
	if (ok && set == NULL) {
		entry = store_add(&key, &dict_new(KIND_SET)->base);
		set = (struct dict *)mem_get(&entry->value);
	}
	for (size_t i = 2; ok && i < request->count; i++) {
		dict_add(set, request->arguments[i].bytes, request->arguments[i].length, &is_new);
		added += is_new;
		if (is_new)
			store_charge(&key, entry, cost(request->arguments[i].length));
	}
	store_unlock(&key);
	if (ok)
		reply_integer(request->reply, added);
}

static void srem(struct request *request)
{
	struct key key;
	struct entry *entry;
	bool ok;
	long long removed = 0;
	struct dict *set = find(request, &key, &entry, &ok);
	for (size_t i = 2; set != NULL && i < request->count; i++)
		if (dict_remove(set, request->arguments[i].bytes, request->arguments[i].length)) {
			removed++;
			store_charge(&key, entry, -cost(request->arguments[i].length));
		}
	if (set != NULL && set->count == 0)
		store_delete(&key, entry);
	store_unlock(&key);
	if (ok)
		reply_integer(request->reply, removed);
}

static void spop(struct request *request)
{
	long long wanted = 1;
	bool is_counted = request->count == 3, ok;
	if (request->count > 3) {
		syntax_error(request);
		return;
	}
	if (is_counted &&
	    (!string_read_integer(request->arguments[2].bytes, request->arguments[2].length, &wanted) ||
	     wanted < 0)) {
		reply_error(request->reply, "ERR value is out of range, must be positive");
		return;
	}
	struct key key;
	struct entry *entry;
	struct dict *set = find(request, &key, &entry, &ok);
	mem_enter();
	if (ok && set == NULL) {
		if (is_counted)
			reply_array(request->reply, 0);
		else
			reply_null(request->reply);
	} else if (ok) {
		if ((size_t)wanted > set->count)
			wanted = (long long)set->count;
		if (is_counted)
			reply_array(request->reply, (size_t)wanted);
		for (; wanted > 0; wanted--) {
			struct member *member = dict_any(set);
			reply_bulk(request->reply, member->name, member->length);
			store_charge(&key, entry, -cost(member->length));
			dict_remove(set, member->name, member->length);
		}
		if (set->count == 0)
			store_delete(&key, entry);
	}
	mem_leave();
	store_unlock(&key);
}

static void smembers(struct request *request)
{
	struct key key;
	struct entry *entry;
	bool ok;
	struct dict *set = find(request, &key, &entry, &ok);
	if (ok) {
		struct cursor cursor = {0};
		reply_array(request->reply, set != NULL ? set->count : 0);
		for (struct member *member; set != NULL && (member = dict_next(set, &cursor)) != NULL;)
			reply_bulk(request->reply, member->name, member->length);
	}
	store_unlock(&key);
}

static void scard(struct request *request)
{
	struct key key;
	struct entry *entry;
	bool ok;
	struct dict *set = find(request, &key, &entry, &ok);
	if (ok)
		reply_integer(request->reply, set != NULL ? (long long)set->count : 0);
	store_unlock(&key);
}

static void sismember(struct request *request)
{
	struct key key;
	struct entry *entry;
	bool ok;
	struct dict *set = find(request, &key, &entry, &ok);
	if (ok)
		reply_integer(request->reply, set != NULL && dict_find(set, request->arguments[2].bytes,
		                                                       request->arguments[2].length) != NULL);
	store_unlock(&key);
}

const struct command commands_set[] = {
	{"sadd", -3, COMMAND_WRITE, sadd},
	{"srem", -3, 0, srem},
	{"spop", -2, 0, spop},
	{"smembers", 2, 0, smembers},
	{"scard", 2, 0, scard},
	{"sismember", 3, 0, sismember},
	{NULL, 0, 0, NULL},
};
