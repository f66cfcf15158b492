/* SPDX-License-Identifier: MIT
 *
 * Hashes.
 */
#include <string.h>

#include "command.h"

static struct key key_of(struct request *request)
{
	return store_key(request->arguments[1].bytes, request->arguments[1].length);
}

static struct dict *find(struct request *request, struct key *key, struct entry **entry, bool *ok)
{
	*entry = store_find(key, request->now);
	return (struct dict *)value_of_kind(request, *entry, KIND_HASH, ok);
}

static long cost(const struct member *member, const struct string *value)
{
	return (long)(sizeof(*member) + member->length + sizeof(*value) + value->length);
}

/* Under the lock; true if the field is new. */
static bool put(struct key *key, struct entry *entry, struct dict *hash, const struct argument *field,
                const struct argument *bytes)
{
	bool is_new;
	struct string *value = string_new(bytes->bytes, bytes->length);
	struct member *member = dict_add(hash, field->bytes, field->length, &is_new);
	struct string *old = mem_get(&member->value);
	store_charge(key, entry, is_new ? cost(member, value) : (long)value->length - (long)old->length);
	mem_put(member, &member->value, value);
	return is_new;
}

static struct dict *find_or_add(struct request *request, struct key *key, struct entry **entry, bool *ok)
{
	struct dict *hash = find(request, key, entry, ok);
	if (*ok && hash == NULL) {
		*entry = store_add(key, &dict_new(KIND_HASH)->base);
		hash = (struct dict *)mem_get(&(*entry)->value);
	}
	return hash;
}

static void set_fields(struct request *request, bool counts)
{
	if (request->count % 2 != 0) {
		wrong_arity(request);
		return;
	}
	struct key key = key_of(request);
	struct entry *entry;
	bool ok;
	long long added = 0;
	store_lock(&key);
	struct dict *hash = find_or_add(request, &key, &entry, &ok);
	for (size_t i = 2; ok && i < request->count; i += 2)
		added += put(&key, entry, hash, &request->arguments[i], &request->arguments[i + 1]);
	store_unlock(&key);
	if (ok && counts)
		reply_integer(request->reply, added);
	else if (ok)
		reply_simple(request->reply, "OK");
}

static void hset(struct request *request)
{
	set_fields(request, true);
}

static void hmset(struct request *request)
{
	set_fields(request, false);
}

static void hsetnx(struct request *request)
{
	struct key key = key_of(request);
	struct entry *entry;
	bool ok, sets = false;
	store_lock(&key);
	struct dict *hash = find_or_add(request, &key, &entry, &ok);
	if (ok) {
		sets = dict_find(hash, request->arguments[2].bytes, request->arguments[2].length) == NULL;
		if (sets)
			put(&key, entry, hash, &request->arguments[2], &request->arguments[3]);
		reply_integer(request->reply, sets);
	}
	store_unlock(&key);
}

static void reply_field(struct request *request, struct dict *hash, const struct argument *field)
{
	struct member *member = hash != NULL ? dict_find(hash, field->bytes, field->length) : NULL;
	if (member == NULL) {
		reply_null(request->reply);
		return;
	}
	struct string *value = mem_get(&member->value);
	reply_bulk(request->reply, value->bytes, value->length);
}

static void hget(struct request *request)
{
	struct key key = key_of(request);
	struct entry *entry;
	bool ok;
	store_lock(&key);
	struct dict *hash = find(request, &key, &entry, &ok);
	if (ok)
		reply_field(request, hash, &request->arguments[2]);
	store_unlock(&key);
}

static void hmget(struct request *request)
{
	struct key key = key_of(request);
	struct entry *entry;
	bool ok;
	store_lock(&key);
	struct dict *hash = find(request, &key, &entry, &ok);
	if (ok) {
		reply_array(request->reply, request->count - 2);
		for (size_t i = 2; i < request->count; i++)
			reply_field(request, hash, &request->arguments[i]);
	}
	store_unlock(&key);
}

static void list_all(struct request *request, bool names, bool values)
{
	struct key key = key_of(request);
	struct entry *entry;
	bool ok;
	store_lock(&key);
	struct dict *hash = find(request, &key, &entry, &ok);
	if (ok) {
		struct cursor cursor = {0};
		reply_array(request->reply, hash != NULL ? hash->count * (size_t)(names + values) : 0);
		for (struct member *member; hash != NULL && (member = dict_next(hash, &cursor)) != NULL;) {
			struct string *value = mem_get(&member->value);
			if (names)
				reply_bulk(request->reply, member->name, member->length);
			if (values)
				reply_bulk(request->reply, value->bytes, value->length);
		}
	}
	store_unlock(&key);
}

static void hgetall(struct request *request)
{
	list_all(request, true, true);
}

static void hkeys(struct request *request)
{
	list_all(request, true, false);
}

static void hvals(struct request *request)
{
	list_all(request, false, true);
}

static void hdel(struct request *request)
{
	struct key key = key_of(request);
	struct entry *entry;
	bool ok;
	long long removed = 0;
	store_lock(&key);
	struct dict *hash = find(request, &key, &entry, &ok);
	for (size_t i = 2; hash != NULL && i < request->count; i++) {
		const struct argument *field = &request->arguments[i];
		struct member *member = dict_find(hash, field->bytes, field->length);
		if (member == NULL)
			continue;
		store_charge(&key, entry, -cost(member, mem_get(&member->value)));
		removed += dict_remove(hash, field->bytes, field->length);
	}
	if (hash != NULL && hash->count == 0)
		store_delete(&key, entry);
	store_unlock(&key);
	if (ok)
		reply_integer(request->reply, removed);
}

static void hlen(struct request *request)
{
	struct key key = key_of(request);
	struct entry *entry;
	bool ok;
	store_lock(&key);
	struct dict *hash = find(request, &key, &entry, &ok);
	if (ok)
		reply_integer(request->reply, hash != NULL ? (long long)hash->count : 0);
	store_unlock(&key);
}

static void hexists(struct request *request)
{
	struct key key = key_of(request);
	struct entry *entry;
	bool ok;
	store_lock(&key);
	struct dict *hash = find(request, &key, &entry, &ok);
	if (ok)
		reply_integer(request->reply, hash != NULL && dict_find(hash, request->arguments[2].bytes,
		                                                        request->arguments[2].length) != NULL);
	store_unlock(&key);
}

const struct command commands_hash[] = {
	{"hset", -4, COMMAND_WRITE, hset},
	{"hmset", -4, COMMAND_WRITE, hmset},
	{"hsetnx", 4, COMMAND_WRITE, hsetnx},
	{"hget", 3, 0, hget},
	{"hmget", -3, 0, hmget},
	{"hgetall", 2, 0, hgetall},
	{"hkeys", 2, 0, hkeys},
	{"hvals", 2, 0, hvals},
	{"hdel", -3, 0, hdel},
	{"hlen", 2, 0, hlen},
	{"hexists", 3, 0, hexists},
	{NULL, 0, 0, NULL},
};
