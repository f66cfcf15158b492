/* SPDX-License-Identifier: MIT
 *
 * Keys: found, added, replaced, deleted. store.h has the rules.
 */
#include "store.h"

#include <string.h>

#include "types.h"

#define FIRST_BUCKETS 16

static struct shard shards[SHARDS];
static _Atomic(uint64_t) keys, expiring, bytes, expired, evicted, max_memory;
static _Atomic(uint32_t) hand; /* the shard that eviction looks at next */

static void add(_Atomic(uint64_t) *counter, uint64_t amount)
{
	/* No order needed: statistics. */
	atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

static uint64_t get(_Atomic(uint64_t) *counter)
{
	/* No order needed: statistics. */
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static struct table *table_new(size_t count)
{
	struct table *table = mem_new_slots(&table_type, count);
	table->count = count;
	return table;
}

void store_start(uint64_t limit)
{
	store_set_max_memory(limit);
	for (unsigned i = 0; i < SHARDS; i++)
		pthread_mutex_init(&shards[i].lock, NULL);
}

struct key store_key(const char *name, size_t length)
{
	uint64_t hash = hash_bytes(name, length);
	return (struct key){name, length, hash, &shards[hash >> 56]};
}

void store_lock(const struct key *key)
{
	pthread_mutex_lock(&key->shard->lock);
}

void store_unlock(const struct key *key)
{
	pthread_mutex_unlock(&key->shard->lock);
}

static size_t bucket_of(const struct table *table, uint64_t hash)
{
	return hash & (table->count - 1);
}

static bool is_named(const struct entry *entry, const struct key *key)
{
	return entry->hash == key->hash && entry->length == key->length &&
	       memcmp(entry->key, key->bytes, key->length) == 0;
}

static struct entry *walk(const struct key *key)
{
	struct table *table = mem_get(&key->shard->table);
	struct entry *entry = table != NULL ? mem_get(&table->first[bucket_of(table, key->hash)]) : NULL;
	while (entry != NULL && !is_named(entry, key))
		entry = mem_get(&entry->next);
	return entry;
}

static bool has_expiry(struct entry *entry)
{
	/* No order needed: a number by itself. */
	return atomic_load_explicit(&entry->expires, memory_order_relaxed) != 0;
}

static bool has_expired(struct entry *entry, int64_t now)
{
	/* No order needed: a number by itself. */
	int64_t expires = atomic_load_explicit(&entry->expires, memory_order_relaxed);
	return expires != 0 && expires <= now;
}

static void mark_used(struct entry *entry)
{
	/* No order needed: a hint. */
	if (!atomic_load_explicit(&entry->is_used, memory_order_relaxed))
		/* No order needed: a hint. */
		atomic_store_explicit(&entry->is_used, true, memory_order_relaxed);
}

struct entry *store_look(const struct key *key, int64_t now)
{
	/* RESIZE.r: before the walk. Pairs: RESIZE.w in resize(). */
	uint64_t before = atomic_load_explicit(&key->shard->resizes, memory_order_acquire);
	struct entry *entry = walk(key);
	if (entry == NULL) {
		/* RESIZE.r: after the walk, which read with acquire. Pairs: RESIZE.w in resize(). */
		if (before % 2 == 0 &&
		    atomic_load_explicit(&key->shard->resizes, memory_order_acquire) == before)
			return NULL;
		store_lock(key);
		entry = walk(key);
		store_unlock(key);
	}
	if (entry == NULL || has_expired(entry, now))
		return NULL;
	mark_used(entry);
	return entry;
}

struct entry *store_find(const struct key *key, int64_t now)
{
	struct entry *entry = walk(key);
	if (entry != NULL && has_expired(entry, now)) {
		store_delete(key, entry);
		add(&expired, 1);
		return NULL;
	}
	if (entry != NULL)
		mark_used(entry);
	return entry;
}

static size_t count_of(const struct table *table)
{
	return table != NULL ? table->count : 0;
}

static void resize(struct shard *shard)
{
	struct table *old = mem_get(&shard->table);
	struct table *table = table_new(old != NULL ? 2 * old->count : FIRST_BUCKETS);
	/* RESIZE.w: odd before any chain changes. Pairs: RESIZE.r in store_look(). */
	atomic_fetch_add_explicit(&shard->resizes, 1, memory_order_acq_rel);
	for (size_t i = 0; i < count_of(old); i++) {
		struct entry *entry;
		while ((entry = mem_get(&old->first[i])) != NULL) {
			entry = mem_take_first(old, &old->first[i], entry, mem_get(&entry->next));
			size_t to = bucket_of(table, entry->hash);
			mem_link(entry, &entry->next, mem_get(&table->first[to]));
			mem_chain(table, &table->first[to], entry);
		}
	}
	mem_put(NULL, &shard->table, table);
	/* RESIZE.w: even when all is done. Pairs: RESIZE.r in store_look(). */
	atomic_fetch_add_explicit(&shard->resizes, 1, memory_order_acq_rel);
}

/* Into the ring, as the newest. */
static void ring_add(struct shard *shard, struct entry *entry)
{
	struct entry *oldest = mem_get(&shard->oldest);
	if (oldest == NULL) {
		mem_link(entry, &entry->newer, entry);
		mem_link(entry, &entry->older, entry);
		mem_link(NULL, &shard->oldest, entry);
		return;
	}
	struct entry *newest = mem_get(&oldest->older);
	mem_link(entry, &entry->newer, oldest);
	mem_link(entry, &entry->older, newest);
	mem_link(newest, &newest->newer, entry);
	mem_link(oldest, &oldest->older, entry);
}

static void ring_remove(struct shard *shard, struct entry *entry)
{
	struct entry *newer = mem_get(&entry->newer), *older = mem_get(&entry->older);
	if (mem_get(&shard->oldest) == entry)
		mem_link(NULL, &shard->oldest, newer != entry ? newer : NULL);
	if (newer != entry) {
		mem_link(newer, &newer->older, older);
		mem_link(older, &older->newer, newer);
	}
	/* Over libcgc nothing of the ring may keep it, nor it anything of the ring. */
	mem_link(entry, &entry->newer, NULL);
	mem_link(entry, &entry->older, NULL);
}

static void count_expiring(struct shard *shard, bool was, bool is)
{
	size_t more = (size_t)is - (size_t)was;
	shard->expiring += more;
	add(&expiring, more);
}

int64_t store_set_expiry(const struct key *key, struct entry *entry, int64_t expires)
{
	/* No order needed: a number by itself; who reads the old one is a moment early. */
	int64_t before = atomic_exchange_explicit(&entry->expires, expires, memory_order_relaxed);
	count_expiring(key->shard, before != 0, expires != 0);
	return before;
}

void store_charge(const struct key *key, struct entry *entry, long amount)
{
	entry->bytes += (size_t)amount;
	key->shard->bytes += (size_t)amount;
	add(&bytes, (uint64_t)amount);
}

static long size_of(const struct value *value)
{
	switch (value->kind) {
	case KIND_STRING:
		return (long)(sizeof(struct string) + ((const struct string *)value)->length);
	case KIND_LIST:
		return sizeof(struct list);
	default:
		return sizeof(struct dict);
	}
}

struct entry *store_add(const struct key *key, struct value *value)
{
	struct shard *shard = key->shard;
	if (shard->keys >= count_of(mem_get(&shard->table)))
		resize(shard);
	struct entry *entry = mem_new_bytes(&entry_type, key->length);
	entry->hash = key->hash;
	entry->length = (uint32_t)key->length;
	memcpy(entry->key, key->bytes, key->length);
	store_charge(key, entry, (long)(sizeof(struct entry) + key->length) + size_of(value));
	mem_put(entry, &entry->value, value);
	struct table *table = mem_get(&shard->table);
	size_t to = bucket_of(table, key->hash);
	mem_link(entry, &entry->next, mem_get(&table->first[to]));
	ring_add(shard, entry);
	mem_chain(table, &table->first[to], entry);
	shard->keys++;
	add(&keys, 1);
	return mem_get(&table->first[to]);
}

void store_replace(const struct key *key, struct entry *entry, struct value *value)
{
	store_charge(key, entry,
	             (long)(sizeof(struct entry) + entry->length) + size_of(value) - (long)entry->bytes);
	mem_put(entry, &entry->value, value);
}

void store_delete(const struct key *key, struct entry *entry)
{
	struct shard *shard = key->shard;
	struct table *table = mem_get(&shard->table);
	size_t in = bucket_of(table, entry->hash);
	struct entry *before = NULL, *other = mem_get(&table->first[in]);
	while (other != entry) {
		before = other;
		other = mem_get(&other->next);
	}
	store_charge(key, entry, -(long)entry->bytes);
	/* Its time stays in it: who still looks at it must see that it has expired. */
	count_expiring(shard, has_expiry(entry), false);
	ring_remove(shard, entry);
	shard->keys--;
	add(&keys, (uint64_t)-1);
	if (before != NULL)
		mem_unchain(before, &before->next, entry, mem_get(&entry->next));
	else
		mem_unchain(table, &table->first[in], entry, mem_get(&entry->next));
}

/* ---- eviction, expiry, all of it ---------------------------------------------------------------------- */

static bool evict_one(struct shard *shard)
{
	struct entry *entry = mem_get(&shard->oldest);
	for (size_t i = 0; entry != NULL && i < 16; i++) {
		/* No order needed: a hint. */
		if (!atomic_exchange_explicit(&entry->is_used, false, memory_order_relaxed))
			break;
		entry = mem_get(&entry->newer);
		mem_link(NULL, &shard->oldest, entry);
	}
	if (entry == NULL)
		return false;
	struct key key = {entry->key, entry->length, entry->hash, shard};
	store_delete(&key, entry);
	add(&evicted, 1);
	return true;
}

void store_evict(void)
{
	uint64_t limit = get(&max_memory);
	unsigned empty = 0;
	while (limit != 0 && get(&bytes) > limit && empty < SHARDS) {
		/* No order needed: only that the threads spread. */
		struct shard *shard =
			&shards[atomic_fetch_add_explicit(&hand, 1, memory_order_relaxed) % SHARDS];
		pthread_mutex_lock(&shard->lock);
		mem_enter();
		empty = evict_one(shard) ? 0 : empty + 1;
		mem_leave();
		pthread_mutex_unlock(&shard->lock);
	}
}

void store_expire(unsigned index, int64_t now)
{
	struct shard *shard = &shards[index];
	pthread_mutex_lock(&shard->lock);
	mem_enter();
	/* Turning the ring makes suspects of its entries, so it is turned only where something expires. */
	struct entry *entry = shard->expiring > 0 ? mem_get(&shard->oldest) : NULL;
	for (size_t i = 0; entry != NULL && i < 32 && shard->expiring > 0; i++) {
		struct entry *newer = mem_get(&entry->newer);
		bool is_last = newer == entry;
		if (has_expired(entry, now)) {
			struct key key = {entry->key, entry->length, entry->hash, shard};
			store_delete(&key, entry);
			add(&expired, 1);
		} else {
			/* The ring is read from where the last call ended. */
			mem_link(NULL, &shard->oldest, newer);
		}
		entry = is_last ? NULL : newer;
	}
	mem_leave();
	pthread_mutex_unlock(&shard->lock);
}

void store_flush(void)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *shard = &shards[i];
		pthread_mutex_lock(&shard->lock);
		mem_link(NULL, &shard->oldest, NULL);
		mem_put(NULL, &shard->table, NULL);
		add(&keys, (uint64_t)0 - shard->keys);
		add(&bytes, (uint64_t)0 - shard->bytes);
		add(&expiring, (uint64_t)0 - shard->expiring);
		shard->keys = shard->bytes = shard->expiring = 0;
		pthread_mutex_unlock(&shard->lock);
	}
}

