/* SPDX-License-Identifier: MIT
 *
 * The graph. All of a command happens in one section, so a walk has a limit.
 */
#define _GNU_SOURCE /* memrchr */
#include <stdlib.h>
#include <string.h>

#include "graph.h"

#define WALK_LIMIT 1000
#define PATH_LIMIT 100000

/* In a section: the node at a path, or NULL. False, and an error, if the key holds something else. */
static bool resolve_part(struct request *request, const char *path, size_t length, struct node **node)
{
	const char *slash = memchr(path, '/', length), *end = path + length;
	struct key key = store_key(path, slash != NULL ? (size_t)(slash - path) : length);
	bool ok;
	*node = (struct node *)value_of_kind(request, store_look(&key, request->now), KIND_NODE, &ok);
	while (ok && *node != NULL && slash != NULL) {
		const char *label = slash + 1;
		slash = memchr(label, '/', (size_t)(end - label));
		*node = graph_step(*node, label, (size_t)((slash != NULL ? slash : end) - label));
	}
	return ok;
}

/* The same for an argument; a path to nowhere is an error too. */
static struct node *resolve(struct request *request, size_t index)
{
	struct node *node;
	const struct argument *path = &request->arguments[index];
	if (!resolve_part(request, path->bytes, path->length, &node))
		return NULL;
	if (node == NULL)
		reply_error(request->reply, "ERR no such node");
	return node;
}

/* GADD path: a key with a new node, or a new node with an edge to it from the rest of the path. */
static void gadd(struct request *request)
{
	const struct argument *path = &request->arguments[1];
	const char *slash = memrchr(path->bytes, '/', path->length);
	const char *label = slash != NULL ? slash + 1 : path->bytes;
	struct node *node = node_new(label, (size_t)(path->bytes + path->length - label)), *parent;
	bool added = false;
	if (slash == NULL) {
		struct key key = store_key(path->bytes, path->length);
		store_lock(&key);
		struct entry *entry = store_find(&key, request->now);
		added = entry == NULL;
		if (added)
			store_add(&key, &node->base);
		store_unlock(&key);
		reply_integer(request->reply, added);
		if (!added)
			mem_end(node);
		return;
	}
	mem_enter();
	if (resolve_part(request, path->bytes, (size_t)(slash - path->bytes), &parent)) {
		if (parent == NULL) {
			reply_error(request->reply, "ERR no such node");
		} else {
			added = graph_step(parent, node->label, node->length) == NULL &&
			        graph_link(parent, node);
			reply_integer(request->reply, added);
		}
	}
	mem_leave();
	mem_end_shared(node, added);
}

static void glink(struct request *request)
{
	mem_enter();
	struct node *from = resolve(request, 1), *to = from != NULL ? resolve(request, 2) : NULL;
	if (to != NULL)
		reply_integer(request->reply, graph_link(from, to));
	mem_leave();
}

static void gunlink(struct request *request)
{
	mem_enter();
	struct node *from = resolve(request, 1), *to = from != NULL ? resolve(request, 2) : NULL;
	if (to != NULL)
		reply_integer(request->reply, graph_unlink(from, to));
	mem_leave();
}

static void gneighbors(struct request *request)
{
	bool in = request->count > 2 && argument_is(&request->arguments[2], "in");
	if (request->count > 3 || (request->count == 3 && !in && !argument_is(&request->arguments[2], "out"))) {
		syntax_error(request);
		return;
	}
	mem_enter();
	struct node *node = resolve(request, 1);
	if (node != NULL) {
		struct edges *edges = in ? mem_get(&node->in) : mem_get(&node->out);
		reply_array(request->reply, edges != NULL ? edges->count : 0);
		for (size_t i = 0; edges != NULL && i < edges->count; i++) {
			struct node *to = mem_get(&edges->to[i]);
			reply_bulk(request->reply, to->label, to->length);
		}
	}
	mem_leave();
}

/* GBFS path [limit]: labels in the order of their distance. */
static void gbfs(struct request *request)
{
	long long limit = WALK_LIMIT;
	if (request->count > 3) {
		wrong_arity(request);
		return;
	}
	if (request->count == 3 && !argument_integer(request, 2, &limit))
		return;
	if (limit < 1 || limit > PATH_LIMIT) {
		reply_error(request->reply, "ERR limit is out of range, must be from 1 to %d", PATH_LIMIT);
		return;
	}
	mem_enter();
	struct node *first = resolve(request, 1);
	if (first != NULL) {
		size_t *from, count;
		struct node **nodes = graph_walk(first, NULL, (size_t)limit, &from, &count);
		reply_array(request->reply, count);
		for (size_t i = 0; i < count; i++)
			reply_bulk(request->reply, nodes[i]->label, nodes[i]->length);
		free(nodes);
		free(from);
	}
	mem_leave();
}

/* GPATH from to: labels of a shortest path, both ends included; nothing if there is none within the limit. */
static void gpath(struct request *request)
{
	mem_enter();
	struct node *first = resolve(request, 1), *last = first != NULL ? resolve(request, 2) : NULL;
	if (last != NULL) {
		size_t *from, count, length = 0;
		struct node **nodes = graph_walk(first, last, PATH_LIMIT, &from, &count);
		size_t at = count - 1;
		if (nodes[at] == last) {
			/* Backwards, into the part of the arrays that is read already. */
			for (size_t i = at;; i = from[i]) {
				length++;
				if (i == 0)
					break;
			}
			struct node **path = malloc(length * sizeof(*path));
			for (size_t i = at, j = length; path != NULL && j-- > 0; i = from[i])
				path[j] = nodes[i];
			reply_array(request->reply, path != NULL ? length : 0);
			for (size_t i = 0; path != NULL && i < length; i++)
				reply_bulk(request->reply, path[i]->label, path[i]->length);
			free(path);
		} else {
			reply_array(request->reply, 0);
		}
		free(nodes);
		free(from);
	}
	mem_leave();
}

/* GDROP path: cuts its edges, and deletes its key if the path is one. Replies how many edges were cut. */
static void gdrop(struct request *request)
{
	const struct argument *path = &request->arguments[1];
	mem_enter();
	struct node *node = resolve(request, 1);
	if (node != NULL) {
		reply_integer(request->reply, (long long)graph_drop(node));
		if (memchr(path->bytes, '/', path->length) == NULL) {
			struct key key = store_key(path->bytes, path->length);
			store_lock(&key);
			struct entry *entry = store_find(&key, request->now);
			if (entry != NULL && mem_get(&entry->value) == &node->base)
				store_delete(&key, entry);
			store_unlock(&key);
		}
	}
	mem_leave();
}

const struct command commands_graph[] = {
	{"gadd", 2, COMMAND_WRITE, gadd},
	{"glink", 3, COMMAND_WRITE, glink},
	{"gunlink", 3, 0, gunlink},
	{"gneighbors", -2, 0, gneighbors},
	{"gbfs", -2, 0, gbfs},
	{"gpath", 3, 0, gpath},
	{"gdrop", 2, 0, gdrop},
	{NULL, 0, 0, NULL},
};
