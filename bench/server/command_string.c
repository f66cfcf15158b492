/* SPDX-License-Identifier: MIT
 *
 * Strings and counters. GET takes no lock.
 */
#include <limits.h>
#include <string.h>

#include "command.h"

static void copy_string(struct request *request, struct key *key)
{
	mem_enter();
	struct entry *entry = store_look(key, request->now);
	struct value *value = entry != NULL ? mem_get(&entry->value) : NULL;
	if (value == NULL)
		reply_null(request->reply);
	else if (value->kind != KIND_STRING)
		reply_error(request->reply,
		            "WRONGTYPE Operation against a key holding the wrong kind of value");
	else
		reply_bulk(request->reply, ((struct string *)value)->bytes, ((struct string *)value)->length);
	mem_leave();
}

static struct key key_at(struct request *request, size_t index)
{
	return store_key(request->arguments[index].bytes, request->arguments[index].length);
}

static void get(struct request *request)
{
	struct key key = key_at(request, 1);
	copy_string(request, &key);
}

static void mget(struct request *request)
{
	reply_array(request->reply, request->count - 1);
	for (size_t i = 1; i < request->count; i++) {
		struct key key = key_at(request, i);
		mem_enter();
		struct entry *entry = store_look(&key, request->now);
		struct value *value = entry != NULL ? mem_get(&entry->value) : NULL;
		if (value == NULL || value->kind != KIND_STRING)
			reply_null(request->reply);
		else
			reply_bulk(request->reply, ((struct string *)value)->bytes,
			           ((struct string *)value)->length);
		mem_leave();
	}
}

/* Under the lock; consumes the string. */
static void put(struct key *key, struct entry *entry, struct string *string)
{
	if (entry != NULL)
		store_replace(key, entry, &string->base);
	else
		store_add(key, &string->base);
}

struct set_options {
	bool if_absent, if_present, get, keep;
	int64_t expires;
};

static bool read_set_options(struct request *request, struct set_options *options)
{
	*options = (struct set_options){0};
	for (size_t i = 3; i < request->count; i++) {
		const struct argument *argument = &request->arguments[i];
		bool ex = argument_is(argument, "ex"), px = argument_is(argument, "px");
		bool exat = argument_is(argument, "exat"), pxat = argument_is(argument, "pxat");
		if (argument_is(argument, "nx") && !options->if_present) {
			options->if_absent = true;
		} else if (argument_is(argument, "xx") && !options->if_absent) {
			options->if_present = true;
		} else if (argument_is(argument, "get")) {
			options->get = true;
		} else if (argument_is(argument, "keepttl") && options->expires == 0) {
			options->keep = true;
		} else if ((ex || px || exat || pxat) && !options->keep && options->expires == 0 &&
		           i + 1 < request->count) {
			long long number, unit = ex || exat ? 1000 : 1;
			if (!argument_integer(request, ++i, &number))
				return false;
			long long base = ex || px ? request->now : 0;
			if (number <= 0 || number > (LLONG_MAX - base) / unit) {
				reply_error(request->reply, "ERR invalid expire time in 'set' command");
				return false;
			}
			options->expires = base + number * unit;
		} else {
			syntax_error(request);
			return false;
		}
	}
	return true;
}

static void set(struct request *request)
{
	struct set_options options;
	if (!read_set_options(request, &options))
		return;
	struct key key = key_at(request, 1);
	struct string *string = string_new(request->arguments[2].bytes, request->arguments[2].length);
	store_lock(&key);
	mem_enter();
	struct entry *entry = store_find(&key, request->now);
	struct value *old = entry != NULL ? mem_get(&entry->value) : NULL;
	bool refused = options.get && old != NULL && old->kind != KIND_STRING;
	bool stores = !refused && (entry != NULL ? !options.if_absent : !options.if_present);
	if (refused)
		reply_error(request->reply,
		            "WRONGTYPE Operation against a key holding the wrong kind of value");
	else if (options.get && old != NULL)
		reply_bulk(request->reply, ((struct string *)old)->bytes, ((struct string *)old)->length);
	else if (options.get || !stores)
		reply_null(request->reply);
	else
		reply_simple(request->reply, "OK");
	if (stores) {
		if (entry != NULL) {
			store_replace(&key, entry, &string->base);
		} else {
			entry = store_add(&key, &string->base);
		}
		if (!options.keep)
			store_set_expiry(&key, entry, options.expires);
	}
	mem_leave();
	store_unlock(&key);
	if (!stores)
		mem_end(string);
}

static void setnx(struct request *request)
{
	struct key key = key_at(request, 1);
	struct string *string = string_new(request->arguments[2].bytes, request->arguments[2].length);
	store_lock(&key);
	bool stores = store_find(&key, request->now) == NULL;
	if (stores)
		store_add(&key, &string->base);
	store_unlock(&key);
	if (!stores)
		mem_end(string);
	reply_integer(request->reply, stores);
}

static void set_for(struct request *request, long long unit, const char *name)
{
	long long number;
	if (!argument_integer(request, 2, &number))
		return;
	if (number <= 0 || number > (LLONG_MAX - request->now) / unit) {
		reply_error(request->reply, "ERR invalid expire time in '%s' command", name);
		return;
	}
	struct key key = key_at(request, 1);
	struct string *string = string_new(request->arguments[3].bytes, request->arguments[3].length);
	store_lock(&key);
	struct entry *entry = store_find(&key, request->now);
	if (entry != NULL)
		store_replace(&key, entry, &string->base);
	else
		entry = store_add(&key, &string->base);
	store_set_expiry(&key, entry, request->now + number * unit);
	store_unlock(&key);
	reply_simple(request->reply, "OK");
}

