/* SPDX-License-Identifier: MIT
 *
 * The order of a sorted set: a skip list by score, then name (Pugh, CACM 1990), under the shard lock.
 */
#include <string.h>

#include "types.h"
#include "value.h"

#define HEIGHT 24

/* A quarter of the ranks of one height reach the next; by the member's own hash, so that nothing is random. */
static uint32_t height_of(const struct member *member)
{
	uint64_t bits = member->hash * UINT64_C(0x9E3779B97F4A7C15);
	uint32_t height = 1;
	while (height < HEIGHT && (bits & 3) == 0) {
		bits >>= 2;
		height++;
	}
	return height;
}

static bool is_before(const struct member *member, double score, const struct member *than)
{
	if (member->score != score)
		return member->score < score;
	size_t shorter = member->length < than->length ? member->length : than->length;
	int order = memcmp(member->name, than->name, shorter);
	return order != 0 ? order < 0 : member->length < than->length;
}

static struct rank *head_of(struct dict *zset)
{
	struct rank *head = mem_get(&zset->ranks);
	if (head == NULL) {
		head = mem_new_slots(&rank_type, HEIGHT);
		head->height = HEIGHT;
		mem_put(zset, &zset->ranks, head);
		head = mem_get(&zset->ranks);
	}
	return head;
}

/* The last rank of each height that comes before that place. */
static void find_before(struct dict *zset, const struct member *member, double score,
                        struct rank *before[HEIGHT])
{
	struct rank *rank = head_of(zset), *next;
	for (uint32_t level = HEIGHT; level-- > 0;) {
		while ((next = mem_get(&rank->next[level])) != NULL &&
		       is_before(mem_get(&next->member), score, member))
			rank = next;
		before[level] = rank;
	}
}

void zset_insert(struct dict *zset, struct member *member, double score)
{
	struct rank *before[HEIGHT];
	uint32_t height = height_of(member);
	find_before(zset, member, score, before);
	struct rank *rank = mem_new_slots(&rank_type, height);
	rank->height = height;
	member->score = score;
	mem_link(rank, &rank->member, member);
	for (uint32_t level = 0; level < height; level++)
		mem_link(rank, &rank->next[level], mem_get(&before[level]->next[level]));
	mem_link(member, &member->rank, rank);
	for (uint32_t level = height; level-- > 1;)
		mem_link(before[level], &before[level]->next[level], rank);
	mem_chain(before[0], &before[0]->next[0], rank);
}

void zset_unlink(struct dict *zset, struct member *member)
{
	struct rank *before[HEIGHT], *rank = mem_get(&member->rank);
	find_before(zset, member, member->score, before);
	for (uint32_t level = rank->height; level-- > 1;)
		mem_link(before[level], &before[level]->next[level], mem_get(&rank->next[level]));
	mem_link(member, &member->rank, NULL);
	mem_unchain(before[0], &before[0]->next[0], rank, mem_get(&rank->next[0]));
}

void zset_move(struct dict *zset, struct member *member, double score)
{
	if (member->score == score)
		return;
	zset_unlink(zset, member);
	zset_insert(zset, member, score);
}

struct rank *zset_next(struct dict *zset, struct rank *rank)
{
	if (rank == NULL)
		rank = mem_get(&zset->ranks);
	return rank != NULL ? mem_get(&rank->next[0]) : NULL;
}
