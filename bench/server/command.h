/* SPDX-License-Identifier: MIT
 *
 * Commands: a table from names to functions. One runs on the thread of its connection, from its request to its reply.
 */
#ifndef SERVER_COMMAND_H
#define SERVER_COMMAND_H

#include <stdint.h>

#include "reply.h"
#include "store.h"

struct argument {
	const char *bytes;
	size_t length;
};

struct client;

struct request {
	struct argument *arguments; /* the first is the command's name */
	size_t count;
	struct reply *reply;
	struct client *client;
	int64_t now; /* milliseconds since 1970 */
};

struct command {
	const char *name; /* lower case */
	int arity;        /* with the name; negative: at least so many */
	unsigned flags;
	void (*run)(struct request *request);
};
#define COMMAND_WRITE 1u /* may need memory */

/* Finds the command and runs it; every outcome is a reply. */
void command_run(struct request *request);
void command_start(void);
/* All, by name. */
const struct command *const *command_all(size_t *count);
const struct command *command_find(const struct argument *name);

/* The tables of the files command_*.c. */
extern const struct command commands_string[], commands_list[], commands_hash[], commands_set[],
	commands_zset[], commands_key[], commands_server[], commands_graph[];

/* ---- what they share ------------------------------------------------------------------------------------ */

bool argument_is(const struct argument *argument, const char *lower_case);
/* These reply with an error and return false. */
bool argument_integer(struct request *request, size_t index, long long *number);
bool argument_double(struct request *request, size_t index, double *number);
/* First and last index from a request: from the end if negative, clipped to what there is; false if nothing is left. */
bool range_clip(long long *start, long long *stop, size_t length);
void wrong_arity(struct request *request);
void syntax_error(struct request *request);

/* Under the lock of request's key: the value of an entry if it is of that kind; *ok is false, and an error was replied,
 * if it is of another. */
struct value *value_of_kind(struct request *request, struct entry *entry, enum kind kind, bool *ok);

#endif
