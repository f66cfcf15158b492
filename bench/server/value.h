/* SPDX-License-Identifier: MIT
 *
 * What the store holds under a key: values of five kinds. Strings never change, so that GET needs no lock; the other
 * kinds are looked at and changed under the lock of their key's shard (store.h).
 */
#ifndef SERVER_VALUE_H
#define SERVER_VALUE_H

#include "memory.h"

enum kind { KIND_STRING, KIND_LIST, KIND_HASH, KIND_SET, KIND_ZSET, KIND_NODE };

/* What all values begin with. */
struct value {
	enum kind kind;
};

/* SET, INCR and APPEND put another in its place. */
struct string {
	struct value base;
	uint32_t length;
	char bytes[];
};

struct list_node {
	LINK(struct list_node) next;
	LINK(struct list_node) previous;
	OWN(struct string) value;
};

struct list {
	struct value base;
	size_t length;
	OWN(struct list_node) first; /* owns the whole chain */
	LINK(struct list_node) last;
};

/* A field of a hash, a member of a set, a member of a sorted set. */
struct member {
	LINK(struct member) next;
	OWN(struct string) value; /* of a hash's field */
	LINK(struct rank) rank;   /* of a sorted set's member */
	double score;
	uint64_t hash;
	uint32_t length;
	char name[];
};

struct buckets {
	size_t count;
	OWN(struct member) first[]; /* each owns its chain */
};

/* A place in the order of a sorted set: a node of a skip list (Pugh 1990). */
struct rank {
	LINK(struct member) member;
	uint32_t height;
	LINK(struct rank) next[];
};

/* Hashes, sets and sorted sets. */
struct dict {
	struct value base;
	size_t count;
	size_t hand; /* the bucket where dict_any() looks first */
	OWN(struct buckets) buckets;
	OWN(struct rank) ranks; /* of sorted sets: the head, which owns the whole list */
};

struct string *string_new(const char *bytes, size_t length);
/* Two pieces, one after the other. */
struct string *string_new_joined(const char *first, size_t first_length, const char *second,
                                 size_t second_length);
struct string *string_new_number(long long number);
/* False if it is no 64-bit integer in the form that Redis accepts. */
bool string_read_integer(const char *bytes, size_t length, long long *number);

struct list *list_new(void);
void list_push(struct list *list, bool at_front, struct string *value /* consumed */);
/* The value, borrowed from the node that goes: valid in the caller's section. NULL if there is none. */
struct string *list_pop(struct list *list, bool at_front);
/* The node at an index, NULL beyond the end. */
struct list_node *list_at(struct list *list, size_t index);

struct dict *dict_new(enum kind kind);
struct member *dict_find(struct dict *dict, const char *name, size_t length);
/* Finds or adds; *is_new says which. */
struct member *dict_add(struct dict *dict, const char *name, size_t length, bool *is_new);
bool dict_remove(struct dict *dict, const char *name, size_t length);
/* The next member, in no order; position begins at zero. NULL at the end. For the holder of the lock. */
struct cursor {
	size_t bucket;
	struct member *member;
};
struct member *dict_next(struct dict *dict, struct cursor *cursor);

/* Some member of a dict that is not empty. */
struct member *dict_any(struct dict *dict);

void zset_insert(struct dict *zset, struct member *member, double score);
void zset_move(struct dict *zset, struct member *member, double score);
void zset_unlink(struct dict *zset, struct member *member);
/* The first rank, or the one after; NULL at the end. */
struct rank *zset_next(struct dict *zset, struct rank *rank);

uint64_t hash_bytes(const char *bytes, size_t length);

#endif