static void setex(struct request *request)
{
	set_for(request, 1000, "setex");
}

static void psetex(struct request *request)
{
	set_for(request, 1, "psetex");
}

static void getset(struct request *request)
{
	struct key key = key_at(request, 1);
	struct string *string = string_new(request->arguments[2].bytes, request->arguments[2].length);
	bool ok;
	store_lock(&key);
	mem_enter();
	struct entry *entry = store_find(&key, request->now);
	struct string *old = (struct string *)value_of_kind(request, entry, KIND_STRING, &ok);
	if (ok) {
		if (old != NULL)
			reply_bulk(request->reply, old->bytes, old->length);
		else
			reply_null(request->reply);
		put(&key, entry, string);
		if (entry != NULL)
			store_set_expiry(&key, entry, 0);
	}
	mem_leave();
	store_unlock(&key);
	if (!ok)
		mem_end(string);
}

static void getdel(struct request *request)
{
	struct key key = key_at(request, 1);
	bool ok;
	store_lock(&key);
	mem_enter();
	struct entry *entry = store_find(&key, request->now);
	struct string *old = (struct string *)value_of_kind(request, entry, KIND_STRING, &ok);
	if (ok && old == NULL)
		reply_null(request->reply);
	if (ok && old != NULL) {
		reply_bulk(request->reply, old->bytes, old->length);
		store_delete(&key, entry);
	}
	mem_leave();
	store_unlock(&key);
}

/* One key after the other: other clients may see some of it earlier than the rest. */
static void mset(struct request *request)
{
	if (request->count % 2 == 0) {
		reply_error(request->reply, "ERR wrong number of arguments for 'mset' command");
		return;
	}
	for (size_t i = 1; i < request->count; i += 2) {
		struct key key = key_at(request, i);
		struct string *string =
			string_new(request->arguments[i + 1].bytes, request->arguments[i + 1].length);
		store_lock(&key);
		struct entry *entry = store_find(&key, request->now);
		put(&key, entry, string);
		if (entry != NULL)
			store_set_expiry(&key, entry, 0);
		store_unlock(&key);
	}
	reply_simple(request->reply, "OK");
}

static void add_number(struct request *request, long long amount)
{
	struct key key = key_at(request, 1);
	bool ok;
	store_lock(&key);
	struct entry *entry = store_find(&key, request->now);
	struct string *old = (struct string *)value_of_kind(request, entry, KIND_STRING, &ok);
	long long number = 0;
	if (ok && old != NULL && !string_read_integer(old->bytes, old->length, &number)) {
		reply_error(request->reply, "ERR value is not an integer or out of range");
		ok = false;
	}
	if (ok && __builtin_add_overflow(number, amount, &number)) {
		reply_error(request->reply, "ERR increment or decrement would overflow");
		ok = false;
	}
	if (ok) {
		put(&key, entry, string_new_number(number));
		reply_integer(request->reply, number);
	}
	store_unlock(&key);
}

static void incr(struct request *request)
{
	add_number(request, 1);
}

static void decr(struct request *request)
{
	add_number(request, -1);
}

static void incrby(struct request *request)
{
	long long amount;
	if (argument_integer(request, 2, &amount))
		add_number(request, amount);
}

static void decrby(struct request *request)
{
	long long amount;
	if (!argument_integer(request, 2, &amount))
		return;
	if (amount == LLONG_MIN)
		reply_error(request->reply, "ERR decrement would overflow");
	else
		add_number(request, -amount);
}

static void append(struct request *request)
{
	struct key key = key_at(request, 1);
	const struct argument *more = &request->arguments[2];
	bool ok;
	store_lock(&key);
	struct entry *entry = store_find(&key, request->now);
	struct string *old = (struct string *)value_of_kind(request, entry, KIND_STRING, &ok);
	if (ok) {
		size_t length = old != NULL ? old->length : 0;
		struct string *string =
			string_new_joined(old != NULL ? old->bytes : "", length, more->bytes, more->length);
		put(&key, entry, string);
		reply_integer(request->reply, (long long)length + (long long)more->length);
	}
	store_unlock(&key);
}

static void length_of(struct request *request)
{
	struct key key = key_at(request, 1);
	bool ok;
	mem_enter();
	struct string *string =
		(struct string *)value_of_kind(request, store_look(&key, request->now), KIND_STRING, &ok);
	if (ok)
		reply_integer(request->reply, string != NULL ? string->length : 0);
	mem_leave();
}

const struct command commands_string[] = {
	{"get", 2, 0, get},
	{"mget", -2, 0, mget},
	{"set", -3, COMMAND_WRITE, set},
	{"setnx", 3, COMMAND_WRITE, setnx},
	{"setex", 4, COMMAND_WRITE, setex},
	{"psetex", 4, COMMAND_WRITE, psetex},
	{"getset", 3, COMMAND_WRITE, getset},
	{"getdel", 2, 0, getdel},
	{"mset", -3, COMMAND_WRITE, mset},
	{"incr", 2, COMMAND_WRITE, incr},
	{"decr", 2, COMMAND_WRITE, decr},
	{"incrby", 3, COMMAND_WRITE, incrby},
	{"decrby", 3, COMMAND_WRITE, decrby},
	{"append", 3, COMMAND_WRITE, append},
	{"strlen", 2, 0, length_of},
	{NULL, 0, 0, NULL},
};
