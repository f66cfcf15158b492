/* SPDX-License-Identifier: MIT
 *
 * The keys: hash tables in shards, each with a lock for those who change something. Who only looks a string up takes
 * none: it walks the chain in a section. While a table grows its chains are re-linked, so a lock-free walk that found
 * nothing looks whether that happened, and then looks again under the lock.
 *
 * Keys are in a ring by age, for eviction when memory is short: used since the hand passed, they get another round
 * (CLOCK: Corbato 1968).
 */
#ifndef SERVER_STORE_H
#define SERVER_STORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "value.h"

#define SHARDS 256

struct entry {
	LINK(struct entry) next;         /* in its chain; changes under the shard lock */
	OWN(struct value) value;         /* changes under the shard lock */
	LINK(struct entry) newer, older; /* shard lock: a ring through shard.ring */
	_Atomic(int64_t) expires;        /* milliseconds since 1970; 0: never. Changes under the shard lock */
	_Atomic(bool) is_used;           /* since the hand passed; anybody sets it */
	uint64_t hash;
	size_t bytes; /* shard lock: what it is charged for */
	uint32_t length;
	char key[];
};

struct table {
	size_t count;
	OWN(struct entry) first[]; /* each owns its chain */
};

struct shard {
	pthread_mutex_t lock;
	OWN(struct table) table; /* a root; NULL before the first key, so an empty store is no object at all */
	LINK(struct entry) oldest; /* a root; shard lock */
	size_t keys, bytes;        /* shard lock */
	size_t expiring;           /* shard lock: keys that have a time to expire */
	_Atomic(uint64_t) resizes; /* odd while chains are re-linked */
};

struct key {
	const char *bytes;
	size_t length;
	uint64_t hash;
	struct shard *shard;
};

void store_start(uint64_t limit);
/* Every key goes; by the last thread. */
void store_stop(void);

struct key store_key(const char *name, size_t length);
void store_lock(const struct key *key);
void store_unlock(const struct key *key);

/* In a section, or under the lock: the entry, or NULL if there is none or it has expired at `now`. Under the lock an
 * expired one is deleted. */
struct entry *store_look(const struct key *key, int64_t now);
struct entry *store_find(const struct key *key, int64_t now);
/* Under the lock: a new entry for a key that has none; `value` is consumed. */
struct entry *store_add(const struct key *key, struct value *value);
/* Under the lock: another value, consumed, for an entry. */
void store_replace(const struct key *key, struct entry *entry, struct value *value);
void store_delete(const struct key *key, struct entry *entry);
/* Under the lock: milliseconds since 1970, or 0 for never; returns what it was. */
int64_t store_set_expiry(const struct key *key, struct entry *entry, int64_t expires);
/* Under the lock: the value of an entry has grown or shrunk by so many bytes. */
void store_charge(const struct key *key, struct entry *entry, long amount);

/* Deletes old keys until there is memory again; holds no lock when called. */
void store_evict(void);
/* Deletes some expired keys of one shard. */
void store_expire(unsigned index, int64_t now);
void store_flush(void);

/* Calls visit for keys of a shard, under its lock, chain by chain, until so many were visited. Begins with cursor 0;
 * returns the next one, or 0 at the end. Every key that is there from the first call to the last is visited, however
 * the table grows: chains come in the order of their reversed numbers, as in Redis (Noordhuis 2012). */
uint64_t store_visit(unsigned index, uint64_t cursor, size_t count, int64_t now,
                     void (*visit)(void *argument, const struct entry *entry), void *argument);

struct store_numbers {
	uint64_t keys, expiring, bytes, expired, evicted, max_memory;
};
struct store_numbers store_numbers(void);
void store_set_max_memory(uint64_t limit);

#endif