void store_stop(void)
{
	store_flush();
}

static uint64_t reversed(uint64_t bits)
{
	uint64_t result = 0;
	for (int i = 0; i < 64; i++)
		result |= (bits >> i & 1) << (63 - i);
	return result;
}

/* The cursor plus one, carried from the highest bit of the mask down. */
static uint64_t next_cursor(uint64_t cursor, uint64_t mask)
{
	return reversed(reversed(cursor | ~mask) + 1);
}

uint64_t store_visit(unsigned index, uint64_t cursor, size_t count, int64_t now,
                     void (*visit)(void *argument, const struct entry *entry), void *argument)
{
	struct shard *shard = &shards[index];
	size_t visited = 0;
	pthread_mutex_lock(&shard->lock);
	struct table *table = mem_get(&shard->table);
	if (table == NULL)
		cursor = 0;
	else
		do {
			struct entry *entry = mem_get(&table->first[cursor & (table->count - 1)]);
			for (; entry != NULL; entry = mem_get(&entry->next))
				if (!has_expired(entry, now)) {
					visit(argument, entry);
					visited++;
				}
			cursor = next_cursor(cursor, table->count - 1);
		} while (cursor != 0 && visited < count);
	pthread_mutex_unlock(&shard->lock);
	return cursor;
}

struct store_numbers store_numbers(void)
{
	return (struct store_numbers){get(&keys),    get(&expiring), get(&bytes),
	                              get(&expired), get(&evicted),  get(&max_memory)};
}

void store_set_max_memory(uint64_t limit)
{
	/* No order needed: a setting. */
	atomic_store_explicit(&max_memory, limit, memory_order_relaxed);
}
