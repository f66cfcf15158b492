/* SPDX-License-Identifier: MIT
 *
 * Hashes, sets and the names of sorted sets: a hash table with chains, under the shard lock.
 */
#include <string.h>

#include "types.h"
#include "value.h"

#define FIRST_BUCKETS 4

struct dict *dict_new(enum kind kind)
{
	struct dict *dict = mem_new(&dict_type);
	struct buckets *buckets = mem_new_slots(&buckets_type, FIRST_BUCKETS);
	buckets->count = FIRST_BUCKETS;
	dict->base.kind = kind;
	mem_put(dict, &dict->buckets, buckets);
	return dict;
}

static size_t bucket_of(const struct buckets *buckets, uint64_t hash)
{
	return hash & (buckets->count - 1);
}

static struct member *find(struct buckets *buckets, const char *name, size_t length, uint64_t hash)
{
	struct member *member = mem_get(&buckets->first[bucket_of(buckets, hash)]);
	while (member != NULL &&
	       (member->hash != hash || member->length != length || memcmp(member->name, name, length) != 0))
		member = mem_get(&member->next);
	return member;
}

struct member *dict_find(struct dict *dict, const char *name, size_t length)
{
	return find(mem_get(&dict->buckets), name, length, hash_bytes(name, length));
}

/* Moves every member to a table of another size. */
static void resize(struct dict *dict, size_t count)
{
	struct buckets *old = mem_get(&dict->buckets), *buckets = mem_new_slots(&buckets_type, count);
	buckets->count = count;
	for (size_t i = 0; i < old->count; i++) {
		struct member *member;
		while ((member = mem_get(&old->first[i])) != NULL) {
			member = mem_take_first(old, &old->first[i], member, mem_get(&member->next));
			size_t to = bucket_of(buckets, member->hash);
			mem_link(member, &member->next, mem_get(&buckets->first[to]));
			mem_chain(buckets, &buckets->first[to], member);
		}
	}
	mem_put(dict, &dict->buckets, buckets);
}

struct member *dict_add(struct dict *dict, const char *name, size_t length, bool *is_new)
{
	uint64_t hash = hash_bytes(name, length);
	struct buckets *buckets = mem_get(&dict->buckets);
	struct member *member = find(buckets, name, length, hash);
	*is_new = member == NULL;
	if (member != NULL)
		return member;
	if (dict->count >= buckets->count) {
		resize(dict, 2 * buckets->count);
		buckets = mem_get(&dict->buckets);
	}
	member = mem_new_bytes(&member_type, length);
	member->hash = hash;
	member->length = (uint32_t)length;
	memcpy(member->name, name, length);
	size_t to = bucket_of(buckets, hash);
	mem_link(member, &member->next, mem_get(&buckets->first[to]));
	mem_chain(buckets, &buckets->first[to], member);
	dict->count++;
	return member;
}

bool dict_remove(struct dict *dict, const char *name, size_t length)
{
	uint64_t hash = hash_bytes(name, length);
	struct buckets *buckets = mem_get(&dict->buckets);
	size_t in = bucket_of(buckets, hash);
	struct member *before = NULL, *member = mem_get(&buckets->first[in]);
	while (member != NULL &&
	       (member->hash != hash || member->length != length || memcmp(member->name, name, length) != 0)) {
		before = member;
		member = mem_get(&member->next);
	}
	if (member == NULL)
		return false;
	if (dict->base.kind == KIND_ZSET)
		zset_unlink(dict, member);
	dict->count--;
	if (before != NULL)
		mem_unchain(before, &before->next, member, mem_get(&member->next));
	else
		mem_unchain(buckets, &buckets->first[in], member, mem_get(&member->next));
	return true;
}

struct member *dict_next(struct dict *dict, struct cursor *cursor)
{
	struct buckets *buckets = mem_get(&dict->buckets);
	if (cursor->member != NULL)
		cursor->member = mem_get(&cursor->member->next);
	while (cursor->member == NULL && cursor->bucket < buckets->count)
		cursor->member = mem_get(&buckets->first[cursor->bucket++]);
	return cursor->member;
}

struct member *dict_any(struct dict *dict)
{
	struct buckets *buckets = mem_get(&dict->buckets);
	struct member *member;
	/* Goes on where it ended, or taking out all of a large set would look at the same empty buckets again. */
	while ((member = mem_get(&buckets->first[dict->hand & (buckets->count - 1)])) == NULL)
		dict->hand++;
	return member;
}
