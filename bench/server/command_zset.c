/* SPDX-License-Identifier: MIT
 *
 * Sorted sets.
 */
#include <math.h>
#include <string.h>

#include "command.h"

static struct dict *find(struct request *request, struct key *key, struct entry **entry, bool *ok)
{
	*key = store_key(request->arguments[1].bytes, request->arguments[1].length);
	store_lock(key);
	*entry = store_find(key, request->now);
	return (struct dict *)value_of_kind(request, *entry, KIND_ZSET, ok);
}

static long cost(size_t name)
{
	return (long)(sizeof(struct member) + sizeof(struct rank) + name);
}

static bool read_options(struct request *request, size_t *first, bool *if_absent, bool *if_present,
                         bool *changed)
{
	*if_absent = *if_present = *changed = false;
	for (*first = 2; *first < request->count; ++*first) {
		const struct argument *argument = &request->arguments[*first];
		if (argument_is(argument, "nx"))
			*if_absent = true;
		else if (argument_is(argument, "xx"))
			*if_present = true;
		else if (argument_is(argument, "ch"))
			*changed = true;
		else
			break;
	}
	if (*first >= request->count || (request->count - *first) % 2 != 0) {
		syntax_error(request);
		return false;
	}
	if (*if_absent && *if_present) {
		reply_error(request->reply, "ERR XX and NX options at the same time are not compatible");
		return false;
	}
	double score;
	for (size_t i = *first; i < request->count; i += 2)
		if (!argument_double(request, i, &score))
			return false;
	return true;
}

static void zadd(struct request *request)
{
	size_t first;
	bool if_absent, if_present, counts_changed, ok, is_new;
	if (!read_options(request, &first, &if_absent, &if_present, &counts_changed))
		return;
	struct key key;
	struct entry *entry;
	long long added = 0, changed = 0;
	struct dict *zset = find(request, &key, &entry, &ok);
	if (ok && zset == NULL && !if_present) {
		entry = store_add(&key, &dict_new(KIND_ZSET)->base);
		zset = (struct dict *)mem_get(&entry->value);
	}
	for (size_t i = first; zset != NULL && i < request->count; i += 2) {
		const struct argument *name = &request->arguments[i + 1];
		double score = 0;
		argument_double(request, i, &score);
		if (if_present && dict_find(zset, name->bytes, name->length) == NULL)
			continue;
		struct member *member = dict_add(zset, name->bytes, name->length, &is_new);
		if (is_new) {
			zset_insert(zset, member, score);
			store_charge(&key, entry, cost(name->length));
			added++;
		} else if (!if_absent && member->score != score) {
			zset_move(zset, member, score);
			changed++;
		}
	}
	store_unlock(&key);
	if (ok)
		reply_integer(request->reply, counts_changed ? added + changed : added);
}

static void zrem(struct request *request)
{
	struct key key;
	struct entry *entry;
	bool ok;
	long long removed = 0;
	struct dict *zset = find(request, &key, &entry, &ok);
	for (size_t i = 2; zset != NULL && i < request->count; i++)
		if (dict_remove(zset, request->arguments[i].bytes, request->arguments[i].length)) {
			removed++;
			store_charge(&key, entry, -cost(request->arguments[i].length));
		}
	if (zset != NULL && zset->count == 0)
		store_delete(&key, entry);
	store_unlock(&key);
	if (ok)
		reply_integer(request->reply, removed);
}

static void zrange(struct request *request)
{
	long long start, stop;
	bool with_scores = false, ok;
	for (size_t i = 4; i < request->count; i++) {
		if (!argument_is(&request->arguments[i], "withscores")) {
			syntax_error(request);
			return;
		}
		with_scores = true;
	}
	if (!argument_integer(request, 2, &start) || !argument_integer(request, 3, &stop))
		return;
	struct key key;
	struct entry *entry;
	struct dict *zset = find(request, &key, &entry, &ok);
	if (ok && (zset == NULL || !range_clip(&start, &stop, zset->count))) {
		reply_array(request->reply, 0);
	} else if (ok) {
		reply_array(request->reply, (size_t)(stop - start + 1) * (with_scores ? 2 : 1));
		struct rank *rank = zset_next(zset, NULL);
		for (long long i = 0; i <= stop; i++, rank = zset_next(zset, rank)) {
			if (i < start)
				continue;
			struct member *member = mem_get(&rank->member);
			reply_bulk(request->reply, member->name, member->length);
			if (with_scores)
				reply_double(request->reply, member->score);
		}
	}
	store_unlock(&key);
}

static void zpopmin(struct request *request)
{
	long long wanted = 1;
	bool ok;
	if (request->count > 3) {
		wrong_arity(request);
		return;
	}
	if (request->count == 3 &&
	    (!string_read_integer(request->arguments[2].bytes, request->arguments[2].length, &wanted) ||
	     wanted < 0)) {
		reply_error(request->reply, "ERR value is out of range, must be positive");
		return;
	}
	struct key key;
	struct entry *entry;
	struct dict *zset = find(request, &key, &entry, &ok);
	mem_enter();
	if (ok && zset == NULL) {
		reply_array(request->reply, 0);
	} else if (ok) {
		if ((size_t)wanted > zset->count)
			wanted = (long long)zset->count;
		reply_array(request->reply, 2 * (size_t)wanted);
		for (; wanted > 0; wanted--) {
			struct rank *rank = zset_next(zset, NULL);
			struct member *member = mem_get(&rank->member);
			reply_bulk(request->reply, member->name, member->length);
			reply_double(request->reply, member->score);
			store_charge(&key, entry, -cost(member->length));
			dict_remove(zset, member->name, member->length);
		}
		if (zset->count == 0)
			store_delete(&key, entry);
	}
	mem_leave();
	store_unlock(&key);
}

static void zcard(struct request *request)
{
	struct key key;
	struct entry *entry;
	bool ok;
	struct dict *zset = find(request, &key, &entry, &ok);
	if (ok)
		reply_integer(request->reply, zset != NULL ? (long long)zset->count : 0);
	store_unlock(&key);
}

static void zscore(struct request *request)
{
	struct key key;
	struct entry *entry;
	bool ok;
	struct dict *zset = find(request, &key, &entry, &ok);
	if (ok) {
		struct member *member = zset != NULL ? dict_find(zset, request->arguments[2].bytes,
		                                                 request->arguments[2].length)
		                                     : NULL;
		if (member != NULL)
			reply_double(request->reply, member->score);
		else
			reply_null(request->reply);
	}
	store_unlock(&key);
}

const struct command commands_zset[] = {
	{"zadd", -4, COMMAND_WRITE, zadd},
	{"zrem", -3, 0, zrem},
	{"zrange", -4, 0, zrange},
	{"zpopmin", -2, 0, zpopmin},
	{"zcard", 2, 0, zcard},
	{"zscore", 3, 0, zscore},
	{NULL, 0, 0, NULL},
};
